"""A crop as a detector and a camera might give it. The same seed gives the same one.

The crop is resampled once: its box moved, mirrored and brought to a size at a time. What a camera
does to an image is done at the size that it saw the person in, and the rest at the network's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mot.datasets.dataset import Annotations
from mot.datasets.identities import UNKNOWN_ID
from mot.opencv import cv2
from mot.runtime.preprocess import Size
from mot.training.augment.augmenter import Read
from mot.training.augment.crop_settings import CropSettings
from mot.training.augment.pixels import filmed
from mot.training.targets import Target
from mot.types import Image

# What is kept around a box, as a share of its sides on each of the four: room to move it.
MARGIN = 0.1
_TRIALS = 10  # shapes of rectangles to erase
_TALLEST = 3.0  # of them, height to width and width to height
_MIN_VISIBLE = 0.1  # of a crop's height stays above a covering person
_LOWEST = 0.4

Window = tuple[float, float, float, float]  # left, top, right, bottom; of a box from 0 to 1


class CropAugment:
    """Kept crops to samples: `augment(read, count, index, size, seed)`."""

    def __init__(self, settings: CropSettings | None) -> None:
        """Without settings, the box as it is."""
        self._settings = settings
        self.views = settings.views if settings else 0

    def __call__(
        self, read: Read, count: int, index: int, size: Size, seed: int
    ) -> tuple[Tensor, Target]:
        """The crop `index` of `count`; another one may stand in front of it."""
        kept, who = read(index)
        if self._settings is None:
            crop, is_spliced = _window(kept, (0, 0, 1, 1), False, size), False
        else:
            rng = np.random.default_rng((index, seed % self.views) if self.views else seed)
            crop, is_spliced = _seen(kept, read, count, size, self._settings, rng)
        rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
        view = index * self.views + seed % self.views if self.views else index
        return torch.from_numpy(rgb).permute(2, 0, 1), _target(who, view, is_spliced)


def _seen(
    kept: Image,
    read: Read,
    count: int,
    size: Size,
    settings: CropSettings,
    rng: np.random.Generator,
) -> tuple[Image, bool]:
    """And whether the crop is spliced, of no real identity."""
    filmed_size = _coarse(size, settings, rng)
    window, is_mirrored = _jittered(settings, rng), bool(rng.random() < settings.flip)
    crop = _window(kept, window, is_mirrored, filmed_size)
    is_spliced = bool(rng.random() < settings.splice)
    if is_spliced:
        legs, _ = read(int(rng.integers(count)))
        _splice(crop, _window(legs, window, is_mirrored, filmed_size), settings, rng)
    if rng.random() < settings.cross:
        other, _ = read(int(rng.integers(count)))
        _stand_in_front(crop, other, settings, rng)
    crop = filmed(crop, settings, rng)
    if rng.random() < settings.grey:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < settings.noise:
        crop = _noisy(crop, 255 * settings.noise_sigma * rng.random(), rng)
    if filmed_size != size:
        crop = cv2.resize(crop, size)
    if rng.random() < settings.erase:
        _erase(crop, settings, rng)
    return crop, is_spliced


def _coarse(size: Size, settings: CropSettings, rng: np.random.Generator) -> Size:
    """In which the camera sees the person."""
    if rng.random() >= settings.coarse:
        return size
    low, high = settings.coarse_height
    scale = min(1.0, rng.uniform(low, high) / size[1])
    return max(4, round(size[0] * scale)), max(4, round(size[1] * scale))


def _jittered(settings: CropSettings, rng: np.random.Generator) -> Window:
    left, top, right, bottom = rng.uniform(-settings.jitter, settings.jitter, 4).tolist()
    return left, top, 1 + right, 1 + bottom


def _window(kept: Image, window: Window, is_mirrored: bool, size: Size) -> Image:
    """A part of what was kept, at a size."""
    height, width = kept.shape[:2]
    left, top, right, bottom = ((each + MARGIN) / (1 + 2 * MARGIN) for each in window)
    pixels = left * width, top * height, right * width, bottom * height
    return resampled(kept, pixels, is_mirrored, size)


def resampled(image: Image, window: Window, is_mirrored: bool, size: Size) -> Image:
    """The window, in pixels, at a size; bilinear, as embedders see people. Beyond the image's
    edges they go on."""
    left, top, right, bottom = window
    if is_mirrored:
        left, right = right, left
    # From a pixel of the result to one of the image; pixels are squares with a middle.
    across, down = (right - left) / size[0], (bottom - top) / size[1]
    inverse = np.array(
        [[across, 0, left + (across - 1) / 2], [0, down, top + (down - 1) / 2]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found: Image = cv2.warpAffine(
        image, inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _splice(crop: Image, other: Image, settings: CropSettings, rng: np.random.Generator) -> None:
    """What is below the waist becomes another's."""
    waist = round(rng.uniform(*settings.splice_height) * len(crop))
    crop[waist:] = other[waist:]


def _stand_in_front(
    crop: Image, other: Image, settings: CropSettings, rng: np.random.Generator
) -> None:
    """A part of another crop, as large, that comes in from a side and reaches the ground."""
    height, width = crop.shape[:2]
    share = rng.uniform(*settings.cross_width)
    columns = max(1, round(share * width))
    rows = round(height * (1 - rng.uniform(-_MIN_VISIBLE, _LOWEST)))
    rows = min(height, max(1, rows))
    begin = rng.uniform(0.1, 0.9 - share) if share < 0.8 else 0.0
    part = _window(other, (begin, 0, begin + share, rows / height), False, (columns, rows))
    if rng.random() < 0.5:
        crop[height - rows :, :columns] = part
    else:
        crop[height - rows :, width - columns :] = part


def _noisy(crop: Image, sigma: float, rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(crop.shape, np.float32) * np.float32(sigma)
    noisy: Image = np.clip(crop + noise, 0, 255).astype(np.uint8)
    return noisy


def _erase(crop: Image, settings: CropSettings, rng: np.random.Generator) -> None:
    """A rectangle of one color or of noise (Zhong et al., 2020)."""
    height, width = crop.shape[:2]
    for _ in range(_TRIALS):
        area = rng.uniform(*settings.erase_area) * height * width
        aspect = np.exp(rng.uniform(-np.log(_TALLEST), np.log(_TALLEST)))
        rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < rows < height and 0 < columns < width:
            break
    else:
        return
    top, left = rng.integers(height - rows), rng.integers(width - columns)
    shape = (rows, columns, 3) if rng.random() < 0.5 else (1, 1, 3)
    filling: npt.NDArray[np.uint8] = rng.integers(0, 256, shape, np.uint8)
    crop[top : top + rows, left : left + columns] = filling


def _target(who: Annotations, view: int, is_nobody: bool) -> Target:
    """`labels` is the crop's place among all of them, or that of its view."""
    boxes, ids = torch.from_numpy(who.boxes.copy()), torch.from_numpy(who.ids.copy())
    ids = torch.full_like(ids, UNKNOWN_ID) if is_nobody else ids
    return Target(boxes, torch.tensor([view]), ids, boxes[:0])
