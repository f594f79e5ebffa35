"""Readers of the outputs of ONNX files, one per style, which return raw detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from mot.boxes import cxcywh_to_xyxy
from mot.detectors.network import RawDetections
from mot.runtime.onnx_session import Array
from mot.runtime.preprocess import Size
from mot.types import FloatArray, IntArray

# Strides of the maps of anchor-free networks, in the order of their cells.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))


class Reader(Protocol):
    """Reads the outputs for a batch of images of `size`: detections that score `min_score`."""

    def __call__(
        self, outputs: Sequence[Array], size: Size, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Boxes (B, N, 4) xyxy, scores (B, N, C) and, where there are any, embeddings (B, N, D)."""

    is_normalized: bool = False  # boxes from 0 to 1
    has_background: bool = False  # as class 0

    def __call__(
        self, outputs: Sequence[Array], size: Size, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]:
        boxes, scores, *embeddings = outputs
        unit = np.array(size * 2 if self.is_normalized else (1, 1, 1, 1), np.float32)
        first = int(self.has_background)
        for index, table in enumerate(scores):
            rows, found = _select(table[:, first:], min_score, labels)
            yield RawDetections(
                _floats(boxes[index].reshape(-1, 4)[rows]) * unit,
                _floats(table[rows, found + first]),
                found,
                _floats(embeddings[0][index][rows]) if embeddings else None,
            )


@dataclass(frozen=True, slots=True)
class Table:
    """YOLO table (B, N, K): cxcywh, objectness if there is one, and class probabilities."""

    classes: int
    columns_first: bool  # (B, K, N)
    has_objectness: bool
    in_cells: bool = False  # boxes are relative to their cells, as in an undecoded YOLOX

    def __call__(
        self, outputs: Sequence[Array], size: Size, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]:
        for table in outputs[0].transpose(0, 2, 1) if self.columns_first else outputs[0]:
            rows, found = self._select(table, min_score, labels)
            some = _floats(table[rows])
            boxes, score = some[:, :4], some[np.arange(len(rows)), self._first + found]
            if self.has_objectness:
                score = score * some[:, 4]
            if self.in_cells:
                grid = cells(size, len(table))
                assert grid is not None  # as when the file was opened
                boxes = _decode(boxes, grid[rows])
            yield RawDetections(cxcywh_to_xyxy(boxes), score, found)

    @property
    def _first(self) -> int:
        """Column of the first class."""
        return 5 if self.has_objectness else 4

    def _select(
        self, table: Array, min_score: float, labels: IntArray
    ) -> tuple[IntArray, IntArray]:
        end = self._first + self.classes
        if not self.has_objectness:
            return _select(table[:, 4:end], min_score, labels)
        likely = np.flatnonzero(table[:, 4] >= min_score)  # an upper bound of the product
        some = _floats(table[likely, 4:end])
        rows, found = _select(some[:, 1:] * some[:, :1], min_score, labels)
        return likely[rows], found


@dataclass(frozen=True, slots=True)
class PostNms:
    """(B, N, 6) after NMS: x1, y1, x2, y2, score, class."""

    def __call__(
        self, outputs: Sequence[Array], size: Size, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]:
        for table in _floats(outputs[0]):
            some = table[(table[:, 4] >= min_score) & np.isin(table[:, 5], labels)]
            yield RawDetections(some[:, :4], some[:, 4], some[:, 5].astype(np.int64))


def _floats(array: Array) -> FloatArray:
    return array.astype(np.float32, copy=False)


def _select(scores: Array, min_score: float, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Rows and labels of the (N, C) scores that reach `min_score`."""
    chosen = scores if len(labels) == scores.shape[1] else scores[:, labels]
    rows = np.flatnonzero(np.fmax.reduce(chosen, axis=1) >= min_score)
    which, columns = np.nonzero(chosen[rows] >= min_score)
    return rows[which], labels[columns]


@lru_cache(8)
def cells(size: Size, count: int) -> FloatArray | None:
    """(N, 3) column, row and stride of each cell, if maps of the usual strides have N cells."""
    for strides in _STRIDES:
        grids = [_grid(size[0] // stride, size[1] // stride, stride) for stride in strides]
        if sum(map(len, grids)) == count:
            return np.concatenate(grids)
    return None


def _grid(width: int, height: int, stride: int) -> FloatArray:
    rows, columns = np.divmod(np.arange(width * height), max(width, 1))
    return np.column_stack([columns, rows, np.full(len(rows), stride)]).astype(np.float32)


def _decode(raw: FloatArray, grid: FloatArray) -> FloatArray:
    """cxcywh in pixels."""
    centers = (raw[:, :2] + grid[:, :2]) * grid[:, 2:]
    with np.errstate(over="ignore"):  # infinite boxes are dropped later
        return np.concatenate([centers, np.exp(raw[:, 2:]) * grid[:, 2:]], axis=1)
