"""Where an image, or a window of it, lies on the canvas; its pixels and its boxes move as one.

Crops, jittered scales, zooming out and the tiles of a mosaic are all one resampling of a window,
the same bilinear one with which detectors see.
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

_TRIALS = 50  # windows that are tried, as SSD does
_WIDEST = 2.0  # of a window, width to height and height to width

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class View:
    window: Rectangle  # of the image
    inner: Rectangle  # of the canvas, filled by the window


class Shown(NamedTuple):
    """The objects of an image, and what the canvas holds of them: of some nothing."""

    boxes: FloatArray  # (N, 4) xyxy on the canvas, maybe beyond its edges
    inside: FloatArray  # (N, 4) xyxy of what the canvas holds of each box
    visible: FloatArray  # (N, 4) xyxy of what is still seen of the object
    share: FloatArray  # (N,) of what was seen in the image
    labels: IntArray  # (N,)
    ignored: BoolArray  # (N,)
    ids: IntArray  # (N,)


def fitted(placed: Letterbox) -> View:
    """The full image, letterboxed as for a detector."""
    left, top = (int(value) for value in placed.offset)
    width, height = (
        round(side * scale) for side, scale in zip(placed.size, placed.scale, strict=True)
    )
    return View((0, 0, *placed.size), (left, top, left + width, top + height))


def paint(image: Image, view: View, canvas: Image) -> None:
    left, top, right, bottom = view.inner
    x1, y1, x2, y2 = view.window
    inner = canvas[top:bottom, left:right]
    cv2.resize(image[y1:y2, x1:x2], (right - left, bottom - top), dst=inner)


def show(annotations: Annotations, size: Size, view: View, amodal: bool) -> Shown:
    """The objects in a view; `amodal` boxes are not clipped to it."""
    xyxy = annotations.boxes
    seen = _within(annotations.visible, (0, 0, *size))
    visible, inside = (_within(boxes, view.window) for boxes in (seen, xyxy))
    boxes = xyxy if amodal else _within(xyxy, _cutting(view.window, size))
    return Shown(
        boxes=_moved(boxes, view),
        inside=_moved(inside, view),
        visible=_moved(visible, view),
        share=_share(geometry.area(visible), geometry.area(seen)),
        labels=annotations.labels,
        ignored=annotations.ignored,
        ids=annotations.ids,
    )


def _share(part: FloatArray, full: FloatArray) -> FloatArray:
    share: FloatArray = np.divide(part, full, out=np.zeros_like(part), where=full > 0)
    return share


def _cutting(window: Rectangle, size: Size) -> tuple[float, ...]:
    """The view's edges within the image; the image's own edges cut as the dataset says."""
    ends = np.where(np.array(window) == (0, 0, *size), np.inf, window)
    return (*np.where(np.isinf(ends[:2]), -np.inf, ends[:2]), *ends[2:])


def _within(xyxy: FloatArray, window: Sequence[float]) -> FloatArray:
    return np.clip(xyxy, _twice(*window[:2]), _twice(*window[2:]))


def _moved(xyxy: FloatArray, view: View) -> FloatArray:
    (x1, y1, x2, y2), (left, top, right, bottom) = view.window, view.inner
    scale = _twice((right - left) / (x2 - x1), (bottom - top) / (y2 - y1))
    return (xyxy - _twice(x1, y1)) * scale + _twice(left, top)


def _twice(x: float, y: float) -> FloatArray:
    """Of both corners of a box."""
    return np.array((x, y, x, y), np.float32)


def single_view(
    size: Size,
    annotations: Annotations,
    spec: InputSpec,
    target: Size,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> View:
    """An image alone: maybe a window of it, at a size drawn at random."""
    window: Rectangle = (0, 0, *size)
    if rng.random() < settings.crop:
        window = crop_window(size, annotations.boxes[~annotations.ignored], settings, rng)
    sides = window[2] - window[0], window[3] - window[1]
    placed = make_letterbox(sides, spec, target)
    scale = rng.uniform(*settings.scale)
    if rng.random() < settings.zoom_out:
        scale /= rng.uniform(1, settings.zoom_out_max)
    if scale == 1:
        return View(window, fitted(placed).inner)
    return _at_random(window, _scaled(placed, scale), (0, 0, *target), rng)


def tile_view(
    size: Size,
    spec: InputSpec,
    target: Size,
    tile: Rectangle,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> View:
    """An image in its part of a mosaic."""
    scale = rng.uniform(*settings.mosaic_scale)
    return _at_random((0, 0, *size), _scaled(make_letterbox(size, spec, target), scale), tile, rng)


def mosaic_tiles(target: Size, rng: np.random.Generator) -> list[Rectangle]:
    """Four parts of the canvas around a point in its middle half."""
    width, height = target
    x, y = (int(side * rng.uniform(0.25, 0.75)) for side in target)
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _scaled(placed: Letterbox, scale: float) -> tuple[float, float]:
    return placed.scale[0] * scale, placed.scale[1] * scale


def _at_random(
    window: Rectangle, ratios: tuple[float, float], room: Rectangle, rng: np.random.Generator
) -> View:
    """What is too large for the room is cut, what is smaller lies anywhere in it."""
    x1, x2, left, right = _axis(window[::2], ratios[0], room[::2], rng)
    y1, y2, top, bottom = _axis(window[1::2], ratios[1], room[1::2], rng)
    return View((x1, y1, x2, y2), (left, top, right, bottom))


def _axis(
    window: tuple[int, ...], ratio: float, room: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    side, space = window[1] - window[0], room[1] - room[0]
    taken = min(side, max(1, round(space / ratio)))
    filled = min(space, max(1, round(taken * ratio)))
    start = window[0] + int(rng.integers(side - taken + 1))
    first = room[0] + int(rng.integers(space - filled + 1))
    return start, start + taken, first, first + filled


def crop_window(
    size: Size, objects: FloatArray, settings: AugmentSettings, rng: np.random.Generator
) -> Rectangle:
    """The first window that fits in shape and objects (Liu et al., SSD, 2016), else all.

    torchvision's RandomIoUCrop draws the same one by one: 20 ms an image where this takes 0.2,
    and it divides by zero where a side is of one pixel.
    """
    sides = np.maximum(1, np.array(size) * rng.uniform(settings.crop_min, 1, (_TRIALS, 2)))
    sides = sides.astype(np.int64)
    corners = (rng.random((_TRIALS, 2)) * (np.array(size) + 1 - sides)).astype(np.int64)
    windows = np.concatenate([corners, corners + sides], axis=1)
    overlaps = rng.choice(np.array(settings.crop_overlaps), _TRIALS)
    aspects = sides[:, 0] / sides[:, 1]
    fits = (aspects <= _WIDEST) & (aspects >= 1 / _WIDEST)
    if len(objects):
        fits &= _best_overlap(objects, windows) >= overlaps
    if not fits.any():
        return (0, 0, *size)
    left, top, right, bottom = windows[fits.argmax()].tolist()
    return left, top, right, bottom


def _best_overlap(objects: FloatArray, windows: npt.NDArray[Any]) -> FloatArray:
    """(T,) the greatest IoU of each window with an object whose center it holds, else -1."""
    centres = (objects[:, :2] + objects[:, 2:]) / 2  # (N, 2)
    inside = (centres > windows[:, None, :2]) & (centres < windows[:, None, 2:])
    best: FloatArray = np.where(
        inside.all(axis=2), geometry.iou(windows.astype(np.float32), objects), np.float32(-1)
    ).max(axis=1)
    return best
