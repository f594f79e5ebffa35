"""A detector that looks at parts of a picture one by one, for small people in large pictures.

The parts overlap, so that somebody at a border is whole in at least one of them; the whole picture
is looked at too, for the large ones. What a border has cut is dropped where the rest of it is seen.
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
Place = tuple[int, int, int, int]  # left, top, right, bottom
_MOST_IN_GRID = 16  # larger numbers in `2x2` are pixels
_AT_BORDER = 0.01  # of a tile's side: boxes that end so near a border may go on beyond it
_SAME = 0.5  # the share of a cut box that lies in another one which shows the whole


class Tiling(NamedTuple):
    """So many columns and rows, or tiles of so many pixels."""

    width: int
    height: int
    overlap: float = 0.2  # of a tile's side, with its neighbour

    @property
    def is_grid(self) -> bool:
        return max(self.width, self.height) <= _MOST_IN_GRID


def parse_tiling(text: str, overlap: float = 0.2) -> Tiling:
    """`2x2` is a grid, `640x480` a size in pixels."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise MotError(f"--tiles {text}: give COLUMNSxROWS such as 2x2, or pixels such as 640x480")
    tiling = Tiling(int(sides[0]), int(sides[1]), overlap)
    if not tiling.is_grid and min(tiling.width, tiling.height) < 2 * _MOST_IN_GRID:
        raise MotError(f"--tiles {text}: neither a grid of up to 16x16 nor a size of 32 pixels on")
    if not 0 <= overlap < 1:
        raise MotError(f"an overlap of {overlap:g}: give a share from 0 to below 1")
    return tiling


class TiledDetector:
    def __init__(self, detector: Detector, tiling: Tiling, nms_iou: float = 0.5) -> None:
        self.detector = detector
        self.network = getattr(detector, "network", None)
        self.settings = getattr(detector, "settings", None)
        self.workers = getattr(detector, "workers", 1)
        self.tiling = tiling
        self._nms = NmsSettings(iou=nms_iou, max_detections=10_000)

    def __call__(self, images: list[Image]) -> list[Detections]:
        return [self._detect(as_bgr(image)) for image in images]

    def _detect(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        places = [(0, 0, width, height), *places_of(self.tiling, width, height)]
        parts = [image[top:bottom, left:right] for left, top, right, bottom in places]
        found = self.detector(parts)
        both = list(zip(found, places, strict=True))
        cut = [_is_cut(each.boxes, place, width, height) for each, place in both]
        moved = [_moved(each, place[:2]) for each, place in both]
        seen = [_seen(each.boxes, place) for each, place in both]
        return self._merge(_joined(moved), np.concatenate(cut), np.concatenate(seen))

    def _merge(self, found: Detections, cut: Mask, seen: FloatArray) -> Detections:
        """Without what was cut and is whole elsewhere, and without what was found twice. `seen` is
        what the tiles hold of each."""
        inside = boxes.containment(seen[cut], found.boxes[~cut])
        inside *= found.labels[cut][:, None] == found.labels[~cut]
        kept = ~cut
        kept[cut] = inside.max(axis=1, initial=0.0) < _SAME
        rest = found[kept]
        return rest[nms(rest.boxes, rest.scores, rest.labels, self._nms).rows]


def places_of(tiling: Tiling, width: int, height: int) -> Iterator[Place]:
    """Tiles that cover the picture; none where the picture is no larger than one."""
    columns = _spans(width, tiling.width, tiling)
    rows = _spans(height, tiling.height, tiling)
    if len(columns) * len(rows) == 1:
        return
    for top, bottom in rows:
        for left, right in columns:
            yield left, top, right, bottom


def _spans(side: int, wanted: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Equal spans that overlap by the share wanted, or by more."""
    if tiling.is_grid:
        count = min(wanted, side)
        length = min(side, int(np.ceil(side / (1 + (count - 1) * (1 - tiling.overlap)))))
    else:
        length = min(wanted, side)
        count = 1 + int(np.ceil((side - length) / max(1.0, length * (1 - tiling.overlap))))
    starts = np.linspace(0, side - length, count).round().astype(int).tolist()
    return [(start, start + length) for start in starts]


def _is_cut(xyxy: FloatArray, place: Place, width: int, height: int) -> Mask:
    """(N,) boxes that end at a border of the tile which is not one of the picture."""
    left, top, right, bottom = place
    near = np.array([right - left, bottom - top], np.float32) * _AT_BORDER
    begins = (xyxy[:, :2] <= near) & (np.array([left, top]) > 0)
    ends = (xyxy[:, 2:] >= np.array([right - left, bottom - top]) - near) & (
        np.array([right, bottom]) < np.array([width, height])
    )
    cut: Mask = (begins | ends).any(axis=1)
    return cut


def _seen(xyxy: FloatArray, place: Place) -> FloatArray:
    """What the tile holds of its boxes, in the picture."""
    left, top, right, bottom = place
    return boxes.clip(xyxy, right - left, bottom - top) + np.array((left, top) * 2, np.float32)


def _moved(found: Detections, corner: tuple[int, int]) -> Detections:
    xyxy = found.boxes + np.array(corner * 2, np.float32)
    return Detections(xyxy, found.scores, found.labels, found.embeddings)


def _joined(parts: list[Detections]) -> Detections:
    parts = [part for part in parts if len(part)] or parts[:1]  # who finds nobody knows no looks
    looks = [part.embeddings for part in parts if part.embeddings is not None]
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(looks) if len(looks) == len(parts) else None,
    )
