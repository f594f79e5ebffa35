"""Preprocessing: images of any size to a network's input batch, and boxes back to the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.errors import MotError
from mot.opencv import cv2
from mot.types import FloatArray, Image

Size = tuple[int, int]  # width, height
_MAX_PIXELS = 1 << 26  # of a network's input
_GROUP = 1 << 18  # pixels that are normalized in one call: more would leave the CPU cache
_PIXEL_RATIO = 1.02  # upper limit of the pixels of an input of another shape
Blob = npt.NDArray[np.float32]  # (B, 3, H, W)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Input format of a network, which takes `(value / 255 - mean) / std` per channel."""

    size: Size = (640, 640)
    stride: int = 32  # sides are multiples of it
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the order of the network's channels
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    is_rgb: bool = True
    keeps_aspect: bool = True  # pads with `margin`; otherwise stretches
    margin: int = 114  # grey level of the padding
    is_fixed: bool = False  # the network takes no other size
    amodal: bool = False  # boxes may extend beyond the image


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Position of an image in the network input: x' = x * scale + offset."""

    size: Size  # of the image
    scale: tuple[float, float]
    offset: tuple[float, float]
    amodal: bool = False  # boxes may extend beyond the image

    def restore(self, xyxy: FloatArray) -> FloatArray:
        """Converts boxes of the input to pixels of the image; clips them unless amodal."""
        scale = np.array(self.scale * 2, np.float32)
        offset = np.array(self.offset * 2, np.float32)
        restored: FloatArray = (xyxy - offset) / scale
        return restored if self.amodal else boxes.clip(restored, *self.size)


def as_bgr(image: npt.NDArray[Any]) -> Image:
    """Converts a grey or BGRA image to BGR; refuses anything but uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise MotError(f"images must be arrays of uint8 from 0 to 255, not of {kind}")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if not image.size or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
        raise MotError(f"images must have the shape (height, width, 3), not {image.shape}")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def make_letterbox(size: Size, spec: InputSpec, target: Size) -> Letterbox:
    """Centers an image of `size` in a `target` input, as large as fits, or stretches it."""
    ratios = target[0] / size[0], target[1] / size[1]
    if not spec.keeps_aspect:
        return Letterbox(size, ratios, (0.0, 0.0), spec.amodal)
    ratio = _fit_ratio(size, target)
    inner = [max(1, round(side * ratio)) for side in size]
    offset = [(full - side) // 2 for full, side in zip(target, inner, strict=True)]
    scale = inner[0] / size[0], inner[1] / size[1]
    return Letterbox(size, scale, (float(offset[0]), float(offset[1])), spec.amodal)


def make_batch(
    images: Sequence[Image], spec: InputSpec, target: Size
) -> tuple[Image, list[Letterbox]]:
    """(B, H, W, 3) uint8 BGR canvas of size `target`, and the letterbox of each image in it."""
    canvas = np.full((len(images), target[1], target[0], 3), spec.margin, np.uint8)
    letterboxes = []
    for layer, image in zip(canvas, images, strict=True):
        height, width = image.shape[:2]
        letterbox = make_letterbox((width, height), spec, target)
        left, top = (int(value) for value in letterbox.offset)
        inner = round(width * letterbox.scale[0]), round(height * letterbox.scale[1])
        # Bilinear, as in training: area interpolation takes longer than a small network and
        # detects no more.
        cv2.resize(image, inner, dst=layer[top : top + inner[1], left : left + inner[0]])
        letterboxes.append(letterbox)
    return canvas, letterboxes


def normalize(canvas: Image, spec: InputSpec) -> Blob:
    """Network input of a (B, H, W, 3) uint8 BGR canvas."""
    count, height, width, _ = canvas.shape
    blob = np.empty((count, 3, height, width), np.float32)
    step = max(1, _GROUP // max(1, height * width))
    for start in range(0, count, step):
        images, planes = canvas[start : start + step], blob[start : start + step]
        # Splitting is several times faster than strided reading.
        channels = cv2.split(images.reshape(-1, width, 3))
        for index, (channel, mean, std) in enumerate(
            zip(channels[::-1] if spec.is_rgb else channels, spec.mean, spec.std, strict=True)
        ):
            plane = planes[:, index]
            np.multiply(channel.reshape(plane.shape), np.float32(1 / (255 * std)), out=plane)
            if mean:
                plane -= np.float32(mean / std)
    return blob


@lru_cache
def match_aspect(size: Size, image: Size, stride: int) -> Size:
    """Input size with about as many pixels as `size` in which `image` fits at the largest scale."""
    count = int(size[0] * size[1] * _PIXEL_RATIO) // stride**2
    widths = range(1, count + 1)
    sizes = [(width * stride, count // width * stride) for width in widths]
    return max(sizes, key=lambda sides: (_fit_ratio(image, sides), -sides[0] * sides[1]))


def _fit_ratio(image: Size, target: Size) -> float:
    return min(target[0] / image[0], target[1] / image[1])


def resolve_input_size(wanted: Size | int | None, spec: InputSpec) -> Size:
    """Network input size: sides rounded up to the stride. One number is the longer side."""
    if wanted is None:
        return spec.size
    if isinstance(wanted, int):
        longer = max(spec.size)
        wanted = (round(spec.size[0] * wanted / longer), round(spec.size[1] * wanted / longer))
    width, height = (max(1, -(-side // spec.stride)) * spec.stride for side in wanted)
    if width * height > _MAX_PIXELS:
        raise MotError(f"--imgsz {width}x{height}: too large: detect in parts with --tiles")
    if spec.is_fixed and (width, height) != spec.size:
        raise MotError(
            f"--imgsz {width}x{height}: this network only takes {spec.size[0]}x{spec.size[1]}"
        )
    return width, height
