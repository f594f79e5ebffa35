"""Colors, the faults of surveillance cameras, and things in front of people.

What takes torchvision several milliseconds an image is done with OpenCV, on a BGR image, to the
same effect; compression too, which torchvision gives up. The others are torchvision's, on a sample.
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
from mot.training.augment.crop_settings import CropSettings
from mot.training.augment.sample import Sample
from mot.training.augment.settings import AugmentSettings
from mot.types import FloatArray, Image

_LEAST_SIGMA = 0.3  # pixels; less blurs nothing


def filmed(
    canvas: Image, settings: AugmentSettings | CropSettings, rng: np.random.Generator
) -> Image:
    """As by another camera: in other colors, maybe out of focus, maybe compressed."""
    for number in rng.permutation(len(_COLOURS)):
        name, change = _COLOURS[number]
        strength = getattr(settings, name)
        if strength:
            canvas = change(canvas, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    turn = round(rng.uniform(-settings.hue, settings.hue) * 256)
    if turn:
        canvas = turned(canvas, turn)
    if rng.random() < settings.blur:
        sigma = rng.uniform(_LEAST_SIGMA, max(_LEAST_SIGMA, settings.blur_sigma))
        canvas = cv2.GaussianBlur(canvas, (0, 0), sigma)
    if rng.random() < settings.jpeg:
        canvas = _compressed(canvas, round(rng.uniform(*settings.jpeg_quality)))
    return canvas


def brightened(canvas: Image, factor: float) -> Image:
    return _mapped(canvas, factor, 0.0)


def contrasted(canvas: Image, factor: float) -> Image:
    middle = cv2.mean(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY))[0]
    return _mapped(canvas, factor, (1 - factor) * middle)


def saturated(canvas: Image, factor: float) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    mixed: Image = cv2.addWeighted(canvas, factor, grey, 1 - factor, 0)
    return mixed


_COLOURS = (("brightness", brightened), ("contrast", contrasted), ("saturation", saturated))


def _mapped(canvas: Image, factor: float, offset: float) -> Image:
    table = np.clip(np.arange(256) * factor + offset, 0, 255).round().astype(np.uint8)
    mapped: Image = cv2.LUT(canvas, table)
    return mapped


def turned(canvas: Image, turn: int) -> Image:
    """Hues moved on by 256ths of the circle."""
    hsv = cv2.cvtColor(canvas, cv2.COLOR_BGR2HSV_FULL)
    hue, saturation, value = cv2.split(hsv)
    hue += np.uint8(turn % 256)
    result: Image = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR_FULL)
    return result


def _compressed(canvas: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return decoded


def transforms_of(settings: AugmentSettings) -> Any:
    """What torchvision does to a sample."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(settings.flip),
            v2.RandomGrayscale(settings.grey),
            v2.RandomApply([v2.GaussianNoise(sigma=settings.noise_sigma)], settings.noise),
        ]
    )


def erased(sample: Sample, settings: AugmentSettings, margin: int) -> Sample:
    """Something in front, which hides its share of whoever is behind."""
    if torch.rand(()) >= settings.erase:
        return sample
    top, left, height, width, filling = v2.RandomErasing.get_params(
        sample.image, settings.erase_area, (0.3, 3.3), [float(margin)]
    )
    if filling is sample.image:  # no rectangle of such a shape fits
        return sample
    hidden = np.array([[left, top, left + width, top + height]], np.float32)
    image = functional.erase(sample.image, top, left, height, width, filling.to(torch.uint8))
    left_over = _shares_left(sample.visible.as_subclass(Tensor).numpy(), hidden)
    return sample._replace(image=image, share=sample.share * torch.from_numpy(left_over))


def _shares_left(visible: FloatArray, hidden: FloatArray) -> FloatArray:
    """(N,) of what is seen, when one rectangle is hidden."""
    covered = geometry.intersection(visible, hidden)[:, 0]
    return (1 - covered / np.maximum(geometry.area(visible), 1e-6)).astype(np.float32)
