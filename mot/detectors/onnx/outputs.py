"""What the outputs of an ONNX file mean: readers that make candidates of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mot.boxes import cxcywh_to_xyxy
from mot.detectors.network import Candidates
from mot.runtime.preprocess import Size
from mot.types import FloatArray, IntArray

Array = npt.NDArray[Any]
# Of the maps of one anchor a cell, in the order of their cells.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))


class Reader(Protocol):
    """Makes candidates of what a file gives for a batch of some size."""

    def __call__(
        self, outputs: Sequence[Array], size: Size, least: float, labels: IntArray
    ) -> Iterator[Candidates]: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Boxes (B, N, 4) xyxy, scores (B, N, C) and, where there are any, embeddings (B, N, D)."""

    is_normalised: bool = False  # boxes from 0 to 1
    has_background: bool = False  # as class 0

    def __call__(
        self, outputs: Sequence[Array], size: Size, least: float, labels: IntArray
    ) -> Iterator[Candidates]:
        boxes, scores, *looks = outputs
        unit = np.array(size * 2 if self.is_normalised else (1, 1, 1, 1), np.float32)
        first = int(self.has_background)
        for index, table in enumerate(scores):
            rows, found = _above(table[:, first:], least, labels)
            yield Candidates(
                _floats(boxes[index].reshape(-1, 4)[rows]) * unit,
                _floats(table[rows, found + first]),
                found,
                _floats(looks[0][index][rows]) if looks else None,
            )


@dataclass(frozen=True, slots=True)
class Table:
    """A YOLO's (B, N, K): cxcywh, maybe the chance of an object, the chances of the classes."""

    classes: int
    columns_first: bool  # (B, K, N)
    has_objectness: bool
    in_cells: bool = False  # boxes as a YOLOX gives them that leaves their decoding to others

    def __call__(
        self, outputs: Sequence[Array], size: Size, least: float, labels: IntArray
    ) -> Iterator[Candidates]:
        for table in outputs[0].transpose(0, 2, 1) if self.columns_first else outputs[0]:
            rows, found = self._above(table, least, labels)
            some = _floats(table[rows])
            boxes, score = some[:, :4], some[np.arange(len(rows)), self._first + found]
            if self.has_objectness:
                score = score * some[:, 4]
            if self.in_cells:
                boxes = _decoded(boxes, _known_cells(size, len(table))[rows])
            yield Candidates(cxcywh_to_xyxy(boxes), score, found)

    @property
    def _first(self) -> int:
        """The column of the first class."""
        return 5 if self.has_objectness else 4

    def _above(self, table: Array, least: float, labels: IntArray) -> tuple[IntArray, IntArray]:
        end = self._first + self.classes
        if not self.has_objectness:
            return _above(table[:, 4:end], least, labels)
        likely = np.flatnonzero(table[:, 4] >= least)  # which the product does not exceed
        some = _floats(table[likely, 4:end])
        rows, found = _above(some[:, 1:] * some[:, :1], least, labels)
        return likely[rows], found


@dataclass(frozen=True, slots=True)
class Ended:
    """(B, N, 6): x1, y1, x2, y2, score, class."""

    def __call__(
        self, outputs: Sequence[Array], size: Size, least: float, labels: IntArray
    ) -> Iterator[Candidates]:
        for table in _floats(outputs[0]):
            some = table[(table[:, 4] >= least) & np.isin(table[:, 5], labels)]
            yield Candidates(some[:, :4], some[:, 4], some[:, 5].astype(np.int64))


def _floats(array: Array) -> FloatArray:
    return array.astype(np.float32, copy=False)


def _above(scores: Array, least: float, labels: IntArray) -> tuple[IntArray, IntArray]:
    """The rows of (N, C) scores that reach `least`, once for each label that does."""
    chosen = scores if len(labels) == scores.shape[1] else scores[:, labels]
    rows = np.flatnonzero(np.fmax.reduce(chosen, axis=1) >= least)
    which, columns = np.nonzero(chosen[rows] >= least)
    return rows[which], labels[columns]


@lru_cache(8)
def cells(size: Size, count: int) -> FloatArray | None:
    """(N, 3) column, row and stride of each cell, where so many cells are in all maps."""
    for strides in _STRIDES:
        grids = [_grid(size[0] // stride, size[1] // stride, stride) for stride in strides]
        if sum(map(len, grids)) == count:
            return np.concatenate(grids)
    return None


def _known_cells(size: Size, count: int) -> FloatArray:
    found = cells(size, count)
    assert found is not None  # as when the file was opened
    return found


def _grid(width: int, height: int, stride: int) -> FloatArray:
    rows, columns = np.divmod(np.arange(width * height), max(width, 1))
    return np.column_stack([columns, rows, np.full(len(rows), stride)]).astype(np.float32)


def _decoded(raw: FloatArray, places: FloatArray) -> FloatArray:
    """cxcywh in pixels."""
    centres = (raw[:, :2] + places[:, :2]) * places[:, 2:]
    with np.errstate(over="ignore"):  # infinite boxes are dropped later
        return np.concatenate([centres, np.exp(raw[:, 2:]) * places[:, 2:]], axis=1)
