"""How an embedder tells people apart: distances of pairs, and whom it takes for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mot.evaluation.scene import Values
from mot.opencv import cv2
from mot.render import Colour, Pen
from mot.reports.canvas import BLACK, BLUE, GREY, ORANGE, canvas
from mot.reports.panels import Words, compose
from mot.types import Image, IntArray

_DASHES = ("--", ":", "-.")
_BARS = 80  # of a histogram
_CROP = (156, 312)  # pixels that a crop is shown in
_COLUMNS = 3
_EDGE = 4  # pixels of its frame
_PAPER = 24
_PEN = Pen(stroke=_EDGE, letter=10)
_QUERY: Colour = (200, 200, 200)  # BGR
_WRONG: Colour = (0, 120, 255)
_RIGHT: Colour = (80, 200, 0)
_LEGEND = "Grey: who is looked for. Orange: the nearest other person. Green: the nearest right one."


def plot_distances(
    same: IntArray,
    different: IntArray,
    equal_error: tuple[float, float],
    thresholds: Mapping[str, float],
    path: Path,
) -> None:
    """Of pairs counted in equal bins of cosine distances from 0 to 2; `equal_error` is a distance
    and the share of errors there, `thresholds` are those of trackers."""
    sides = {"the same person": (same, BLUE), "different people": (different, ORANGE)}
    edges, bars = _bars(same + different)
    with canvas(path, 9, 5) as figure:
        axes = figure.subplots()
        for name, (counts, colour) in sides.items():
            shares = 100 * bars(counts) / max(1, counts.sum())
            axes.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
            axes.stairs(shares, edges, color=colour, label=f"{name}: {counts.sum():,} pairs")
        distance, share = equal_error
        if np.isfinite(distance):
            label = f"equal error at {distance:.3f}: {100 * share:.1f} %"
            axes.axvline(distance, color=BLACK, label=label)
        for dash, (name, threshold) in zip(_DASHES, thresholds.items(), strict=False):
            within = " and ".join(f"{_within(each, threshold):.1f} %" for each in (same, different))
            label = f"{name} {threshold:g}: {within} within it"
            axes.axvline(threshold, color=GREY, linestyle=dash, label=label)
        axes.set(xlim=(edges[0], edges[-1]), xlabel="cosine distance", ylabel="percent of pairs")
        axes.set_ylim(bottom=0)
        axes.set_title("Distances of pairs, and within which trackers may take two for one person")
        figure.legend(loc="outside lower center", ncols=2)


def _within(counts: IntArray, distance: float) -> float:
    """Percent of pairs."""
    return float(100 * counts[: round(distance * len(counts) / 2)].sum() / max(1, counts.sum()))


def _bars(counts: IntArray) -> tuple[Values, Callable[[IntArray], IntArray]]:
    """Edges of wider bins, up to the last one that is filled, and what makes counts of those."""
    filled = np.flatnonzero(counts)
    last = int(filled[-1]) + 1 if len(filled) else _BARS
    width = -(-last // _BARS)
    starts = np.arange(0, last, width)
    edges = 2 / len(counts) * np.append(starts, starts[-1] + width)
    return edges, lambda each: np.add.reduceat(each, starts)


class Person(NamedTuple):
    """A crop, and what to say of it."""

    image: Image
    number: int  # who
    name: str  # of the crop


class Confusion(NamedTuple):
    """Who was looked for, the nearest other person, and the nearest right one."""

    query: Person
    wrong: Person
    right: Person
    distances: tuple[float, float]  # to the wrong and the right one


def draw_confusions(found: Sequence[Confusion], title: str) -> Image:
    """Three crops each."""
    cells = [_cell(each) for each in found]
    cells += [_blank(cells[0])] * (-len(cells) % _COLUMNS if len(cells) > _COLUMNS else 0)
    rows = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    captions = [[Words(title, 0.6), Words(_LEGEND)], *([()] * (len(rows) - 1))]
    return np.concatenate([compose(row, words) for row, words in zip(rows, captions, strict=True)])


def _cell(found: Confusion) -> Image:
    wrong, right = (f"{distance:.3f}" for distance in found.distances)
    people = (
        (found.query, _QUERY, str(found.query.number)),
        (found.wrong, _WRONG, f"{found.wrong.number}: {wrong}"),
        (found.right, _RIGHT, f"{found.right.number}: {right}"),
    )
    panels = [_framed(person.image, colour, text) for person, colour, text in people]
    names = " | ".join(person.name for person, _, _ in people)
    return compose(panels, [Words(names, 0.4)])


def _framed(image: Image, colour: Colour, text: str) -> Image:
    """As large as it can be shown, in the middle."""
    width, height = _CROP
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    panel = np.full((height, width, 3), _PAPER, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    panel[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    corners = [_EDGE // 2, _EDGE // 2, width - _EDGE // 2 + 1, height - _EDGE // 2 + 1]
    _PEN.box(panel, corners, colour, seen=True)
    _PEN.label(panel, text, [0, 0, 0, 0], colour)
    return panel


def _blank(cell: Image) -> Image:
    return np.full_like(cell, _PAPER)
