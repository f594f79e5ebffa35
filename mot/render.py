"""Draw tracks on a frame: boxes, ids, trails; or detections: boxes, scores."""

from __future__ import annotations

import colorsys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mot.opencv import cv2
from mot.types import Detections, Frame, Image, IntArray, Tracks

Colour = tuple[int, int, int]  # BGR
Point = tuple[int, int]

_GOLDEN = 0.618034  # successive ids lie far apart on the colour circle
_SHADES = ((0.85, 1.0), (0.6, 0.85), (1.0, 0.7), (0.45, 1.0))  # saturation, value
_FARTHEST = 1e6  # pixels; beyond it OpenCV loses count
_FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22  # pixels of its capitals at scale 1


@dataclass(frozen=True, slots=True)
class RenderSettings:
    trail: float = 2.0  # seconds of the path behind a person; 0: none
    labels: bool = True


@lru_cache(maxsize=4096)
def colour_of(track_id: int) -> Colour:
    """The same for an id everywhere and always; neighbours in number differ clearly."""
    saturation, value = _SHADES[track_id // 7 % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(track_id * _GOLDEN % 1, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def draw_detections(frame: Frame, found: Detections, names: Sequence[str] = ()) -> Image:
    """Boxes and scores, in place; with the names of the classes where there are several."""
    if frame.image is None:
        raise ValueError(f"frame {frame.index} has no image to draw on")
    pen = Pen.for_image(frame.image)
    corners = np.rint(np.clip(found.boxes, -_FARTHEST, _FARTHEST)).astype(np.int64).tolist()
    for box, label in zip(corners, found.labels.tolist(), strict=True):
        pen.box(frame.image, box, colour_of(label + 1), seen=True)
    for box, label, score in zip(corners, found.labels.tolist(), found.scores, strict=True):
        name = f"{names[label]} " if len(names) > 1 else ""
        pen.label(frame.image, f"{name}{score:.2f}", box, colour_of(label + 1))
    return frame.image


class Renderer:
    """Draws in place on the frames of one stream, in their order."""

    def __init__(self, settings: RenderSettings | None = None) -> None:
        self.settings = settings or RenderSettings()
        self._trails: dict[int, deque[tuple[float, Point]]] = {}  # id -> (time, feet)

    def draw(self, frame: Frame, tracks: Tracks) -> Image:
        """The frame's own image, drawn on."""
        if frame.image is None:
            raise ValueError(f"frame {frame.index} has no image to draw on")
        image = frame.image
        pen = Pen.for_image(image)
        corners = np.rint(np.clip(tracks.boxes, -_FARTHEST, _FARTHEST)).astype(np.int64)
        if self.settings.trail > 0:
            self._follow(frame.time, tracks.ids, corners)
            self._draw_trails(image, pen)
        for track_id, box, row in zip(
            tracks.ids.tolist(), corners.tolist(), tracks.detections.tolist(), strict=True
        ):
            pen.box(image, box, colour_of(track_id), seen=row >= 0)
        if self.settings.labels:
            for track_id, box in zip(tracks.ids.tolist(), corners.tolist(), strict=True):
                pen.label(image, str(track_id), box, colour_of(track_id))
        return image

    def _follow(self, time: float, ids: IntArray, corners: IntArray) -> None:
        """Add today's feet, forget what is older than the trail."""
        for track_id, (left, _, right, bottom) in zip(ids.tolist(), corners.tolist(), strict=True):
            trail = self._trails.setdefault(track_id, deque())
            trail.append((time, ((left + right) // 2, bottom)))
        oldest = time - self.settings.trail
        for track_id, trail in list(self._trails.items()):
            while trail and trail[0][0] < oldest:
                trail.popleft()
            if not trail:
                del self._trails[track_id]

    def _draw_trails(self, image: Image, pen: Pen) -> None:
        for track_id, trail in self._trails.items():
            pen.line(image, [point for _, point in trail], colour_of(track_id))


@dataclass(frozen=True, slots=True)
class Pen:
    """Strokes and letters in proportion to the picture."""

    stroke: int  # pixels
    letter: int  # height of a capital in pixels

    @classmethod
    def for_image(cls, image: Image) -> Pen:
        height = min(image.shape[:2])
        return cls(stroke=max(1, round(height / 360)), letter=max(8, round(height / 60)))

    def box(self, image: Image, box: list[int], colour: Colour, seen: bool) -> None:
        """A thin box where the person was predicted, not seen."""
        left, top, right, bottom = box
        stroke = self.stroke if seen else max(1, self.stroke // 2)
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, stroke)

    def line(self, image: Image, points: list[Point], colour: Colour) -> None:
        cv2.polylines(image, [np.array(points, np.int32)], False, colour, self.stroke, cv2.LINE_AA)

    def label(self, image: Image, text: str, box: list[int], colour: Colour) -> None:
        """Above the box; within the picture always."""
        scale, weight = self.letter / _FONT_HEIGHT, max(1, self.letter // 10)
        (width, height), drop = cv2.getTextSize(text, _FONT, scale, weight)
        pad = max(2, self.letter // 4)
        full_width, full_height = width + 2 * pad, height + drop + pad
        image_height, image_width = image.shape[:2]
        left = min(max(0, box[0]), max(0, image_width - full_width))
        top = min(max(0, box[1] - full_height), max(0, image_height - full_height))
        corner = (left + full_width - 1, top + full_height - 1)
        cv2.rectangle(image, (left, top), corner, colour, cv2.FILLED)
        baseline = (left + pad, top + pad // 2 + height)
        cv2.putText(image, text, baseline, _FONT, scale, _ink_on(colour), weight, cv2.LINE_AA)


def _ink_on(colour: Colour) -> Colour:
    """Black on light, white on dark."""
    blue, green, red = colour
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 120 else (255, 255, 255)
