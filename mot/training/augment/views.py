"""Position of an image, or of a window of it, on the canvas. Pixels and boxes move together.

Crops, random scales, zooming out and the tiles of a mosaic are all one bilinear resampling of a
window, as for detectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes as geometry
from mot.datasets.dataset import Annotations, BoolArray
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, Letterbox, Size, make_letterbox
from mot.training.augment.settings import AugmentSettings
from mot.types import FloatArray, Image, IntArray

_CROP_TRIALS = 50  # as in SSD
_MAX_ASPECT = 2.0  # of a window, width to height and height to width

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class View:
    window: Rectangle  # of the image
    target: Rectangle  # of the canvas, filled by the window


class PlacedObjects(NamedTuple):
    """The objects of an image on the canvas, also those outside the view."""

    boxes: FloatArray  # (N, 4) xyxy on the canvas, may extend beyond the view
    clipped: FloatArray  # (N, 4) xyxy, the parts of the boxes in the view
    visible: FloatArray  # (N, 4) xyxy, the parts of the objects that are still visible
    visibility: FloatArray  # (N,) share of the part visible in the image that is still visible
    labels: IntArray  # (N,)
    ignored: BoolArray  # (N,)
    ids: IntArray  # (N,)


def letterbox_view(letterbox: Letterbox) -> View:
    """The full image, as for a detector."""
    left, top = (int(value) for value in letterbox.offset)
    width, height = (
        round(side * scale) for side, scale in zip(letterbox.size, letterbox.scale, strict=True)
    )
    return View((0, 0, *letterbox.size), (left, top, left + width, top + height))


def paint_view(image: Image, view: View, canvas: Image) -> None:
    left, top, right, bottom = view.target
    x1, y1, x2, y2 = view.window
    target = canvas[top:bottom, left:right]
    cv2.resize(image[y1:y2, x1:x2], (right - left, bottom - top), dst=target)


def place_objects(annotations: Annotations, size: Size, view: View, amodal: bool) -> PlacedObjects:
    """The objects of an image of this size in a view; `amodal` boxes are not clipped to it."""
    xyxy = annotations.boxes
    visible_before = _clip(annotations.visible, (0, 0, *size))
    visible, clipped = (_clip(boxes, view.window) for boxes in (visible_before, xyxy))
    boxes = xyxy if amodal else _clip(xyxy, _cut_edges(view.window, size))
    part, full = geometry.area(visible), geometry.area(visible_before)
    return PlacedObjects(
        boxes=_to_canvas(boxes, view),
        clipped=_to_canvas(clipped, view),
        visible=_to_canvas(visible, view),
        visibility=np.divide(part, full, out=np.zeros_like(part), where=full > 0),
        labels=annotations.labels,
        ignored=annotations.ignored,
        ids=annotations.ids,
    )


def _cut_edges(window: Rectangle, size: Size) -> tuple[float, ...]:
    """The window with infinity for edges of the image: there the dataset decides on clipping."""
    ends = np.where(np.array(window) == (0, 0, *size), np.inf, window)
    return (*np.where(np.isinf(ends[:2]), -np.inf, ends[:2]), *ends[2:])


def _clip(xyxy: FloatArray, window: Sequence[float]) -> FloatArray:
    return np.clip(xyxy, _repeat(*window[:2]), _repeat(*window[2:]))


def _to_canvas(xyxy: FloatArray, view: View) -> FloatArray:
    (x1, y1, x2, y2), (left, top, right, bottom) = view.window, view.target
    scale = _repeat((right - left) / (x2 - x1), (bottom - top) / (y2 - y1))
    return (xyxy - _repeat(x1, y1)) * scale + _repeat(left, top)


def _repeat(x: float, y: float) -> FloatArray:
    """(4,) x and y for both corners of a box."""
    return np.array((x, y, x, y), np.float32)


def make_single_view(
    size: Size,
    annotations: Annotations,
    spec: InputSpec,
    target: Size,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> View:
    """One image of this size, possibly cropped, at a random scale. `target`: size of the canvas."""
    window: Rectangle = (0, 0, *size)
    if rng.random() < settings.crop:
        objects = annotations.boxes[~annotations.ignored]
        window = choose_crop_window(size, objects, settings, rng)
    sides = window[2] - window[0], window[3] - window[1]
    letterbox = make_letterbox(sides, spec, target)
    scale = rng.uniform(*settings.scale)
    if rng.random() < settings.zoom_out:
        scale /= rng.uniform(1, settings.zoom_out_max)
    if scale == 1:
        return View(window, letterbox_view(letterbox).target)
    return _place_randomly(window, letterbox, scale, (0, 0, *target), rng)


def make_tile_view(
    size: Size,
    spec: InputSpec,
    target: Size,
    tile: Rectangle,
    scale_range: tuple[float, float],
    rng: np.random.Generator,
) -> View:
    """One image in its tile of a mosaic, at a random scale."""
    scale = rng.uniform(*scale_range)
    return _place_randomly((0, 0, *size), make_letterbox(size, spec, target), scale, tile, rng)


def make_mosaic_tiles(target: Size, rng: np.random.Generator) -> list[Rectangle]:
    """Four tiles of the canvas, which meet at a point in its middle half."""
    width, height = target
    x, y = (int(side * rng.uniform(0.25, 0.75)) for side in target)
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _place_randomly(
    window: Rectangle,
    letterbox: Letterbox,
    scale: float,
    space: Rectangle,
    rng: np.random.Generator,
) -> View:
    """A window at `scale` times its letterboxed size: cut if it is larger than the space of the
    canvas, at a random position if it is smaller."""
    ratios = letterbox.scale[0] * scale, letterbox.scale[1] * scale
    x1, x2, left, right = _place_axis(window[::2], ratios[0], space[::2], rng)
    y1, y2, top, bottom = _place_axis(window[1::2], ratios[1], space[1::2], rng)
    return View((x1, y1, x2, y2), (left, top, right, bottom))


def _place_axis(
    window: tuple[int, ...], ratio: float, space: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Start and end in the image, and on the canvas."""
    side, available = window[1] - window[0], space[1] - space[0]
    used = min(side, max(1, round(available / ratio)))
    filled = min(available, max(1, round(used * ratio)))
    start = window[0] + int(rng.integers(side - used + 1))
    target = space[0] + int(rng.integers(available - filled + 1))
    return start, start + used, target, target + filled


