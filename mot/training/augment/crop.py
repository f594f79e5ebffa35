"""Augmentation of stored crops, as from a detector and a camera. Equal seeds give equal samples.

The crop is resampled once: its box moved, flipped and scaled together. Effects of the camera are
applied at the size in which it saw the object, all others at that of the network input.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mot.datasets.dataset import UNKNOWN_ID, Annotations
from mot.opencv import cv2
from mot.runtime.preprocess import Size
from mot.training.augment.augmenter import ReadAnnotated
from mot.training.augment.pixels import apply_camera_effects
from mot.training.augment.settings import CropSettings
from mot.training.targets import Target
from mot.types import Image

# Stored around a box on each side, as a share of its width or height: room to move the box.
MARGIN = 0.1
_ERASE_TRIALS = 10
_MAX_ERASE_ASPECT = 3.0  # height to width, and width to height
# Share of the crop's height above an occluding crop, which may also begin above the crop.
_MIN_ABOVE, _MAX_ABOVE = -0.1, 0.4

Window = tuple[float, float, float, float]  # left, top, right, bottom; the box is 0 to 1


class CropAugment:
    def __init__(self, settings: CropSettings | None) -> None:
        """Without settings, the box as it is."""
        self._settings = settings
        self.views = settings.views if settings else 0

    def __call__(
        self, read: ReadAnnotated, count: int, row: int, size: Size, seed: int
    ) -> tuple[Tensor, Target]:
        """The sample of the crop `row` of `count`; may read random others too.

        The target's label is the row, or `row * views + view` if the number of views is limited.
        """
        stored, annotations = read(row)
        views = self.views
        if self._settings is None:
            crop, is_spliced = _cut_window(stored, (0, 0, 1, 1), False, size), False
        else:
            rng = np.random.default_rng((row, seed % views) if views else seed)
            crop, is_spliced = _augment(stored, read, count, size, self._settings, rng)
        rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
        label = row * views + seed % views if views else row
        target = _make_target(annotations, label, has_id=not is_spliced)
        return torch.from_numpy(rgb).permute(2, 0, 1), target


def _augment(
    stored: Image,
    read: ReadAnnotated,
    count: int,
    size: Size,
    settings: CropSettings,
    rng: np.random.Generator,
) -> tuple[Image, bool]:
    """The crop, and whether it is spliced: it then has no identity."""
    camera_size = _choose_camera_size(size, settings, rng)
    shift = rng.uniform(-settings.jitter, settings.jitter, 4).tolist()
    window = shift[0], shift[1], 1 + shift[2], 1 + shift[3]
    is_flipped = bool(rng.random() < settings.flip)
    crop = _cut_window(stored, window, is_flipped, camera_size)
    is_spliced = bool(rng.random() < settings.splice)
    if is_spliced:
        other, _ = read(int(rng.integers(count)))
        edge = round(rng.uniform(*settings.splice_height) * len(crop))
        crop[edge:] = _cut_window(other, window, is_flipped, camera_size)[edge:]
    if rng.random() < settings.occlusion:
        other, _ = read(int(rng.integers(count)))
        _occlude(crop, other, settings, rng)
    crop = apply_camera_effects(crop, settings, rng)
    if rng.random() < settings.grayscale:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < settings.noise:
        crop = _add_noise(crop, 255 * settings.noise_sigma * rng.random(), rng)
    if camera_size != size:
        crop = cv2.resize(crop, size)
    if rng.random() < settings.erase:
        _erase(crop, settings, rng)
    return crop, is_spliced


def _choose_camera_size(size: Size, settings: CropSettings, rng: np.random.Generator) -> Size:
    """Size in which the camera sees the object: that of the network input, or smaller."""
    if rng.random() >= settings.downscale:
        return size
    low, high = settings.downscale_height
    scale = min(1.0, rng.uniform(low, high) / size[1])
    return max(4, round(size[0] * scale)), max(4, round(size[1] * scale))


def _cut_window(stored: Image, window: Window, is_flipped: bool, size: Size) -> Image:
    """A window of a stored crop, at a size."""
    height, width = stored.shape[:2]
    left, top, right, bottom = ((each + MARGIN) / (1 + 2 * MARGIN) for each in window)
    pixels = left * width, top * height, right * width, bottom * height
    return resample(stored, pixels, is_flipped, size)


def resample(image: Image, window: Window, is_flipped: bool, size: Size) -> Image:
    """A window in pixels at a size; bilinear, as for embedders. Edge pixels repeat beyond the
    image."""
    left, top, right, bottom = window
    if is_flipped:
        left, right = right, left
    # From pixels of the result to those of the image; the center of a pixel is its position.
    x_scale, y_scale = (right - left) / size[0], (bottom - top) / size[1]
    inverse = np.array(
        [[x_scale, 0, left + (x_scale - 1) / 2], [0, y_scale, top + (y_scale - 1) / 2]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found: Image = cv2.warpAffine(
        image, inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _occlude(crop: Image, other: Image, settings: CropSettings, rng: np.random.Generator) -> None:
    """Covers one side down to the bottom with a part of another crop at the same scale."""
    height, width = crop.shape[:2]
    share = rng.uniform(*settings.occlusion_width)
    columns = max(1, round(share * width))
    rows = round(height * (1 - rng.uniform(_MIN_ABOVE, _MAX_ABOVE)))
    rows = min(height, max(1, rows))
    begin = rng.uniform(0.1, 0.9 - share) if share < 0.8 else 0.0
    part = _cut_window(other, (begin, 0, begin + share, rows / height), False, (columns, rows))
    if rng.random() < 0.5:
        crop[height - rows :, :columns] = part
    else:
        crop[height - rows :, width - columns :] = part


def _add_noise(crop: Image, sigma: float, rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(crop.shape, np.float32) * np.float32(sigma)
    noisy: Image = np.clip(crop + noise, 0, 255).astype(np.uint8)
    return noisy


def _erase(crop: Image, settings: CropSettings, rng: np.random.Generator) -> None:
    """Random erasing (Zhong et al., 2020): a rectangle of one color or of noise."""
    height, width = crop.shape[:2]
    for _ in range(_ERASE_TRIALS):
        area = rng.uniform(*settings.erase_area) * height * width
        aspect = np.exp(rng.uniform(-np.log(_MAX_ERASE_ASPECT), np.log(_MAX_ERASE_ASPECT)))
        rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < rows < height and 0 < columns < width:
            break
    else:
        return
    top, left = rng.integers(height - rows), rng.integers(width - columns)
    shape = (rows, columns, 3) if rng.random() < 0.5 else (1, 1, 3)
    filling: npt.NDArray[np.uint8] = rng.integers(0, 256, shape, np.uint8)
    crop[top : top + rows, left : left + columns] = filling


def _make_target(annotations: Annotations, label: int, has_id: bool) -> Target:
    boxes = torch.from_numpy(annotations.boxes.copy())
    ids = torch.from_numpy(annotations.ids.copy())
    ids = ids if has_id else torch.full_like(ids, UNKNOWN_ID)
    return Target(boxes, torch.tensor([label]), ids, boxes[:0])
