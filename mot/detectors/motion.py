"""Detects upright things that move in front of a static camera: no weights, no network.

A mixture of Gaussians per pixel (Zivkovic, 2004) models the background; the foreground without its
shadows is grouped into boxes. The detector does not tell persons from other moving things, misses
those who stand still for long, and needs a camera that does not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.opencv import cv2
from mot.runtime.preprocess import as_bgr
from mot.types import Detections, Detector, FloatArray, Image

_MIN_SIDE = 16  # pixels; smaller images have no detections
_SHADOW = 127  # the subtractor's grey level of shadows; the foreground is 255


@dataclass(frozen=True, slots=True)
class MotionSettings:
    width: int = 640  # pixels; wider images are shrunk to it
    history: int = 300  # frames that the background model covers
    min_height: float = 0.05  # of a box, as a share of the image height
    max_aspect: float = 1.1  # width / height of a box
    min_fill: float = 0.3  # share of the box that is foreground


class MotionDetector(Detector):
    """Detects moving objects in one stream, whose background it learns."""

    is_stateful = True

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
        if min(height, width) < _MIN_SIDE:
            return Detections.empty()
        scale = min(1.0, self.settings.width / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        mask = self._background.apply(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        self._frames += 1
        if self._frames == 1:  # everything is foreground
            return Detections.empty()
        _, mask = cv2.threshold(mask, _SHADOW, 255, cv2.THRESH_BINARY)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        xyxy, scores = self._filter_components(stats[1:].astype(np.float32), size[1])
        return Detections.from_boxes(boxes.clip(xyxy / np.float32(scale), width, height), scores)

    def _filter_components(
        self, stats: FloatArray, image_height: int
    ) -> tuple[FloatArray, FloatArray]:
        """(N, 4) xyxy and (N,) scores, from the left, top, width, height and area of each
        component; the more of a box is foreground, the higher is its score."""
        left, top, width, height, area = stats.T
        fill = area / np.maximum(width * height, 1)
        is_upright = height >= self.settings.min_height * image_height
        is_upright &= (width <= self.settings.max_aspect * height) & (
            fill >= self.settings.min_fill
        )
        corners = np.stack([left, top, left + width, top + height], axis=1)[is_upright]
        return corners, np.minimum(1, 0.3 + fill[is_upright])