def choose_crop_window(
    size: Size, objects: FloatArray, settings: AugmentSettings, rng: np.random.Generator
) -> Rectangle:
    """The first random window with a fitting aspect and overlap (Liu et al., SSD, 2016), else the
    full image.

    torchvision's RandomIoUCrop tries windows one by one: 20 ms per image instead of 0.2 ms. It also
    divides by zero if a side is one pixel.
    """
    sides = np.maximum(
        1, np.array(size) * rng.uniform(settings.crop_min_scale, 1, (_CROP_TRIALS, 2))
    )
    sides = sides.astype(np.int64)
    corners = (rng.random((_CROP_TRIALS, 2)) * (np.array(size) + 1 - sides)).astype(np.int64)
    windows = np.concatenate([corners, corners + sides], axis=1)
    min_ious = rng.choice(np.array(settings.crop_min_ious), _CROP_TRIALS)
    aspects = sides[:, 0] / sides[:, 1]
    fits = (aspects <= _MAX_ASPECT) & (aspects >= 1 / _MAX_ASPECT)
    if len(objects):
        fits &= _max_ious(objects, windows) >= min_ious
    if not fits.any():
        return (0, 0, *size)
    left, top, right, bottom = windows[fits.argmax()].tolist()
    return left, top, right, bottom


def _max_ious(objects: FloatArray, windows: npt.NDArray[Any]) -> FloatArray:
    """(T,) maximum IoU of each window with an object whose center is in it, else -1."""
    centers = (objects[:, :2] + objects[:, 2:]) / 2  # (N, 2)
    inside = (centers > windows[:, None, :2]) & (centers < windows[:, None, 2:])
    best: FloatArray = np.where(
        inside.all(axis=2), geometry.iou(windows.astype(np.float32), objects), np.float32(-1)
    ).max(axis=1)
    return best
