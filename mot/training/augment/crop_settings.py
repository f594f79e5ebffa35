"""How much the crops are changed that embedders are trained on."""

from __future__ import annotations

from dataclasses import dataclass

from mot.training.augment.settings import check_film, check_range

_SHARES = ("flip", "jitter", "grey", "blur", "jpeg", "coarse", "noise", "erase", "cross", "splice")


@dataclass(frozen=True, slots=True)
class CropSettings:
    """A step that is named alone is its probability; 0 switches it off."""

    each: int = 4  # crops of a person in a batch
    views: int = 0  # ways in which a crop is ever seen, which a teacher sees too; 0: always another
    flip: float = 0.5
    jitter: float = 0.08  # of its sides that each edge of the box is off at most, as detectors are
    coarse: float = 0.3  # as if the camera had seen fewer pixels
    coarse_height: tuple[int, int] = (40, 110)  # of the person then, in pixels
    brightness: float = 0.2  # factors from 1 - 0.2 to 1 + 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.01  # of the circle, either way: clothes identify people
    grey: float = 0.0
    blur: float = 0.2
    blur_sigma: float = 1.2  # pixels at most
    jpeg: float = 0.2
    jpeg_quality: tuple[int, int] = (30, 90)  # worst and best, of 100
    noise: float = 0.1
    noise_sigma: float = 0.04  # of the full range of gray levels
    erase: float = 0.2  # a rectangle of noise
    erase_area: tuple[float, float] = (0.03, 0.25)  # of the crop
    cross: float = 0.2  # another person covers a part
    cross_width: tuple[float, float] = (0.15, 0.5)  # of the crop, from one of its sides
    splice: float = 0.0  # with the legs of another person: only the teacher supervises these
    splice_height: tuple[float, float] = (0.4, 0.6)  # of the crop, at which they begin

    def __post_init__(self) -> None:
        if self.each < 2:
            raise ValueError(f"each = {self.each} must be 2 or more: one crop is like no other")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at most 1")
        for name in ("coarse_height", "erase_area", "cross_width", "splice_height"):
            check_range(name, getattr(self, name))
        for name in ("erase_area", "cross_width", "splice_height"):
            if getattr(self, name)[1] > 1:
                raise ValueError(f"{name} is a share of the crop: at most 1")
        check_film(self.hue, self.jpeg_quality)
