"""Plots of re-ID models: distances of crop pairs, and the worst confusions between identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mot.evaluation.sequence_pairs import Values
from mot.opencv import cv2
from mot.reid.evaluation.crops import read_crops
from mot.reid.evaluation.galleries import Gallery
from mot.reid.evaluation.retrieval import Retrieval
from mot.render import Color, Pen
from mot.reports.canvas import BLACK, BLUE, GREY, ORANGE, canvas
from mot.reports.panels import TextLine, compose
from mot.types import Image, IntArray

_DASHES = ("--", ":", "-.")
_BARS = 80  # of the histogram
_MAX_CONFUSIONS = 12
_CROP = (156, 312)  # pixels that a crop is shown in: width, height
_COLUMNS = 3
_EDGE = 4  # pixels of its frame
_BACKGROUND = 24
_PEN = Pen(stroke=_EDGE, letter=10)
_QUERY: Color = (200, 200, 200)  # BGR
_WRONG: Color = (0, 120, 255)
_CORRECT: Color = (80, 200, 0)
_LEGEND = "Grey: query. Orange: nearest crop of another id. Green: nearest crop of the same id."


def plot_distances(
    same: IntArray,
    different: IntArray,
    equal_error: tuple[float, float],
    thresholds: Mapping[str, float],
    path: Path,
) -> None:
    """Histograms of the distances between crops of the same and of different identities.

    Args:
        same, different: counts of pairs in equal bins of cosine distances from 0 to 2.
        equal_error: distance at which both error rates are equal, and that rate.
        thresholds: appearance thresholds of trackers, by name.
    """
    kinds = {"same identity": (same, BLUE), "different identities": (different, ORANGE)}
    edges, merge_bins = _wider_bins(same + different)
    with canvas(path, 9, 5) as figure:
        axes = figure.subplots()
        for name, (counts, color) in kinds.items():
            percents = 100 * merge_bins(counts) / max(1, counts.sum())
            axes.stairs(percents, edges, color=color, fill=True, alpha=0.25)
            axes.stairs(percents, edges, color=color, label=f"{name}: {counts.sum():,} pairs")
        distance, rate = equal_error
        if np.isfinite(distance):
            label = f"equal error rate at {distance:.3f}: {100 * rate:.1f} %"
            axes.axvline(distance, color=BLACK, label=label)
        for dash, (name, threshold) in zip(_DASHES, thresholds.items(), strict=False):
            within = " and ".join(
                f"{_percent_within(counts, threshold):.1f} %" for counts in (same, different)
            )
            label = f"{name} {threshold:g}: {within} within it"
            axes.axvline(threshold, color=GREY, linestyle=dash, label=label)
        axes.set(xlim=(edges[0], edges[-1]), xlabel="cosine distance", ylabel="percent of pairs")
        axes.set_ylim(bottom=0)
        axes.set_title("Distances of crop pairs, and the appearance thresholds of trackers")
        figure.legend(loc="outside lower center", ncols=2)


def _percent_within(counts: IntArray, distance: float) -> float:
    return float(100 * counts[: round(distance * len(counts) / 2)].sum() / max(1, counts.sum()))


def _wider_bins(counts: IntArray) -> tuple[Values, Callable[[IntArray], IntArray]]:
    """Edges of wider bins up to the last filled one, and a function that merges counts."""
    filled = np.flatnonzero(counts)
    last = int(filled[-1]) + 1 if len(filled) else _BARS
    width = -(-last // _BARS)
    starts = np.arange(0, last, width)
    edges = 2 / len(counts) * np.append(starts, starts[-1] + width)
    return edges, lambda each: np.add.reduceat(each, starts)


class CropSource(NamedTuple):
    """N crops, whose images are read on demand."""

    ids: IntArray  # (N,)
    name: Callable[[int], str]  # of the crop of a row
    read: Callable[[IntArray], Mapping[int, Image]]  # rows to BGR images by row


def gallery_crops(gallery: Gallery) -> CropSource:
    return CropSource(gallery.ids, gallery.crops.name, partial(read_crops, gallery.crops))


def draw_confusions(
    name: str, crops: CropSource, queries: IntArray, gallery: IntArray, found: Retrieval
) -> Image | None:
    """A sheet of the worst confusions; None if there are none.

    Args:
        name: of the dataset.
        queries, gallery: rows of the crops that were searched for, and in.
        found: the retrieval of these.
    """
    worst = _worst_queries(found, crops.ids[queries], crops.ids[gallery])
    if not len(worst):
        return None
    correct, wrong = gallery[found.nearest[worst]].T
    rows = np.stack([queries[worst], wrong, correct], axis=1)
    images = crops.read(rows.ravel())
    cells = [
        _draw_cell(crops, images, each, distances)
        for each, distances in zip(rows.tolist(), found.distances[worst].tolist(), strict=True)
    ]
    if len(cells) > _COLUMNS:
        cells += [np.full_like(cells[0], _BACKGROUND)] * (-len(cells) % _COLUMNS)
    confused = int((found.rank[found.answerable] > 1).sum())
    title = (
        f"{name}: {confused} of {int(found.answerable.sum())} queries have another id nearest; "
        "the worst, each pair of ids once"
    )
    lines = [[TextLine(title, 0.6), TextLine(_LEGEND)]]
    strips = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    lines += [[]] * (len(strips) - 1)
    return np.concatenate([compose(*each) for each in zip(strips, lines, strict=True)])


def _worst_queries(found: Retrieval, ids: IntArray, gallery_ids: IntArray) -> IntArray:
    """The queries whose correct crop is the farthest beyond a wrong one, each pair of ids once."""
    both = np.flatnonzero((found.nearest >= 0).all(axis=1))
    correct, wrong = found.distances[both].T
    order = both[np.argsort(wrong - correct, kind="stable")]
    pairs = np.stack([ids, gallery_ids[found.nearest[:, 1]]], axis=1)
    _, first = np.unique(pairs[order], axis=0, return_index=True)
    return order[np.sort(first)[:_MAX_CONFUSIONS]]


def _draw_cell(
    crops: CropSource, images: Mapping[int, Image], rows: list[int], distances: list[float]
) -> Image:
    """A query, its nearest wrong and its nearest correct crop; `distances`: correct, wrong."""
    query, wrong, correct = (int(number) for number in crops.ids[rows])
    labels = [f"{query}", f"{wrong}: {distances[1]:.3f}", f"{correct}: {distances[0]:.3f}"]
    panels = [
        _draw_crop(images[row], color, label)
        for row, color, label in zip(rows, (_QUERY, _WRONG, _CORRECT), labels, strict=True)
    ]
    return compose(panels, [TextLine(" | ".join(map(crops.name, rows)), 0.4)])


def _draw_crop(image: Image, color: Color, label: str) -> Image:
    """The crop scaled to fit, centered, with a frame and a label."""
    width, height = _CROP
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    panel = np.full((height, width, 3), _BACKGROUND, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    panel[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    corners = [_EDGE // 2, _EDGE // 2, width - _EDGE // 2 + 1, height - _EDGE // 2 + 1]
    _PEN.box(panel, corners, color)
    _PEN.label(panel, label, [0, 0, 0, 0], color)
    return panel
