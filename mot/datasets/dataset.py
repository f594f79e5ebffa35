"""A dataset: image records with annotations, and identities over several datasets. NumPy alone."""

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
UNKNOWN_ID = -1


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

    def __getitem__(self, rows: slice | BoolArray | IntArray) -> Annotations:
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
            np.full(count, UNKNOWN_ID, np.int64) if ids is None else np.array(ids, np.int64),
            np.full(count, np.nan, np.float32)
            if visible_fractions is None
            else np.array(visible_fractions, np.float32),
        )

    @property
    def visibility(self) -> FloatArray:
        """(N,) visible fractions: as annotated, else by area; 1 for a box without area."""
        with np.errstate(over="ignore", invalid="ignore"):
            full, part = geometry.area(self.boxes), geometry.area(self.visible)
            fraction = np.divide(part, full, out=np.ones_like(part), where=full > 0)
        visibility: FloatArray = np.where(
            np.isnan(self.visible_fractions), np.minimum(fraction, 1), self.visible_fractions
        )
        return visibility


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image, not yet read."""

    path: Path
    name: str  # key in results: CrowdHuman's ID, COCO's file name
    number: int  # key in COCO results
    size: tuple[int, int]  # width, height; 0, 0: unknown, still to be read from the file
    annotations: Annotations


class Dataset(Sequence[ImageRecord]):
    """Images whose annotations are a few long arrays, which workers share without copying."""

    def __init__(self, names: Sequence[str], records: Iterable[ImageRecord]) -> None:
        self.names = tuple(names)  # of the classes
        records = list(records)
        self._images = [(each.path, each.name, each.number, each.size) for each in records]
        self._ends = np.cumsum([0, *(len(each.annotations) for each in records)])
        self.annotations = _concatenate([each.annotations for each in records])

    def with_ids(self, ids: IntArray) -> Dataset:
        """The same images with other identities of all their objects."""
        other = copy(self)
        ids = ids.astype(np.int64)
        ids.setflags(write=False)
        other.annotations = replace(self.annotations, ids=ids)
        return other

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | Dataset:
        if isinstance(index, slice):
            return Dataset(self.names, (self[row] for row in range(*index.indices(len(self)))))
        row = range(len(self))[index]
        columns = slice(int(self._ends[row]), int(self._ends[row + 1]))
        return ImageRecord(*self._images[row], self.annotations[columns])


def _concatenate(parts: Sequence[Annotations]) -> Annotations:
    columns = [column.name for column in fields(Annotations)]
    empty = Annotations.of(np.zeros((0, 4), np.float32))
    arrays = [np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in columns]
    for array in arrays:
        array.setflags(write=False)  # a box that is edited in place would change each epoch
    return Annotations(*arrays)


def number_identities(
    datasets: Sequence[Dataset], kinds: Sequence[str]
) -> tuple[list[Dataset], int]:
    """The datasets with identities from 0 without gaps, and the number of identities.

    Identities of different datasets differ. `kinds`: `annotated`; `boxes`: each object is a new
    identity; `none`: no identity is known. Ignored objects have none.
    """
    count = 0
    numbered = []
    for data, kind in zip(datasets, kinds, strict=True):
        ids, known = _number_ids(data.annotations, kind)
        numbered.append(data.with_ids(np.where(ids == UNKNOWN_ID, UNKNOWN_ID, ids + count)))
        count += known
    return numbered, count


def _number_ids(annotations: Annotations, kind: str) -> tuple[IntArray, int]:
    """(N,) ids from 0, and how many are different."""
    source = annotations.ids
    if kind != "annotated":
        count = len(source)
        source = np.arange(count) if kind == "boxes" else np.full(count, UNKNOWN_ID)
    is_known = (source != UNKNOWN_ID) & ~annotations.ignored
    values, numbers = np.unique(source[is_known], return_inverse=True)
    ids = np.full(len(source), UNKNOWN_ID, np.int64)
    ids[is_known] = numbers
    return ids, len(values)
