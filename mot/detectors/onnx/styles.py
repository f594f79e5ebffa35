"""Recognises the outputs of ONNX files of other exporters.

By their shapes and by what the file gives for a picture of noise: shapes alone tell neither corners
from centres nor pixels from parts of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.detectors.onnx.outputs import Array, Ended, Pair, Reader, Table, cells
from mot.runtime.preprocess import Size

UNDERSTOOD = (
    "boxes (B,N,4) with scores (B,N,C), a YOLO's (B,4+C,N) or (B,N,5+C), "
    "or (B,N,6) of corners, score and class"
)
_ANCHORS = 3  # in each cell of YOLOv5


class Unknown(Exception):
    """Outputs that are not understood; what is wrong with them, where that is known."""


@dataclass(frozen=True, slots=True)
class Style:
    outputs: tuple[str, ...]  # those that the reader takes, in its order
    reader: Reader
    classes: int  # 0: it does not tell
    sees_bytes: bool = False  # wants BGR from 0 to 255


def recognise(outputs: Mapping[str, Array], size: Size, classes: int) -> Style:
    """`classes` as the file's metadata count them, 0 where they do not."""
    style = _pair(outputs, classes) or _table(outputs, size, classes)
    if style is None:
        raise Unknown
    if classes and style.classes not in (0, classes):
        raise Unknown(f"{style.classes} classes, where its metadata name {classes}")
    return style


def _pair(outputs: Mapping[str, Array], classes: int) -> Style | None:
    found = _find_pair(outputs)
    if found is None:
        return None
    boxes, scores = (outputs[name] for name in found)
    _check_chances(scores)
    count = scores.shape[2]
    sums = scores.sum(axis=2, dtype=np.float32)
    has_background = (
        count == classes + 1 if classes else count > 1 and np.allclose(sums, 1, 0, 0.01)
    )
    is_normalised = boxes.size > 0 and float(np.abs(boxes).max()) <= 2
    return Style(found, Pair(is_normalised, bool(has_background)), count - has_background)


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
    """The only output of three dimensions; maps beside it are for other things."""
    flat = [name for name, array in outputs.items() if array.ndim == 3]
    if len(flat) != 1 or min(outputs[flat[0]].shape[1:]) < 5:
        return None
    array, names = outputs[flat[0]], (flat[0],)
    columns_first = _columns_come_first(array.shape[1:], size, classes)
    table = array[0].T if columns_first else array[0]
    width = table.shape[1]
    if not columns_first and width == 6 and (table[:, 5] == np.rint(table[:, 5])).all():
        return Style(names, Ended(), 0)
    has_objectness = not columns_first
    if classes:
        has_objectness = width == 5 + classes or (has_objectness and width > 5 + classes)
    count = classes or width - 4 - has_objectness
    if count < 1 or width < 4 + has_objectness + count:
        return None
    _check_chances(table[:, 4 : 4 + has_objectness + count])
    grid = cells(size, len(table)) if has_objectness else None
    is_raw = grid is not None and _are_in_cells(table, grid)
    reader = Table(count, columns_first, has_objectness, is_raw)
    return Style(names, reader, count, sees_bytes=grid is not None)


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


def _are_in_cells(table: Array, grid: Array) -> bool:
    """Whether centres are nearer to their cells' corners than to where the cells lie."""
    centres = table[:, :2].astype(np.float32)
    in_pixels = np.abs(centres / grid[:, 2:] - grid[:, :2] - 0.5)
    return bool(np.median(np.abs(centres - 0.5)) < np.median(in_pixels))


def _check_chances(scores: Array) -> None:
    if scores.size and not (scores.min() >= -1e-3 and scores.max() <= 1.001):
        raise Unknown("scores outside of 0 to 1: export it with the activation of its head")
