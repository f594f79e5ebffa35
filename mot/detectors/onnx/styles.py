"""Detects the output style of ONNX files of other exporters.

From the shapes and the values for an image of noise: shapes alone distinguish neither corners from
centers nor pixels from relative coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.detectors.onnx.outputs import Pair, PostNms, Reader, Table, cells
from mot.runtime.onnx_session import Array
from mot.runtime.preprocess import Size

SUPPORTED = (
    "boxes (B,N,4) with scores (B,N,C), a YOLO's (B,4+C,N) or (B,N,5+C), "
    "or (B,N,6) of corners, score and class"
)
_ANCHORS = 3  # in each cell of YOLOv5


class UnknownStyle(Exception):
    """Outputs of no supported style; the message is the reason, if there is one."""


@dataclass(frozen=True, slots=True)
class Style:
    outputs: tuple[str, ...]  # names, in the order of the reader
    reader: Reader
    classes: int  # 0: unknown
    takes_bytes: bool = False  # BGR from 0 to 255


def detect_style(outputs: Mapping[str, Array], size: Size, classes: int) -> Style:
    """Output style of a network; `classes` is their number in its metadata, or 0."""
    style = _pair(outputs, classes) or _table(outputs, size, classes)
    if style is None:
        raise UnknownStyle
    if classes and style.classes not in (0, classes):
        raise UnknownStyle(f"{style.classes} classes, but {classes} in its metadata")
    return style


def _pair(outputs: Mapping[str, Array], classes: int) -> Style | None:
    found = _find_pair(outputs)
    if found is None:
        return None
    boxes, scores = (outputs[name] for name in found)
    _check_scores(scores)
    count = scores.shape[2]
    sums = scores.sum(axis=2, dtype=np.float32)
    has_background = (
        count == classes + 1 if classes else count > 1 and np.allclose(sums, 1, 0, 0.01)
    )
    is_normalized = boxes.size > 0 and float(np.abs(boxes).max()) <= 2
    return Style(found, Pair(is_normalized, bool(has_background)), count - has_background)


def _find_pair(outputs: Mapping[str, Array]) -> tuple[str, str] | None:
    """The names of the boxes, (B, N, 4) or (B, N, 1, 4), and of their scores."""
    wide = [name for name, array in outputs.items() if array.shape[2:] in ((4,), (1, 4))]
    for boxes in sorted(wide, key=lambda name: "box" not in name.lower()):
        scores = [
            name
            for name, array in outputs.items()
            if name != boxes and array.ndim == 3 and array.shape[:2] == outputs[boxes].shape[:2]
        ]
        if len(scores) == 1:
            return boxes, scores[0]
    return None


def _table(outputs: Mapping[str, Array], size: Size, classes: int) -> Style | None:
    """The only output with three dimensions; others, such as masks, are ignored."""
    flat = [name for name, array in outputs.items() if array.ndim == 3]
    if len(flat) != 1 or min(outputs[flat[0]].shape[1:]) < 5:
        return None
    array, names = outputs[flat[0]], (flat[0],)
    columns_first = _columns_come_first(array.shape[1:], size, classes)
    table = array[0].T if columns_first else array[0]
    width = table.shape[1]
    if not columns_first and width == 6 and (table[:, 5] == np.rint(table[:, 5])).all():
        return Style(names, PostNms(), 0)
    has_objectness = not columns_first
    if classes:
        has_objectness = width == 5 + classes or (has_objectness and width > 5 + classes)
    count = classes or width - 4 - has_objectness
    if count < 1 or width < 4 + has_objectness + count:
        return None
    _check_scores(table[:, 4 : 4 + has_objectness + count])
    grid = cells(size, len(table)) if has_objectness else None
    in_cells = grid is not None and _is_undecoded(table, grid)
    reader = Table(count, columns_first, has_objectness, in_cells)
    return Style(names, reader, count, takes_bytes=grid is not None)


def _columns_come_first(shape: tuple[int, ...], size: Size, classes: int) -> bool:
    """Whether it is (B, K, N) and not (B, N, K)."""
    first, second = shape
    widths = (4 + classes, 5 + classes)
    if classes and (first in widths) != (second in widths):
        return first in widths
    if _is_per_cell(first, size) != _is_per_cell(second, size):
        return _is_per_cell(second, size)
    return first < second


def _is_per_cell(count: int, size: Size) -> bool:
    some, rest = divmod(count, _ANCHORS)
    return cells(size, count) is not None or (rest == 0 and cells(size, some) is not None)


def _is_undecoded(table: Array, grid: Array) -> bool:
    """Whether centers are relative to their cells, not in pixels."""
    centers = table[:, :2].astype(np.float32)
    in_pixels = np.abs(centers / grid[:, 2:] - grid[:, :2] - 0.5)
    return bool(np.median(np.abs(centers - 0.5)) < np.median(in_pixels))


def _check_scores(scores: Array) -> None:
    if scores.size and not (scores.min() >= -1e-3 and scores.max() <= 1.001):
        raise UnknownStyle("scores outside 0 to 1: export it with the activation of its head")
