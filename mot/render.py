"""Drawing on frames: tracks with boxes, ids and trails, or detections with boxes and scores."""

from __future__ import annotations

import colorsys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mot.opencv import cv2
from mot.types import Detections, FloatArray, Frame, Image, IntArray, Tracks

Color = tuple[int, int, int]  # BGR
Point = tuple[int, int]

_GOLDEN_RATIO = 0.618034  # spreads the hues of successive ids over the color circle
_SHADES = ((0.85, 1.0), (0.6, 0.85), (1.0, 0.7), (0.45, 1.0))  # saturation, value
_FARTHEST = 1e6  # pixels; OpenCV overflows beyond
_FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22  # pixels, of capitals at scale 1


@dataclass(frozen=True, slots=True)
class RenderSettings:
    trail: float = 2.0  # seconds of the trail behind a track; 0: none
    labels: bool = True  # track ids


@lru_cache(maxsize=4096)
def color_of(track_id: int) -> Color:
    """A fixed color per id; ids that are close in number get clearly different colors."""
    saturation, value = _SHADES[track_id // 7 % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(track_id * _GOLDEN_RATIO % 1, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def draw_detections(frame: Frame, detections: Detections, names: Sequence[str] = ()) -> Image:
    """Draw boxes and scores on the frame's image in place, with class names if there are several.

    Args:
        names: class names by label.
    """
    if frame.image is None:
        raise ValueError(f"frame {frame.index} has no image to draw on")
    pen = Pen.for_image(frame.image)
    corners = _pixel_corners(detections.boxes).tolist()
    labels = detections.labels.tolist()
    for box, label in zip(corners, labels, strict=True):
        pen.box(frame.image, box, color_of(label + 1))
    for box, label, score in zip(corners, labels, detections.scores, strict=True):
        name = f"{names[label]} " if len(names) > 1 else ""
        pen.label(frame.image, f"{name}{score:.2f}", box, color_of(label + 1))
    return frame.image


class Renderer:
    """Draws the tracks of one stream on its frames: boxes, ids and the trails behind them.

    Call `draw` on the frames in their order; one renderer per stream, since it keeps the trails.

    >>> import numpy as np
    >>> from mot.types import Frame, Tracks
    >>> renderer = Renderer(RenderSettings(trail=1.0))
    >>> frame = Frame(np.zeros((480, 640, 3), np.uint8), index=1, time=0.0)
    >>> renderer.draw(frame, Tracks.empty()).shape
    (480, 640, 3)
    """

    def __init__(self, settings: RenderSettings | None = None) -> None:
        self.settings = settings or RenderSettings()
        self._trails: dict[int, deque[tuple[float, Point]]] = {}  # id -> (time, foot point)

    def draw(self, frame: Frame, tracks: Tracks) -> Image:
        """Draw on the frame's image in place and return it.

        Predicted boxes (`tracks.detections` -1) get a thinner line.
        """
        if frame.image is None:
            raise ValueError(f"frame {frame.index} has no image to draw on")
        image = frame.image
        pen = Pen.for_image(image)
        corners = _pixel_corners(tracks.boxes)
        if self.settings.trail > 0:
            self._update_trails(frame.time, tracks.ids, corners)
            for track_id, trail in self._trails.items():
                pen.line(image, [point for _, point in trail], color_of(track_id))
        for track_id, box, row in zip(
            tracks.ids.tolist(), corners.tolist(), tracks.detections.tolist(), strict=True
        ):
            pen.box(image, box, color_of(track_id), thin=row < 0)
        if self.settings.labels:
            for track_id, box in zip(tracks.ids.tolist(), corners.tolist(), strict=True):
                pen.label(image, str(track_id), box, color_of(track_id))
        return image

    def _update_trails(self, time: float, ids: IntArray, corners: IntArray) -> None:
        """Append the foot points of this frame and remove points older than the trail."""
        for track_id, (left, _, right, bottom) in zip(ids.tolist(), corners.tolist(), strict=True):
            trail = self._trails.setdefault(track_id, deque())
            trail.append((time, ((left + right) // 2, bottom)))
        oldest = time - self.settings.trail
        for track_id, trail in list(self._trails.items()):
            while trail and trail[0][0] < oldest:
                trail.popleft()
            if not trail:
                del self._trails[track_id]


def _pixel_corners(boxes: FloatArray) -> IntArray:
    """(N, 4) rounded corners within the range that OpenCV can draw."""
    corners: IntArray = np.rint(np.clip(boxes, -_FARTHEST, _FARTHEST)).astype(np.int64)
    return corners


@dataclass(frozen=True, slots=True)
class Pen:
    """Line width and letter size, in proportion to the image."""

    stroke: int  # pixels
    letter: int  # height of a capital in pixels

    @classmethod
    def for_image(cls, image: Image) -> Pen:
        height = min(image.shape[:2])
        return cls(stroke=max(1, round(height / 360)), letter=max(8, round(height / 60)))

    def box(self, image: Image, box: list[int], color: Color, thin: bool = False) -> None:
        """A rectangle; `box` is xyxy, half-open. `thin` halves the line width."""
        left, top, right, bottom = box
        stroke = max(1, self.stroke // 2) if thin else self.stroke
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), color, stroke)

    def line(self, image: Image, points: list[Point], color: Color) -> None:
        cv2.polylines(image, [np.array(points, np.int32)], False, color, self.stroke, cv2.LINE_AA)

    def label(self, image: Image, text: str, box: list[int], color: Color) -> None:
        """Text on a filled rectangle above the box, moved to lie inside the image."""
        scale, weight = self.letter / _FONT_HEIGHT, max(1, self.letter // 10)
        (width, height), descent = cv2.getTextSize(text, _FONT, scale, weight)
        pad = max(2, self.letter // 4)
        full_width, full_height = width + 2 * pad, height + descent + pad
        image_height, image_width = image.shape[:2]
        left = min(max(0, box[0]), max(0, image_width - full_width))
        top = min(max(0, box[1] - full_height), max(0, image_height - full_height))
        corner = (left + full_width - 1, top + full_height - 1)
        cv2.rectangle(image, (left, top), corner, color, cv2.FILLED)
        baseline = (left + pad, top + pad // 2 + height)
        ink = _text_color(color)
        cv2.putText(image, text, baseline, _FONT, scale, ink, weight, cv2.LINE_AA)


def _text_color(background: Color) -> Color:
    """Black on light colors, white on dark ones."""
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 120 else (255, 255, 255)
