"""How much the images of training are changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

_SHARES = ("flip", "crop", "zoom_out", "hue", "grey", "blur", "jpeg", "noise", "mosaic", "erase")


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """A step that is named alone is its probability; 0 switches it off."""

    flip: float = 0.5
    scale: tuple[float, float] = (
        0.7,
        1.4,
    )  # relative to the size that just fits
    crop: float = 0.3  # to a window that some object overlaps enough, as SSD does
    crop_min: float = 0.3  # of the image's sides
    crop_overlaps: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # IoU, one of them at random
    zoom_out: float = 0.1  # the image becomes small in a canvas of margin
    zoom_out_max: float = 2.5
    mosaic: float = 0.3  # four images in one
    mosaic_scale: tuple[float, float] = (0.5, 1.2)  # of the size that each has alone
    brightness: float = 0.3  # factors from 1 - 0.3 to 1 + 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    hue: float = 0.02  # of the circle, either way
    grey: float = 0.05
    blur: float = 0.05
    blur_sigma: float = 2.0  # pixels at most
    jpeg: float = 0.05
    jpeg_quality: tuple[int, int] = (20, 80)  # worst and best, of 100
    noise: float = 0.05
    noise_sigma: float = 0.04  # of the full range of gray levels
    erase: float = 0.1  # a rectangle of the input
    erase_area: tuple[float, float] = (0.02, 0.15)  # of the input
    # Objects of which less is left are neither found nor missed; so are smaller ones.
    min_visible: float = 0.25  # share of the part that was seen in the image
    min_side: float = 3.0  # pixels of the input

    def __post_init__(self) -> None:
        for name in (*_SHARES, "min_visible"):
            _need(getattr(self, name) <= 1, f"{name} = {getattr(self, name)} must be at most 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                _check_numbers(field.name, value)
        for name in ("scale", "mosaic_scale", "erase_area"):
            check_range(name, getattr(self, name))
        check_film(self.hue, self.jpeg_quality)
        _need(0 < self.crop_min <= 1, f"crop_min = {self.crop_min} must lie above 0, up to 1")
        _need(bool(self.crop_overlaps), "crop_overlaps is empty: crop = 0 switches crops off")
        _need(max(self.crop_overlaps) <= 1, "crop_overlaps are shares: at most 1")
        _need(self.zoom_out_max >= 1, f"zoom_out_max = {self.zoom_out_max} must be at least 1")
        _need(self.erase_area[1] <= 1, "erase_area is a share of the input: at most 1")


def check_film(hue: float, jpeg_quality: tuple[int, int]) -> None:
    """Of what a camera does to an image, whatever it shows."""
    _need(hue <= 0.5, f"hue = {hue} must be at most 0.5, half the circle")
    check_range("jpeg_quality", jpeg_quality)
    _need(1 <= jpeg_quality[0] and jpeg_quality[1] <= 100, "jpeg_quality: 1 to 100")


def _check_numbers(name: str, values: Sequence[object]) -> None:
    for value in values:
        sound = isinstance(value, int | float) and 0 <= value < float("inf")
        _need(sound, f"{name}: {value!r} must be a number from 0")


def check_range(name: str, ends: Sequence[float]) -> None:
    """Checks a setting of a minimum and a maximum."""
    _check_numbers(name, ends)
    _need(
        len(ends) == 2 and 0 < ends[0] <= ends[-1],
        f"{name} = {list(ends)} must be two numbers above 0, the minimum and the maximum",
    )


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
