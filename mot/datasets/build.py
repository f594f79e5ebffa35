"""Builds a `Dataset` from the raw content of its files: checks, filters and labels objects."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mot import boxes as geometry
from mot.datasets.config import DataSettings
from mot.datasets.dataset import Annotations, BoolArray, Dataset, ImageRecord
from mot.datasets.images import read_size
from mot.datasets.parsing import RawDataset, RawImage, RawObject
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.formats.video_tracks import PEDESTRIAN, find_class
from mot.types import FARTHEST, FloatArray

MISSING = "images are missing"
NOT_FINITE = "boxes are not finite, or too large"
WITHOUT_AREA = "boxes have no area"
OUTSIDE = "boxes are outside their image"
PERSON = "person"
Size = tuple[int, int]


class LoadedDataset(NamedTuple):
    data: Dataset
    problems: Problems


def build_dataset(
    raw: RawDataset, settings: DataSettings, read_sizes: bool, keep_missing: bool
) -> LoadedDataset:
    """`read_sizes`: unknown image sizes are read from the files. `keep_missing`: images whose
    files are missing are kept."""
    builder = _Builder(_choose_classes(raw.class_names, settings.classes), settings, read_sizes)
    for kind, examples in raw.problems:
        builder.problems.add(kind, examples)
    records = list(builder.build_records(raw, keep_missing))
    return LoadedDataset(Dataset(builder.names, records), builder.problems)


def _choose_classes(known: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted classes; by default the person, whatever its name, else all."""
    unknown = [name for name in wanted if _canonical(name) not in map(_canonical, known)]
    if unknown:
        raise MotError(f"class {unknown[0]!r} is not in the dataset: known: {', '.join(known)}")
    if wanted:
        return tuple(wanted)
    return (PERSON,) if PERSON in map(_canonical, known) else tuple(known)


@lru_cache
def _canonical(name: str) -> str:
    return PERSON if find_class(name) == PEDESTRIAN else name


class _Builder:
    """Builds image records; holds the state that they share."""

    def __init__(self, names: tuple[str, ...], settings: DataSettings, read_sizes: bool) -> None:
        self.names = names
        self.problems = Problems()
        self._settings = settings
        self._read_sizes = read_sizes or settings.clip
        self._labels = {_canonical(name): label for label, name in enumerate(names)}
        self._ids: dict[Hashable, int] = {}
        self._files: dict[Path, frozenset[str]] = {}  # names of the files of each folder

    def build_records(self, raw: RawDataset, keep_missing: bool) -> Iterator[ImageRecord]:
        count, missing, first = 0, 0, None
        numbered = enumerate(raw.images, 1)
        for number, image in islice(numbered, 0, None, self._settings.every):
            count += 1
            if not keep_missing and not self._exists(image.path):
                missing, first = missing + 1, first or image.path
                self.problems.add(MISSING, [image.name])
                continue
            yield self._build_record(image, number)
        source = self._settings.annotations
        if count == missing and first is None:
            raise MotError(f"{source}: has no images")
        if count == missing:
            raise MotError(
                f"{source}: none of its {count} images exists (the first would be {first}): "
                "set their folder: images = in a recipe, --images on the command line"
            )

    def _exists(self, path: Path) -> bool:
        """Lists each folder once: a query per file is slow on network drives."""
        if path.parent not in self._files:
            names = os.listdir(path.parent) if path.parent.is_dir() else []
            self._files[path.parent] = frozenset(names)
        return path.name in self._files[path.parent]

    def _build_record(self, raw: RawImage, number: int) -> ImageRecord:
        size = raw.size
        if self._read_sizes and not all(size):
            size = read_size(raw.path) or (0, 0)
        objects = [each for each in raw.objects if _canonical(each.class_name) in self._labels]
        annotations = self._build_annotations(objects, size, raw.name)
        number = raw.number if raw.number is not None else number
        return ImageRecord(raw.path, raw.name, number, size, annotations)

    def _build_annotations(self, objects: list[RawObject], size: Size, name: str) -> Annotations:
        boxes, visible = _to_arrays(objects)
        fractions = np.array([each.visibility for each in objects], np.float32)  # None is NaN
        visibility = Annotations.of(boxes, visible=visible, visible_fractions=fractions).visibility
        if self._settings.boxes == "visible":
            boxes = visible
        with np.errstate(invalid="ignore"):
            valid = self._find_valid(boxes, size, name)
        boxes, visible, fractions = boxes[valid], visible[valid], fractions[valid]
        objects = [objects[row] for row in np.flatnonzero(valid)]
        heights = boxes[:, 3] - boxes[:, 1]
        ignored = np.array([each.ignored for each in objects], np.bool_)
        ignored |= visibility[valid] < self._settings.min_visibility
        ignored |= heights < self._settings.min_height
        labels = [self._labels[_canonical(each.class_name)] for each in objects]
        ids = [self._get_id(each.track) for each in objects]
        annotations = Annotations.of(boxes, labels, ignored, visible, ids, fractions)
        if not (self._settings.clip and all(size)):
            return annotations
        return replace(
            annotations,
            boxes=geometry.clip(annotations.boxes, *size),
            visible=geometry.clip(annotations.visible, *size),
        )

    def _find_valid(self, boxes: FloatArray, size: Size, name: str) -> BoolArray:
        """(N,) whether each box is usable; the others are added to the problems."""
        valid = np.ones(len(boxes), np.bool_)
        for kind, is_bad in (
            (NOT_FINITE, ~(np.abs(boxes) <= FARTHEST).all(axis=1)),
            (WITHOUT_AREA, (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)),
            (OUTSIDE, _is_outside(boxes, size)),
        ):
            bad = boxes[valid & is_bad].tolist()
            self.problems.add(kind, (f"{name} {box}" for box in bad))
            valid &= ~is_bad
        return valid

    def _get_id(self, track: Hashable) -> int:
        """From 0 in order of appearance, unique in the dataset."""
        return -1 if track is None else self._ids.setdefault(track, len(self._ids))


def _is_outside(boxes: FloatArray, size: Size) -> BoolArray:
    """(N,) whether no part of a box is in the image. If the size of the image is unknown, only its
    left and top edges are checked."""
    width, height = size if all(size) else (np.inf, np.inf)
    left, top, right, bottom = boxes.T
    outside: BoolArray = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    return outside


def _to_arrays(objects: list[RawObject]) -> tuple[FloatArray, FloatArray]:
    """(N, 4) boxes and visible parts; an invalid visible part is replaced by the box."""
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = [(each.box, each.visible_box or each.box) for each in objects]
        both = np.array(pairs, np.float64).reshape(-1, 2, 4).astype(np.float32)
        boxes, visible = both[:, 0], both[:, 1]
        invalid = ~(visible[:, 2:] >= visible[:, :2]).all(axis=1)
        invalid |= ~(np.abs(visible) <= FARTHEST).all(axis=1)
    visible[invalid] = boxes[invalid]
    return boxes, visible
