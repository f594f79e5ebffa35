"""Pictures of any sizes to one batch of a network's size, and boxes back to the pictures."""

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
_MOST_PIXELS = 1 << 26  # of a network's input
_MORE_PIXELS = 1.02  # that an input of another shape may have
Blob = npt.NDArray[np.float32]  # (B, 3, H, W)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a network wants its pictures. It sees `(value / 255 - mean) / std` of each channel."""

    size: Size = (640, 640)
    stride: int = 32  # sides are multiples of it
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the order of the network's channels
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    is_rgb: bool = True
    keeps_aspect: bool = True  # with margins of `margin`, else stretched
    margin: int = 114  # grey level
    is_fixed: bool = False  # no other size will do
    whole: bool = False  # its boxes of people go on beyond the edges of the picture


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in its network input: x' = x * scale + offset."""

    size: Size  # of the picture
    scale: tuple[float, float]
    offset: tuple[float, float]
    whole: bool = False  # boxes go on beyond its edges

    def restore(self, xyxy: FloatArray) -> FloatArray:
        """Boxes of the input in pixels of the picture, cut to it unless they are whole."""
        scale = np.array(self.scale * 2, np.float32)
        offset = np.array(self.offset * 2, np.float32)
        restored: FloatArray = (xyxy - offset) / scale
        return restored if self.whole else boxes.clip(restored, *self.size)


def as_bgr(image: npt.NDArray[Any]) -> Image:
    """A grey picture or one with transparency as BGR; anything but bytes is refused."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise MotError(f"pictures must be arrays of uint8 from 0 to 255, not of {kind}")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if not image.size or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
        raise MotError(f"pictures must have the shape (height, width, 3), not {image.shape}")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def place(size: Size, spec: InputSpec, target: Size) -> Placement:
    """In the middle of the input, as large as fits; or stretched over all of it."""
    ratios = target[0] / size[0], target[1] / size[1]
    if not spec.keeps_aspect:
        return Placement(size, ratios, (0.0, 0.0), spec.whole)
    ratio = _scale(size, target)
    inner = [max(1, round(side * ratio)) for side in size]
    offset = [(whole - side) // 2 for whole, side in zip(target, inner, strict=True)]
    scale = inner[0] / size[0], inner[1] / size[1]
    return Placement(size, scale, (float(offset[0]), float(offset[1])), spec.whole)


def batch_of(
    images: Sequence[Image], spec: InputSpec, target: Size
) -> tuple[Image, list[Placement]]:
    """(B, H, W, 3) uint8 BGR, and where each picture lies in it."""
    canvas = np.full((len(images), target[1], target[0], 3), spec.margin, np.uint8)
    placements = []
    for layer, image in zip(canvas, images, strict=True):
        height, width = image.shape[:2]
        placed = place((width, height), spec, target)
        left, top = (int(value) for value in placed.offset)
        inner = round(width * placed.scale[0]), round(height * placed.scale[1])
        # Bilinear, as networks were trained: averaging areas first costs more than small networks
        # do, and finds no more people.
        cv2.resize(image, inner, dst=layer[top : top + inner[1], left : left + inner[0]])
        placements.append(placed)
    return canvas, placements


def normalise(canvas: Image, spec: InputSpec) -> Blob:
    """What the network sees of a batch."""
    count, height, width, _ = canvas.shape
    blob = np.empty((count, 3, height, width), np.float32)
    for image, planes in zip(canvas, blob, strict=True):
        channels = cv2.split(image)  # several times faster than strided reading
        for plane, channel, mean, std in zip(
            planes, channels[::-1] if spec.is_rgb else channels, spec.mean, spec.std, strict=True
        ):
            np.multiply(channel, np.float32(1 / (255 * std)), out=plane)
            if mean:
                plane -= np.float32(mean / std)
    return blob


@lru_cache
def shaped_size(size: Size, picture: Size, stride: int) -> Size:
    """An input of about as many pixels as `size`, in which the picture lies as large as it can."""
    most = int(size[0] * size[1] * _MORE_PIXELS) // stride**2
    widths = range(1, most + 1)
    sizes = [(width * stride, most // width * stride) for width in widths]
    return max(sizes, key=lambda sides: (_scale(picture, sides), -sides[0] * sides[1]))


def _scale(picture: Size, target: Size) -> float:
    return min(target[0] / picture[0], target[1] / picture[1])


def fitting_size(wanted: Size | int | None, spec: InputSpec) -> Size:
    """The size to run at: sides rounded up to the stride; one number is the longer side's."""
    if wanted is None:
        return spec.size
    if isinstance(wanted, int):
        longer = max(spec.size)
        wanted = (round(spec.size[0] * wanted / longer), round(spec.size[1] * wanted / longer))
    width, height = (max(1, -(-side // spec.stride)) * spec.stride for side in wanted)
    if width * height > _MOST_PIXELS:
        raise MotError(f"--imgsz {width}x{height}: is too large: look at parts with --tiles")
    if spec.is_fixed and (width, height) != spec.size:
        raise MotError(
            f"--imgsz {width}x{height}: this network takes {spec.size[0]}x{spec.size[1]} alone"
        )
    return width, height
