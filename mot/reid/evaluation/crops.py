"""Crops of objects, from image files or from frames of a sequence, and their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot.boxes import crop_images
from mot.datasets.images import decode
from mot.errors import MotError
from mot.files import read_bytes
from mot.reid.embedder import Embedder
from mot.types import FloatArray, Image, IntArray
from mot.video.background import in_background
from mot.video.footage import Footage

_SHEET = 64  # crop files that are joined into one image


class CropBatch(NamedTuple):
    """An image and the boxes of M crops in it."""

    rows: IntArray  # (M,) numbers of the crops
    image: Image
    boxes: FloatArray  # (M, 4) xyxy


@dataclass(frozen=True, slots=True)
class CropFiles:
    """Crops that are image files."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def batch_count(self) -> int:
        return -(-len(self.paths) // _SHEET)

    def name(self, row: int) -> str:
        path = self.paths[row]
        return f"{path.parent.name}/{path.name}"

    def batches(self, rows: IntArray) -> Iterator[CropBatch]:
        """Joins several files side by side, to be embedded in one batch; skips unreadable ones."""
        for start in range(0, len(rows), _SHEET):
            read = {row: _read(self.paths[row]) for row in rows[start : start + _SHEET].tolist()}
            images = {row: image for row, image in read.items() if image is not None}
            if images:
                yield _join(images)


def _read(path: Path) -> Image | None:
    try:
        return decode(read_bytes(path), path)
    except MotError:
        return None


def _join(images: Mapping[int, Image]) -> CropBatch:
    sizes = np.array([image.shape[:2] for image in images.values()], np.int64)  # height, width
    right = sizes[:, 1].cumsum()
    left = right - sizes[:, 1]
    sheet = np.zeros((sizes[:, 0].max(), right[-1], 3), np.uint8)
    for image, column in zip(images.values(), left.tolist(), strict=True):
        sheet[: image.shape[0], column : column + image.shape[1]] = image
    corners = np.stack([left, np.zeros_like(left), right, sizes[:, 0]], axis=1)
    return CropBatch(np.array(list(images), np.int64), sheet, corners.astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class FrameCrops:
    """Crops that are boxes in the frames of a sequence."""

    footage: Footage
    frames: IntArray  # (N,) from 1
    xyxy: FloatArray  # (N, 4) in pixels of a frame of `size`
    size: tuple[int, int] | None  # width, height; None: the size of the images

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def batch_count(self) -> int:
        return len(np.unique(self.frames))

    def name(self, row: int) -> str:
        return f"frame {self.frames[row]}"

    def batches(self, rows: IntArray) -> Iterator[CropBatch]:
        """One batch per frame; skips frames without an image."""
        frames = self.frames[rows]
        for number, image in self.footage.frames(set(frames.tolist())):
            here = rows[frames == number]
            yield CropBatch(here, image, self.xyxy[here] * self._scale(image))

    def _scale(self, image: Image) -> FloatArray:
        """(4,) factors, for videos in a smaller size than the ground truth."""
        height, width = image.shape[:2]
        wide, high = self.size or (width, height)
        return np.array([width / wide, height / high] * 2, np.float32)


Crops = CropFiles | FrameCrops


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedCrops:
    """Embeddings of N crops."""

    vectors: FloatArray  # (N, D); zeros for crops that are not valid
    valid: npt.NDArray[np.bool_]  # (N,)
    outside: IntArray  # rows of crops without pixels in their image
    unreadable: IntArray  # rows of crops whose image is missing or cannot be read
    seconds: float  # time of the embedder


def embed_crops(crops: Crops, embedder: Embedder, on_batch: Callable[[int], None]) -> EmbeddedCrops:
    """Embeds all crops; `on_batch` is called with the number of crops in each batch."""
    read = np.zeros(len(crops), np.bool_)
    valid = read.copy()
    rows, found, seconds = [np.zeros(0, np.int64)], [], 0.0
    with closing(in_background(crops.batches(np.arange(len(crops))), depth=4)) as batches:
        for batch in batches:
            images = crop_images(batch.image, batch.boxes)
            inside = np.array([image.size > 0 for image in images], np.bool_)
            began = perf_counter()
            if inside.any():
                found.append(embedder(batch.image, batch.boxes[inside]))
                rows.append(batch.rows[inside])
            seconds += perf_counter() - began
            read[batch.rows], valid[batch.rows] = True, inside
            on_batch(len(batch.rows))
    vectors = np.zeros((len(crops), found[0].shape[1] if found else 0), np.float32)
    vectors[np.concatenate(rows)] = np.concatenate([*found, vectors[:0]])
    outside, unreadable = np.flatnonzero(read & ~valid), np.flatnonzero(~read)
    return EmbeddedCrops(vectors, valid, outside, unreadable, seconds)


def read_crops(crops: Crops, rows: IntArray) -> dict[int, Image]:
    """Images of valid crops, by row."""
    images: dict[int, Image] = {}
    for batch in crops.batches(np.unique(rows)):
        found = crop_images(batch.image, batch.boxes)
        images |= {row: crop.copy() for row, crop in zip(batch.rows.tolist(), found, strict=True)}
    return images
