"""Color changes, effects of surveillance cameras, and random erasing.

OpenCV does, on a BGR image, what takes torchvision several milliseconds per image, and JPEG
compression. The rest is torchvision's, on a sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from mot import boxes as geometry
from mot.opencv import cv2
from mot.training.augment.sample import Sample
from mot.training.augment.settings import AugmentSettings, CropSettings
from mot.types import FloatArray, Image

_MIN_SIGMA = 0.3  # pixels; less has no effect


def apply_camera_effects(
    image: Image, settings: AugmentSettings | CropSettings, rng: np.random.Generator
) -> Image:
    """Other colors, blur, JPEG compression."""
    adjustments = (
        (settings.brightness, adjust_brightness),
        (settings.contrast, adjust_contrast),
        (settings.saturation, adjust_saturation),
    )
    for number in rng.permutation(len(adjustments)):
        strength, adjust = adjustments[number]
        if strength:
            image = adjust(image, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    shift = round(rng.uniform(-settings.hue, settings.hue) * 256)
    if shift:
        image = shift_hue(image, shift)
    if rng.random() < settings.blur:
        sigma = rng.uniform(_MIN_SIGMA, max(_MIN_SIGMA, settings.blur_sigma))
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if rng.random() < settings.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*settings.jpeg_quality))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image


def adjust_brightness(image: Image, factor: float) -> Image:
    return _map_linearly(image, factor, 0.0)


def adjust_contrast(image: Image, factor: float) -> Image:
    mean = cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0]
    return _map_linearly(image, factor, (1 - factor) * mean)


def adjust_saturation(image: Image, factor: float) -> Image:
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    mixed: Image = cv2.addWeighted(image, factor, gray, 1 - factor, 0)
    return mixed


def _map_linearly(image: Image, factor: float, offset: float) -> Image:
    table = np.clip(np.arange(256) * factor + offset, 0, 255).round().astype(np.uint8)
    mapped: Image = cv2.LUT(image, table)
    return mapped


def shift_hue(image: Image, shift: int) -> Image:
    """`shift` in 256ths of the full circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    hue, saturation, value = cv2.split(hsv)
    hue += np.uint8(shift % 256)
    result: Image = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR_FULL)
    return result


def make_transforms(settings: AugmentSettings) -> Any:
    """The torchvision transforms of a sample."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(settings.flip),
            v2.RandomGrayscale(settings.grayscale),
            v2.RandomApply([v2.GaussianNoise(sigma=settings.noise_sigma)], settings.noise),
        ]
    )


def erase_randomly(sample: Sample, settings: AugmentSettings, margin: int) -> Sample:
    """A rectangle of the gray level `margin`, which lowers the visibility of objects behind it."""
    if torch.rand(()) >= settings.erase:
        return sample
    top, left, height, width, filling = v2.RandomErasing.get_params(
        sample.image, settings.erase_area, (0.3, 3.3), [float(margin)]
    )
    if filling is sample.image:  # no rectangle of such a shape fits
        return sample
    erased = np.array([[left, top, left + width, top + height]], np.float32)
    image = functional.erase(sample.image, top, left, height, width, filling.to(torch.uint8))
    visible = _visible_fractions(sample.visible.as_subclass(Tensor).numpy(), erased)
    return sample._replace(image=image, visibility=sample.visibility * torch.from_numpy(visible))


def _visible_fractions(visible: FloatArray, erased: FloatArray) -> FloatArray:
    """(N,) share of the visible parts (N, 4) outside one erased rectangle (1, 4)."""
    covered = geometry.intersection(visible, erased)[:, 0]
    return (1 - covered / np.maximum(geometry.area(visible), 1e-6)).astype(np.float32)
