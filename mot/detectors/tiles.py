"""Tiled detection: finds small objects in large images by detecting in overlapping tiles too.

The tiles overlap, so that an object at a border is complete in at least one of them; the full image
is searched as well, for large objects. A box that a tile's border cuts is dropped if another one
contains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.detectors.nms import NmsSettings, nms
from mot.errors import MotError
from mot.runtime.preprocess import as_bgr
from mot.types import Detections, Detector, FloatArray, Image

Mask = npt.NDArray[np.bool_]
Tile = tuple[int, int, int, int]  # left, top, right, bottom
_MAX_GRID = 16  # columns or rows; larger numbers in `2x2` are pixels
_BORDER = 0.01  # of a tile's side: a box that ends this near a border may continue beyond it
_MIN_CONTAINED = 0.5  # fraction of a cut box inside a box that is not cut: the same object


class Tiling(NamedTuple):
    """Numbers of columns and rows, or the size of the tiles in pixels."""

    width: int
    height: int
    overlap: float = 0.2  # of neighbors, as a share of a tile's side

    @property
    def is_grid(self) -> bool:
        return max(self.width, self.height) <= _MAX_GRID


def parse_tiling(text: str, overlap: float = 0.2) -> Tiling:
    """`2x2` is a grid, `640x480` a size in pixels."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise MotError(f"--tiles {text}: give COLUMNSxROWS such as 2x2, or pixels such as 640x480")
    tiling = Tiling(int(sides[0]), int(sides[1]), overlap)
    if not tiling.is_grid and min(tiling.width, tiling.height) < 2 * _MAX_GRID:
        raise MotError(f"--tiles {text}: neither a grid of up to 16x16 nor a size of 32 pixels on")
    if not 0 <= overlap < 1:
        raise MotError(f"an overlap of {overlap:g}: give a share from 0 to below 1")
    return tiling


class TiledDetector(Detector):
    """Runs another detector on the full image and on tiles of it, and merges the detections.

    Args:
        detector: must be stateless.
        tiling: an image no larger than one tile is not divided.
        nms_iou: maximum IoU of two detections of different tiles.
    """

    def __init__(self, detector: Detector, tiling: Tiling, nms_iou: float = 0.5) -> None:
        self.detector = detector
        self.names = detector.names
        self.workers = detector.workers
        self.batch = detector.batch
        self.tiling = tiling
        self._nms = NmsSettings(iou=nms_iou, max_detections=10_000)

    def __call__(self, images: list[Image]) -> list[Detections]:
        return [self._detect(as_bgr(image)) for image in images]

    def _detect(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        tiles = [(0, 0, width, height), *make_tiles(self.tiling, width, height)]
        crops = [image[top:bottom, left:right] for left, top, right, bottom in tiles]
        pairs = list(zip(self.detector(crops), tiles, strict=True))
        is_cut = [_is_cut(found.boxes, tile, width, height) for found, tile in pairs]
        visible = [_clip_to_tile(found.boxes, tile) for found, tile in pairs]
        found = _concatenate([_shift(found, tile[:2]) for found, tile in pairs])
        return self._merge(found, np.concatenate(is_cut), np.concatenate(visible))

    def _merge(self, found: Detections, is_cut: Mask, visible: FloatArray) -> Detections:
        """Drops cut boxes that another box contains, and duplicates; `visible` are the parts of
        the boxes inside their tiles."""
        contained = boxes.containment(visible[is_cut], found.boxes[~is_cut])
        contained *= found.labels[is_cut][:, None] == found.labels[~is_cut]
        kept = ~is_cut
        kept[is_cut] = contained.max(axis=1, initial=0.0) < _MIN_CONTAINED
        rest = found[kept]
        return rest[nms(rest.boxes, rest.scores, rest.labels, self._nms).rows]


def make_tiles(tiling: Tiling, width: int, height: int) -> Iterator[Tile]:
    """Tiles that cover an image; none if a single tile would."""
    columns = _make_spans(width, tiling.width, tiling)
    rows = _make_spans(height, tiling.height, tiling)
    if len(columns) * len(rows) == 1:
        return
    for top, bottom in rows:
        for left, right in columns:
            yield left, top, right, bottom


def _make_spans(side: int, wanted: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Spans of equal length that overlap by at least `tiling.overlap`."""
    if tiling.is_grid:
        count = min(wanted, side)
        length = min(side, int(np.ceil(side / (1 + (count - 1) * (1 - tiling.overlap)))))
    else:
        length = min(wanted, side)
        count = 1 + int(np.ceil((side - length) / max(1.0, length * (1 - tiling.overlap))))
    starts = np.linspace(0, side - length, count).round().astype(int).tolist()
    return [(start, start + length) for start in starts]


def _is_cut(xyxy: FloatArray, tile: Tile, width: int, height: int) -> Mask:
    """(N,) boxes that end at a border of the tile that is not one of the image."""
    left, top, right, bottom = tile
    near = np.array([right - left, bottom - top], np.float32) * _BORDER
    begins = (xyxy[:, :2] <= near) & (np.array([left, top]) > 0)
    ends = (xyxy[:, 2:] >= np.array([right - left, bottom - top]) - near) & (
        np.array([right, bottom]) < np.array([width, height])
    )
    cut: Mask = (begins | ends).any(axis=1)
    return cut


def _clip_to_tile(xyxy: FloatArray, tile: Tile) -> FloatArray:
    """Boxes of a tile, clipped to it, in pixels of the image."""
    left, top, right, bottom = tile
    return boxes.clip(xyxy, right - left, bottom - top) + np.array((left, top) * 2, np.float32)


def _shift(found: Detections, corner: tuple[int, int]) -> Detections:
    xyxy = found.boxes + np.array(corner * 2, np.float32)
    return Detections(xyxy, found.scores, found.labels, found.embeddings)


def _concatenate(parts: list[Detections]) -> Detections:
    parts = [part for part in parts if len(part)] or parts[:1]  # empty parts have no embeddings
    embeddings = [part.embeddings for part in parts if part.embeddings is not None]
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(embeddings) if len(embeddings) == len(parts) else None,
    )
