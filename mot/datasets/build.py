"""From a reader's raw dataset to a `DataSet`: checked, filtered and counted."""

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
from mot.datasets.dataset import Annotations, BoolArray, DataSet, ImageRecord
from mot.datasets.images import size_of
from mot.datasets.parsing import RawDataset, RawImage, RawObject
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.formats.video_tracks import PEDESTRIAN, find_class
from mot.types import FARTHEST, FloatArray

MISSING = "images are missing"
NOT_FINITE = "boxes have a corner that is no number"
WITHOUT_AREA = "boxes have no area"
OUTSIDE = "boxes lie outside of their image"
PERSON = "person"
Size = tuple[int, int]


class Loaded(NamedTuple):
    data: DataSet
    problems: Problems


def collect(
    reading: RawDataset, settings: DataSettings, sizes: bool, absent: bool = False
) -> Loaded:
    """`sizes`: missing ones are read from image headers. `absent`: images
    that are missing are kept."""
    collector = _Collector(choose_classes(reading.names, settings.classes), settings, sizes)
    for kind, examples in reading.notes:
        collector.problems.note(kind, examples)
    records = list(collector.records(reading, absent))
    return Loaded(DataSet(collector.names, records), collector.problems)


def choose_classes(known: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """As wanted; else the person, under whichever name; else all."""
    unknown = [name for name in wanted if _canonical(name) not in map(_canonical, known)]
    if unknown:
        raise MotError(f"class {unknown[0]!r} is not in the dataset: known: {', '.join(known)}")
    if wanted:
        return tuple(wanted)
    return (PERSON,) if PERSON in map(_canonical, known) else tuple(known)


@lru_cache
def _canonical(name: str) -> str:
    return PERSON if find_class(name) == PEDESTRIAN else name


class _Collector:
    """Holds what goes on from image to image."""

    def __init__(self, names: tuple[str, ...], settings: DataSettings, sizes: bool) -> None:
        self.names = names
        self.problems = Problems()
        self._settings = settings
        self._sizes = sizes or settings.clip
        self._labels = {_canonical(name): label for label, name in enumerate(names)}
        self._tracks: dict[Hashable, int] = {}
        self._folders: dict[Path, frozenset[str]] = {}

    def records(self, reading: RawDataset, absent: bool) -> Iterator[ImageRecord]:
        count, missing, first = 0, 0, None
        numbered = enumerate(reading.records, 1)
        for number, raw in islice(numbered, 0, None, self._settings.every):
            count += 1
            if not absent and not self._is_there(raw.path):
                missing, first = missing + 1, first or raw.path
                self.problems.note(MISSING, [raw.name])
                continue
            yield self._record(raw, number)
        if count == missing:
            self._complain(count, first)

    def _complain(self, count: int, first: Path | None) -> None:
        source = self._settings.annotations
        if first is None:
            raise MotError(f"{source}: has no images")
        raise MotError(
            f"{source}: none of its {count} images is there (the first would be {first}): "
            "name their folder: images = in a recipe, --images on the command line"
        )

    def _is_there(self, path: Path) -> bool:
        """Folders are listed once: to ask for file after file takes long on a network."""
        if path.parent not in self._folders:
            names = os.listdir(path.parent) if path.parent.is_dir() else []
            self._folders[path.parent] = frozenset(names)
        return path.name in self._folders[path.parent]

    def _record(self, raw: RawImage, number: int) -> ImageRecord:
        size = raw.size
        if self._sizes and not all(size):
            size = size_of(raw.path) or (0, 0)
        things = [each for each in raw.things if _canonical(each.name) in self._labels]
        annotations = self._annotations(things, size, raw.name)
        number = raw.number if raw.number is not None else number
        return ImageRecord(raw.path, raw.name, number, size, annotations)

    def _annotations(self, things: list[RawObject], size: Size, name: str) -> Annotations:
        boxes, visible = _boxes(things)
        shares = np.array([thing.visibility for thing in things], np.float32)  # None is NaN
        seen = Annotations.of(boxes, visible=visible, visible_fractions=shares).shares
        if self._settings.boxes == "visible":
            boxes = visible
        with np.errstate(invalid="ignore"):
            rows = self._sound(boxes, size, name)
        boxes, visible, seen, shares = boxes[rows], visible[rows], seen[rows], shares[rows]
        things = [things[row] for row in np.flatnonzero(rows)]
        heights = boxes[:, 3] - boxes[:, 1]
        ignored = np.array([thing.ignored for thing in things], np.bool_)
        ignored |= seen < self._settings.min_visibility
        ignored |= heights < self._settings.min_height
        labels = [self._labels[_canonical(thing.name)] for thing in things]
        ids = [self._identity(thing.track) for thing in things]
        found = Annotations.of(boxes, labels, ignored, visible, ids, shares)
        return clipped(found, size) if self._settings.clip and all(size) else found

    def _sound(self, boxes: FloatArray, size: Size, name: str) -> BoolArray:
        """(N,) which of the boxes can be used; the others are noted."""
        sound = np.ones(len(boxes), np.bool_)
        for kind, bad in (
            (NOT_FINITE, ~(np.abs(boxes) <= FARTHEST).all(axis=1)),
            (WITHOUT_AREA, (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)),
            (OUTSIDE, outside(boxes, size)),
        ):
            wrong = boxes[sound & bad].tolist()
            self.problems.note(kind, (f"{name} {box}" for box in wrong))
            sound &= ~bad
        return sound

    def _identity(self, track: Hashable) -> int:
        """From 0 in the order in which they come, so that all the dataset has no other such."""
        return -1 if track is None else self._tracks.setdefault(track, len(self._tracks))


def outside(boxes: FloatArray, size: Size) -> BoolArray:
    """(N,) of which nothing lies in the image; where its size is not known, the left and top
    edges alone tell."""
    width, height = size if all(size) else (np.inf, np.inf)
    left, top, right, bottom = boxes.T
    beyond: BoolArray = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    return beyond


def clipped(annotations: Annotations, size: Size) -> Annotations:
    return replace(
        annotations,
        boxes=geometry.clip(annotations.boxes, *size),
        visible=geometry.clip(annotations.visible, *size),
    )


def _boxes(things: list[RawObject]) -> tuple[FloatArray, FloatArray]:
    """(N, 4) each; a visible part without an area is the full box."""
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = [(thing.box, thing.visible or thing.box) for thing in things]
        both = np.array(pairs, np.float64).reshape(-1, 2, 4).astype(np.float32)
        boxes, visible = both[:, 0], both[:, 1]
        strange = ~(visible[:, 2:] >= visible[:, :2]).all(axis=1)
        strange |= ~(np.abs(visible) <= FARTHEST).all(axis=1)
    visible[strange] = boxes[strange]
    return boxes, visible
