"""A data set: where its pictures lie, and what is in each. NumPy alone; pictures are read late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from mot import boxes as geometry
from mot.types import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """The boxes of one picture. In a data set the arrays are read-only."""

    boxes: FloatArray  # (N, 4) xyxy in its pixels; of the whole object, maybe beyond the edges
    labels: IntArray  # (N,) classes from 0
    ignored: BoolArray  # (N,) neither objects nor background: crowds, reflections, too difficult
    visible: FloatArray  # (N, 4) xyxy of the part that is seen; the box where it is not told
    ids: IntArray  # (N,) who it is, unique in the data set; -1 where it is not told
    told_shares: FloatArray  # (N,) the share that is seen; NaN where the visible part alone tells

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | IntArray) -> Annotations:
        return Annotations(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def of(
        cls,
        boxes: npt.ArrayLike,
        labels: npt.ArrayLike | None = None,
        ignored: npt.ArrayLike | None = None,
        visible: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        told_shares: npt.ArrayLike | None = None,
    ) -> Annotations:
        """From anything array-like; by default objects of class 0, seen whole, without identity."""
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        return cls(
            corners,
            np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64),
            np.zeros(count, np.bool_) if ignored is None else np.array(ignored, np.bool_),
            corners if visible is None else np.array(visible, np.float32).reshape(-1, 4),
            np.full(count, -1, np.int64) if ids is None else np.array(ids, np.int64),
            np.full(count, np.nan, np.float32)
            if told_shares is None
            else np.array(told_shares, np.float32),
        )

    @property
    def shares(self) -> FloatArray:
        """(N,) how much of each is seen: as told, else of its area; 1 for a box without an area."""
        with np.errstate(over="ignore", invalid="ignore"):
            whole, part = geometry.area(self.boxes), geometry.area(self.visible)
            share = np.divide(part, whole, out=np.ones_like(part), where=whole > 0)
        shares: FloatArray = np.where(
            np.isnan(self.told_shares), np.minimum(share, 1), self.told_shares
        )
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One picture, not yet read."""

    path: Path
    name: str  # by which results tell it: CrowdHuman's ID, COCO's file name
    number: int  # by which COCO's results tell it
    size: tuple[int, int]  # width, height; 0, 0 where only the file tells
    annotations: Annotations


class DataSet(Sequence[ImageRecord]):
    """Pictures whose boxes lie in a few long arrays, which workers share without copying."""

    def __init__(self, names: Sequence[str], pictures: Iterable[ImageRecord]) -> None:
        self.names = tuple(names)  # of the classes
        pictures = list(pictures)
        self._pictures = [(each.path, each.name, each.number, each.size) for each in pictures]
        self._ends = np.cumsum([0, *(len(each.annotations) for each in pictures)])
        self.annotations = _joined([each.annotations for each in pictures])

    def with_ids(self, ids: IntArray) -> DataSet:
        """The same pictures, with other identities of all their objects."""
        other = copy(self)
        ids = ids.astype(np.int64)
        ids.setflags(write=False)
        other.annotations = replace(self.annotations, ids=ids)
        return other

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> DataSet: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | DataSet:
        if isinstance(index, slice):
            return DataSet(self.names, (self[place] for place in range(*index.indices(len(self)))))
        place = range(len(self))[index]
        rows = slice(int(self._ends[place]), int(self._ends[place + 1]))
        return ImageRecord(*self._pictures[place], self.annotations[rows])


def _joined(parts: Sequence[Annotations]) -> Annotations:
    columns = [column.name for column in fields(Annotations)]
    empty = Annotations.of(np.zeros((0, 4), np.float32))
    arrays = [np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in columns]
    for array in arrays:
        array.setflags(write=False)  # a box that is edited in place would shrink each epoch
    return Annotations(*arrays)
