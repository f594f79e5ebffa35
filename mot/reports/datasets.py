"""A dataset at a glance: samples with their boxes on one sheet, and what its boxes are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mot.datasets.dataset import Annotations
from mot.opencv import cv2
from mot.render import Color, Pen, color_of
from mot.reports.canvas import BLUE, ORANGE, canvas
from mot.reports.panels import TextLine, compose
from mot.types import FloatArray, Image

_CELL = (320, 240)  # pixels
_COLUMNS = 6
_PAPER = 24
_SEEN: Color = (255, 255, 255)
_IGNORED: Color = (0, 140, 255)
_HATCH = 8  # pixels between strokes
_SMALL = 40  # pixels; lower boxes are drawn thin
_PEN, _THIN = Pen(stroke=2, letter=9), Pen(stroke=1, letter=9)
_LEGEND = "white: the part that is seen; hatched: ignored; other colors: objects"
_BINS = 40
_MANY = 30  # times the smallest value: shown on a logarithmic axis
Samples = Sequence[tuple[str, Image, Annotations]]


def contact_sheet(samples: Samples, title: str) -> Image:
    """Each with its name and its boxes."""
    cells = [_cell(*sample) for sample in samples]
    columns = min(_COLUMNS, len(cells))
    cells += [_blank()] * (-len(cells) % columns)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    captions = [[TextLine(title, 0.6), TextLine(_LEGEND)], *([()] * (len(rows) - 1))]
    strips = [compose(row, words) for row, words in zip(rows, captions, strict=True)]
    return np.concatenate(strips)


def _blank() -> Image:
    return np.full((_CELL[1], _CELL[0], 3), _PAPER, np.uint8)


def _cell(name: str, image: Image, found: Annotations) -> Image:
    """The image in the middle; drawn on when it is small, so that lines stay thin."""
    height, width = image.shape[:2]
    scale = min(_CELL[0] / width, _CELL[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _draw(small, found, scale)
    cell = _blank()
    left, top = (_CELL[0] - size[0]) // 2, (_CELL[1] - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    ignored = int(found.ignored.sum())
    text = f"{name[-36:]}: {len(found) - ignored}" + (f" + {ignored} ignored" if ignored else "")
    _PEN.label(cell, text.encode("ascii", "replace").decode(), [0, 0, 0, 0], (40, 40, 40))
    return cell


def _draw(image: Image, found: Annotations, scale: float) -> None:
    """Ignored boxes first, so that they cover no other."""
    boxes, parts = (_pixels(each, scale) for each in (found.boxes, found.visible))
    kinds = zip(boxes, parts, found.labels.tolist(), found.ignored.tolist(), strict=True)
    for box, part, label, ignored in sorted(kinds, key=lambda kind: not kind[-1]):
        if ignored:
            _hatch(image, box)
            _THIN.box(image, box, _IGNORED)
            continue
        pen = _PEN if box[3] - box[1] >= _SMALL else _THIN
        pen.box(image, box, color_of(label + 1))
        if part != box:
            _THIN.box(image, part, _SEEN)


def _pixels(xyxy: FloatArray, scale: float) -> list[list[int]]:
    near = np.clip(xyxy * np.float32(scale), -2 * _CELL[0], 3 * _CELL[0])
    pixels: list[list[int]] = np.rint(near).astype(int).tolist()
    return pixels


def _hatch(image: Image, box: list[int]) -> None:
    left, top, right, bottom = (max(0, side) for side in box)
    region = image[top:bottom, left:right]
    down, across = np.indices(region.shape[:2])
    region[(down + across + top + left) % _HATCH == 0] = _IGNORED


def plot_distributions(sets: Mapping[str, Mapping[str, FloatArray]], path: Path) -> None:
    """Of each set by name; histograms of shares, so that sets of any size compare."""
    titles = list(next(iter(sets.values())))
    with canvas(path, 11, 6.2) as figure:
        grid = figure.subplots(2, -(-len(titles) // 2))
        for axes, title in zip(grid.flat, titles, strict=False):
            _plot_one(axes, {name: values[title] for name, values in sets.items()})
            axes.set_title(title)
        grid.flat[0].set_ylabel("percent")
        grid.flat[0].legend()


def _plot_one(axes: Any, values: Mapping[str, FloatArray]) -> None:
    edges, is_wide = _edges(np.concatenate(list(values.values())))
    for (name, each), colour in zip(values.items(), (BLUE, ORANGE), strict=False):
        shares = np.full(len(each), 100 / max(1, len(each)))
        axes.hist(each, edges, weights=shares, histtype="step", color=colour, label=name)
    if is_wide:
        axes.set_xscale("log")


def _edges(values: FloatArray) -> tuple[Any, bool]:
    """Of the bins, and whether their widths grow."""
    if len(values) == 0:
        return np.array([0, 1]), False
    low, high = np.percentile(values, (0.5, 99.5)).tolist()
    if low == high:
        return np.array([low - 0.5, low + 0.5]), False
    if low > 0 and high > _MANY * low:
        return np.geomspace(low, high, _BINS + 1), True
    return np.linspace(low, high, _BINS + 1), False
