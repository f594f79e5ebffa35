"""A dataset at a glance: a contact sheet of samples with boxes, and histograms of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mot.datasets.dataset import Annotations
from mot.opencv import cv2
from mot.render import Color, Pen, color_of
from mot.reports.canvas import BLUE, ORANGE, canvas
from mot.reports.panels import TextLine, compose
from mot.types import FloatArray, Image

_CELL = (320, 240)  # pixels
_COLUMNS = 6
_BACKGROUND = 24  # gray level
_VISIBLE: Color = (255, 255, 255)
_IGNORED: Color = (0, 140, 255)
_HATCH = 8  # pixels between strokes
_SMALL = 40  # pixels; lower boxes are drawn thin
_PEN, _THIN = Pen(stroke=2, letter=9), Pen(stroke=1, letter=9)
_LEGEND = "white: the visible part; hatched: ignored; other colors: objects"
_BINS = 40
_LOG_RATIO = 30  # a larger ratio of the largest to the smallest value: logarithmic axis


class AnnotatedImage(NamedTuple):
    name: str
    image: Image
    annotations: Annotations


def draw_contact_sheet(samples: Sequence[AnnotatedImage], title: str) -> Image:
    cells = [_draw_cell(sample) for sample in samples]
    columns = min(_COLUMNS, len(cells))
    cells += [_empty_cell()] * (-len(cells) % columns)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    captions = [[TextLine(title, 0.6), TextLine(_LEGEND)], *([()] * (len(rows) - 1))]
    strips = [compose(row, caption) for row, caption in zip(rows, captions, strict=True)]
    return np.concatenate(strips)


def _empty_cell() -> Image:
    return np.full((_CELL[1], _CELL[0], 3), _BACKGROUND, np.uint8)


def _draw_cell(sample: AnnotatedImage) -> Image:
    """The image in the middle; boxes are drawn after shrinking it, so that lines stay thin."""
    name, image, annotations = sample
    height, width = image.shape[:2]
    scale = min(_CELL[0] / width, _CELL[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _draw_boxes(small, annotations, scale)
    cell = _empty_cell()
    left, top = (_CELL[0] - size[0]) // 2, (_CELL[1] - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    ignored = int(annotations.ignored.sum())
    text = f"{name[-36:]}: {len(annotations) - ignored}"
    text += f" + {ignored} ignored" if ignored else ""
    _PEN.label(cell, text.encode("ascii", "replace").decode(), [0, 0, 0, 0], (40, 40, 40))
    return cell


def _draw_boxes(image: Image, annotations: Annotations, scale: float) -> None:
    """Ignored boxes first, so that they cover no other."""
    boxes, parts = (_to_pixels(each, scale) for each in (annotations.boxes, annotations.visible))
    labels, ignored_flags = annotations.labels.tolist(), annotations.ignored.tolist()
    objects = zip(boxes, parts, labels, ignored_flags, strict=True)
    for box, part, label, ignored in sorted(objects, key=lambda each: not each[-1]):
        if ignored:
            _hatch(image, box)
            _THIN.box(image, box, _IGNORED)
            continue
        pen = _PEN if box[3] - box[1] >= _SMALL else _THIN
        pen.box(image, box, color_of(label + 1))
        if part != box:
            _THIN.box(image, part, _VISIBLE)


def _to_pixels(xyxy: FloatArray, scale: float) -> list[list[int]]:
    limited = np.clip(xyxy * np.float32(scale), -2 * _CELL[0], 3 * _CELL[0])
    pixels: list[list[int]] = np.rint(limited).astype(int).tolist()
    return pixels


def _hatch(image: Image, box: list[int]) -> None:
    left, top, right, bottom = (max(0, side) for side in box)
    region = image[top:bottom, left:right]
    y, x = np.indices(region.shape[:2])
    region[(y + x + top + left) % _HATCH == 0] = _IGNORED


def plot_distributions(distributions: Mapping[str, Mapping[str, FloatArray]], path: Path) -> None:
    """Histograms of each quantity, in percent so that datasets of any size compare.

    `distributions`: values by name of the dataset, then by quantity.
    """
    titles = list(next(iter(distributions.values())))
    with canvas(path, 11, 6.2) as figure:
        grid = figure.subplots(2, -(-len(titles) // 2))
        for axes, title in zip(grid.flat, titles, strict=False):
            _plot_histogram(axes, {name: each[title] for name, each in distributions.items()})
            axes.set_title(title)
        grid.flat[0].set_ylabel("percent")
        grid.flat[0].legend()


def _plot_histogram(axes: Any, values: Mapping[str, FloatArray]) -> None:
    edges, is_log = _bin_edges(np.concatenate(list(values.values())))
    for (name, each), color in zip(values.items(), (BLUE, ORANGE), strict=False):
        weights = np.full(len(each), 100 / max(1, len(each)))
        axes.hist(each, edges, weights=weights, histtype="step", color=color, label=name)
    if is_log:
        axes.set_xscale("log")


def _bin_edges(values: FloatArray) -> tuple[Any, bool]:
    """Edges of the bins, and whether they are logarithmic."""
    if len(values) == 0:
        return np.array([0, 1]), False
    low, high = np.percentile(values, (0.5, 99.5)).tolist()
    if low == high:
        return np.array([low - 0.5, low + 0.5]), False
    if low > 0 and high > _LOG_RATIO * low:
        return np.geomspace(low, high, _BINS + 1), True
    return np.linspace(low, high, _BINS + 1), False
