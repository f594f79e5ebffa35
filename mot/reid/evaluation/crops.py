"""Crops of people: where they are, and what an embedder says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.datasets.images import decode
from mot.errors import MotError
from mot.files import read_bytes
from mot.reid.embedder import Embedder
from mot.types import FloatArray, Image, IntArray
from mot.video.background import in_background
from mot.video.footage import Footage

_AT_ONCE = 64  # whole pictures that an embedder sees as one


class Shot(NamedTuple):
    """A picture, and the crops in it."""

    rows: IntArray  # (M,) which ones
    image: Image
    boxes: FloatArray  # (M, 4) xyxy


@dataclass(frozen=True, slots=True)
class Pictures:
    """Each crop is a file of its own."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shot_count(self) -> int:
        return -(-len(self.paths) // _AT_ONCE)

    def name(self, row: int) -> str:
        path = self.paths[row]
        return f"{path.parent.name}/{path.name}"

    def shots(self, rows: IntArray) -> Iterator[Shot]:
        """Several side by side, so that they go through a network together; without those that
        cannot be read."""
        for start in range(0, len(rows), _AT_ONCE):
            read = {row: _read(self.paths[row]) for row in rows[start : start + _AT_ONCE].tolist()}
            images = {row: image for row, image in read.items() if image is not None}
            if images:
                yield _side_by_side(images)


def _read(path: Path) -> Image | None:
    try:
        return decode(read_bytes(path), path)
    except MotError:
        return None


def _side_by_side(images: Mapping[int, Image]) -> Shot:
    sizes = np.array([image.shape[:2] for image in images.values()], np.int64)  # height, width
    right = sizes[:, 1].cumsum()
    left = right - sizes[:, 1]
    sheet = np.zeros((sizes[:, 0].max(), right[-1], 3), np.uint8)
    for image, column in zip(images.values(), left.tolist(), strict=True):
        sheet[: image.shape[0], column : column + image.shape[1]] = image
    corners = np.stack([left, np.zeros_like(left), right, sizes[:, 0]], axis=1)
    return Shot(np.array(list(images), np.int64), sheet, corners.astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Crops are boxes in the frames of a sequence."""

    footage: Footage
    frames: IntArray  # (N,) from 1
    xyxy: FloatArray  # (N, 4) pixels of a frame of `size`
    size: tuple[int, int] | None  # width, height; None: that of the pictures

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def shot_count(self) -> int:
        return len(np.unique(self.frames))

    def name(self, row: int) -> str:
        return f"frame {self.frames[row]}"

    def shots(self, rows: IntArray) -> Iterator[Shot]:
        """Frame after frame, without those that have no picture."""
        frames = self.frames[rows]
        for number, image in self.footage.frames(set(frames.tolist())):
            here = rows[frames == number]
            yield Shot(here, image, self.xyxy[here] * self._scale(image))

    def _scale(self, image: Image) -> FloatArray:
        """(4,) videos may be smaller copies."""
        height, width = image.shape[:2]
        wide, high = self.size or (width, height)
        return np.array([width / wide, height / high] * 2, np.float32)


Crops = Pictures | Frames


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What an embedder says of N crops."""

    vectors: FloatArray  # (N, D); zeros where there is nothing to see
    seen: npt.NDArray[np.bool_]  # (N,)
    outside: IntArray  # rows of crops without an area, or outside of their picture
    unread: IntArray  # rows of crops whose picture is missing or cannot be read
    seconds: float  # that the embedder took


def look(crops: Crops, embedder: Embedder, on_shot: Callable[[int], None]) -> Looked:
    """At all crops; `on_shot` is told of each shot how many it has."""
    read = np.zeros(len(crops), np.bool_)
    seen = read.copy()
    rows, found, seconds = [np.zeros(0, np.int64)], [], 0.0
    with closing(in_background(crops.shots(np.arange(len(crops))), depth=4)) as shots:
        for shot in shots:
            cuts = boxes.cut_out(shot.image, shot.boxes)
            inside = np.array([crop.size > 0 for crop in cuts], np.bool_)
            began = perf_counter()
            if inside.any():
                found.append(embedder(shot.image, shot.boxes[inside]))
                rows.append(shot.rows[inside])
            seconds += perf_counter() - began
            read[shot.rows], seen[shot.rows] = True, inside
            on_shot(len(shot.rows))
    vectors = np.zeros((len(crops), found[0].shape[1] if found else 0), np.float32)
    vectors[np.concatenate(rows)] = np.concatenate([*found, vectors[:0]])
    outside, unread = np.flatnonzero(read & ~seen), np.flatnonzero(~read)
    return Looked(vectors, seen, outside, unread, seconds)


def cut(crops: Crops, rows: IntArray) -> dict[int, Image]:
    """The pictures of some crops, which can be seen, by row."""
    pictures: dict[int, Image] = {}
    for shot in crops.shots(np.unique(rows)):
        seen = boxes.cut_out(shot.image, shot.boxes)
        pictures |= {row: crop.copy() for row, crop in zip(shot.rows.tolist(), seen, strict=True)}
    return pictures
