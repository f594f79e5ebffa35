"""People as upright things that move before a fixed camera: no weights, no network.

A mixture of Gaussians for each pixel (Zivkovic, 2004) learns the background; what differs from it,
less its shadows, is grouped into boxes. It does not know a person from a dog, sees nobody who
stands still for long, and needs a camera that does not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.opencv import cv2
from mot.runtime.preprocess import as_bgr
from mot.types import Detections, FloatArray, Image

_LEAST_SIDE = 16  # pixels of a picture in which anybody could be told
_SHADOW = 127  # the subtractor's grey level for shadows; moving things are 255


@dataclass(frozen=True, slots=True)
class MotionSettings:
    width: int = 640  # pixels that pictures are shrunk to
    history: int = 300  # frames that the background is learned over
    min_height: float = 0.05  # of a person, as a share of the picture's height
    widest: float = 1.1  # width / height; people are upright
    min_fill: float = 0.3  # share of the box that moves


class MotionDetector:
    """For one stream: it remembers the background."""

    remembers = True

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self.settings = settings or MotionSettings()
        self._frames = 0
        self._background = cv2.createBackgroundSubtractorMOG2(
            history=self.settings.history, detectShadows=True
        )

    def __call__(self, images: list[Image]) -> list[Detections]:
        return [self._detect(as_bgr(image)) for image in images]

    def _detect(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        if min(height, width) < _LEAST_SIDE:
            return Detections.empty()
        scale = min(1.0, self.settings.width / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        mask = self._background.apply(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        self._frames += 1
        if self._frames == 1:  # everything is new
            return Detections.empty()
        _, mask = cv2.threshold(mask, _SHADOW, 255, cv2.THRESH_BINARY)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        xyxy, fill = self._people(stats[1:].astype(np.float32), size[1])
        return Detections.from_boxes(boxes.clip(xyxy / np.float32(scale), width, height), fill)

    def _people(self, stats: FloatArray, picture_height: int) -> tuple[FloatArray, FloatArray]:
        """(N, 4) xyxy and how much of each box moves, from left, top, width, height, area."""
        left, top, width, height, area = stats.T
        fill = area / np.maximum(width * height, 1)
        likely = height >= self.settings.min_height * picture_height
        likely &= (width <= self.settings.widest * height) & (fill >= self.settings.min_fill)
        corners = np.stack([left, top, left + width, top + height], axis=1)[likely]
        return corners, np.minimum(1, 0.3 + fill[likely])
