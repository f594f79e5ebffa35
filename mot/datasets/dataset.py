"""A dataset: where its images lie, and what is in each. NumPy alone; images are read late."""

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
    """The boxes of one image. In a dataset the arrays are read-only."""

    boxes: FloatArray  # (N, 4) xyxy in its pixels; amodal: may extend beyond the image
    labels: IntArray  # (N,) classes from 0
    ignored: BoolArray  # (N,) neither objects nor background: crowds, reflections, too difficult
    visible: FloatArray  # (N, 4) xyxy of the visible part; the box where that is unknown
    ids: IntArray  # (N,) track id, unique in the dataset; -1: unknown
    visible_fractions: FloatArray  # (N,) visible fraction, as annotated; NaN: from the visible part

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
        visible_fractions: npt.ArrayLike | None = None,
    ) -> Annotations:
        """From anything array-like; by default fully visible objects of class 0."""
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        return cls(
            corners,
            np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64),
            np.zeros(count, np.bool_) if ignored is None else np.array(ignored, np.bool_),
            corners if visible is None else np.array(visible, np.float32).reshape(-1, 4),
            np.full(count, -1, np.int64) if ids is None else np.array(ids, np.int64),
            np.full(count, np.nan, np.float32)
            if visible_fractions is None
            else np.array(visible_fractions, np.float32),
        )

    @property
    def shares(self) -> FloatArray:
        """(N,) visible fractions: as annotated, else by area; 1 for a box without area."""
        with np.errstate(over="ignore", invalid="ignore"):
            full, part = geometry.area(self.boxes), geometry.area(self.visible)
            share = np.divide(part, full, out=np.ones_like(part), where=full > 0)
        shares: FloatArray = np.where(
            np.isnan(self.visible_fractions), np.minimum(share, 1), self.visible_fractions
        )
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image, not yet read."""

    path: Path
    name: str  # key in results: CrowdHuman's ID, COCO's file name
    number: int  # key in COCO results
    size: tuple[int, int]  # width, height; 0, 0: still to be read from the file
    annotations: Annotations


class DataSet(Sequence[ImageRecord]):
    """Images whose boxes lie in a few long arrays, which workers share without copying."""

    def __init__(self, names: Sequence[str], records: Iterable[ImageRecord]) -> None:
        self.names = tuple(names)  # of the classes
        records = list(records)
        self._pictures = [(each.path, each.name, each.number, each.size) for each in records]
        self._ends = np.cumsum([0, *(len(each.annotations) for each in records)])
        self.annotations = _joined([each.annotations for each in records])

    def with_ids(self, ids: IntArray) -> DataSet:
        """The same images, with other identities of all their objects."""
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
