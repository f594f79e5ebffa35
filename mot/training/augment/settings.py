"""Settings of augmentation, the table [augment] of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from mot.settings import bounds


def _probability(default: float) -> float:
    return field(default=default, metadata=bounds(max=1))


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Of detectors. The key that names a step is its probability; 0 disables it."""

    flip: float = _probability(0.5)
    scale: tuple[float, float] = (0.7, 1.4)  # range, relative to the letterboxed size
    crop: float = _probability(0.3)  # to a window that overlaps an object enough, as in SSD
    crop_min_scale: float = _probability(0.3)  # minimum side of a window, of the image's
    crop_min_ious: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # a random one is required
    zoom_out: float = _probability(0.1)  # shrinks the image, with padding around
    zoom_out_max: float = field(default=2.5, metadata=bounds(min=1))  # maximum factor
    mosaic: float = _probability(0.3)  # four images in one
    mosaic_scale: tuple[float, float] = (0.5, 1.2)  # range, relative to the letterboxed size
    brightness: float = 0.3  # factors from 1 - 0.3 to 1 + 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    hue: float = field(default=0.02, metadata=bounds(max=0.5))  # maximum shift, of the full circle
    grayscale: float = _probability(0.05)
    blur: float = _probability(0.05)
    blur_sigma: float = 2.0  # maximum, in pixels
    jpeg: float = _probability(0.05)
    jpeg_quality: tuple[int, int] = (20, 80)  # range, from 1 to 100
    noise: float = _probability(0.05)
    noise_sigma: float = 0.04  # of the full range of gray levels
    erase: float = _probability(0.1)  # a rectangle
    erase_area: tuple[float, float] = (0.02, 0.15)  # range, of the input
    # Objects with less left, or smaller ones, are ignored: neither objects nor background.
    min_visibility: float = _probability(0.25)  # fraction of the part visible before
    min_side: float = 3.0  # pixels of the input

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                _check_numbers(each.name, value)
        for name in ("scale", "mosaic_scale", "erase_area"):
            _check_range(name, getattr(self, name))
        _check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        _check_range("erase_area", self.erase_area, 0, 1)
        if not self.crop_min_scale > 0:
            raise ValueError(f"crop_min_scale = {self.crop_min_scale} must be above 0")
        if not self.crop_min_ious:
            raise ValueError("crop_min_ious is empty: crop = 0 disables crops")
        if max(self.crop_min_ious) > 1:
            raise ValueError("crop_min_ious must be at most 1")


@dataclass(frozen=True, slots=True)
class CropSettings:
    """Of the crops of embedders. The key that names a step is its probability; 0 disables it."""

    num_instances: int = field(default=4, metadata=bounds(min=2))  # crops of an identity in a batch
    views: int = 0  # number of augmentations per crop, which a teacher embeds too; 0: unlimited
    flip: float = _probability(0.5)
    # Maximum shift of each box edge, of the box side: detectors are not exact either.
    jitter: float = _probability(0.08)
    downscale: float = _probability(0.3)  # as if the camera had a lower resolution
    downscale_height: tuple[int, int] = (40, 110)  # range of the crop's height then, in pixels
    brightness: float = 0.2  # factors from 1 - 0.2 to 1 + 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    # Maximum shift, of the full circle; small, since clothes identify persons.
    hue: float = field(default=0.01, metadata=bounds(max=0.5))
    grayscale: float = _probability(0.0)
    blur: float = _probability(0.2)
    blur_sigma: float = 1.2  # maximum, in pixels
    jpeg: float = _probability(0.2)
    jpeg_quality: tuple[int, int] = (30, 90)  # range, from 1 to 100
    noise: float = _probability(0.1)
    noise_sigma: float = 0.04  # of the full range of gray levels
    erase: float = _probability(0.2)  # a rectangle
    erase_area: tuple[float, float] = (0.03, 0.25)  # range, of the crop
    occlusion: float = _probability(0.2)  # another crop covers a part
    occlusion_width: tuple[float, float] = (0.15, 0.5)  # range, of the crop, from one side
    splice: float = _probability(0.0)  # the lower part is another crop's: no identity, teacher only
    splice_height: tuple[float, float] = (0.4, 0.6)  # range of its upper edge, of the crop

    def __post_init__(self) -> None:
        _check_range("downscale_height", self.downscale_height)
        for name in ("erase_area", "occlusion_width", "splice_height"):
            _check_range(name, getattr(self, name), 0, 1)
        _check_range("jpeg_quality", self.jpeg_quality, 1, 100)


def _check_numbers(name: str, values: Sequence[object]) -> None:
    for value in values:
        if not (isinstance(value, int | float) and 0 <= value < float("inf")):
            raise ValueError(f"{name}: {value!r} must be a number from 0")


def _check_range(
    name: str, values: Sequence[float], low: float = 0.0, high: float = float("inf")
) -> None:
    """Checks a minimum and a maximum, both above 0."""
    _check_numbers(name, values)
    if len(values) != 2 or not 0 < values[0] <= values[-1]:
        raise ValueError(f"{name} = {list(values)} must be a minimum and a maximum above 0")
    if not low <= values[0] <= values[1] <= high:
        raise ValueError(f"{name} = {list(values)} must lie between {low:g} and {high:g}")
