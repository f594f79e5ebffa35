"""Layers of Darknet networks: their settings and output shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple


class Shape(NamedTuple):
    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Fields are the keys of the section. An integer with a default other than 0 is never 0."""

    kind: ClassVar[str] = ""
    key: ClassVar[str] = ""  # key that names other layers
    takes_previous: ClassVar[bool] = True  # the previous layer is an input too

    line: int = 0
    sources: tuple[int, ...] = ()  # numbers of the input layers

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Output shape for these inputs; a ValueError says why there is none."""
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutional(Layer):
    kind: ClassVar[str] = "convolutional"

    filters: int = 1
    size: int = 1
    stride: int = 1
    stride_x: int = 0
    stride_y: int = 0
    groups: int = 1
    dilation: int = 1
    pad: int = 0
    padding: int = 0
    batch_normalize: int = 0
    activation: str = "logistic"

    @property
    def strides(self) -> tuple[int, int]:
        return self.stride_y or self.stride, self.stride_x or self.stride

    @property
    def margin(self) -> int:
        """Padding on each side."""
        return (self.size // 2 if self.pad else self.padding) * self.dilation

    def weight_shape(self, channels: int) -> tuple[int, int, int, int]:
        return self.filters, channels // self.groups, self.size, self.size

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, *sides = inputs[0]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(f"groups={self.groups} must divide {channels} inputs and filters")
        reach = self.dilation * (self.size - 1) + 1 - 2 * self.margin
        return Shape(self.filters, *_slide(sides, reach, self.strides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Maxpool(Layer):
    kind: ClassVar[str] = "maxpool"

    size: int = 0  # 0: the stride
    stride: int = 1
    stride_x: int = 0
    stride_y: int = 0
    padding: int | None = None  # sum of both sides

    @property
    def window(self) -> int:
        return self.size or self.stride

    @property
    def strides(self) -> tuple[int, int]:
        return self.stride_y or self.stride, self.stride_x or self.stride

    @property
    def margins(self) -> tuple[int, int]:
        """Padding (before, after); an odd sum has one more after."""
        total = self.window - 1 if self.padding is None else self.padding
        return total // 2, total - total // 2

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, *sides = inputs[0]
        if max(self.margins) >= self.window:
            raise ValueError(f"padding={self.padding} makes windows of padding only")
        return Shape(channels, *_slide(sides, self.window - sum(self.margins), self.strides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut(Layer):
    """Adds the channels that both have to the previous layer."""

    kind: ClassVar[str] = "shortcut"
    key: ClassVar[str] = "from"

    activation: str = "linear"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        _check_same_size(inputs)
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Layer):
    """Concatenates the channels of several layers, or one group of each."""

    kind: ClassVar[str] = "route"
    key: ClassVar[str] = "layers"
    takes_previous: ClassVar[bool] = False

    groups: int = 1
    group_id: int = 0

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        _check_same_size(inputs)
        if self.group_id >= self.groups or any(each.channels % self.groups for each in inputs):
            raise ValueError(
                f"no group {self.group_id} (from 0) of {self.groups} in "
                f"{', '.join(str(each.channels) for each in inputs)} channels"
            )
        channels = sum(each.channels for each in inputs) // self.groups
        return Shape(channels, *inputs[0][1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Layer):
    kind: ClassVar[str] = "upsample"

    stride: int = 2
    scale: float = 1.0

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        channels, height, width = inputs[0]
        return Shape(channels, height * self.stride, width * self.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Layer):
    kind: ClassVar[str] = "dropout"

    probability: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Avgpool(Layer):
    kind: ClassVar[str] = "avgpool"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape(inputs[0].channels, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleChannels(Layer):
    """Multiplies the named layer by the previous one: one factor per channel or per pixel."""

    kind: ClassVar[str] = "scale_channels"
    key: ClassVar[str] = "from"

    scale_wh: int = 0
    activation: str = "linear"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        factor, scaled = inputs
        wanted = scaled._replace(channels=1) if self.scale_wh else Shape(scaled.channels, 1, 1)
        if factor != wanted:
            raise ValueError(f"scales {scaled} by {wanted}, but the previous layer is {factor}")
        return scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Yolo(Layer):
    kind: ClassVar[str] = "yolo"

    classes: int = 20
    num: int = 1
    mask: tuple[int, ...] = ()  # numbers of its anchors; empty: all
    anchors: tuple[float, ...] = ()  # pixels of the network's input: width, height, width, ...
    scale_x_y: float = 1.0
    new_coords: int = 0

    @property
    def chosen(self) -> tuple[int, ...]:
        return self.mask or tuple(range(self.num))

    @property
    def sizes(self) -> tuple[tuple[float, float], ...]:
        """(width, height) of each anchor of this layer."""
        return tuple((self.anchors[2 * each], self.anchors[2 * each + 1]) for each in self.chosen)

    def channels(self, classes: int) -> int:
        return len(self.chosen) * (5 + classes)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        known = min(self.num, len(self.anchors) // 2)
        if max(self.chosen) >= known:
            raise ValueError(f"its mask names anchor {max(self.chosen)} (from 0) of {known}")
        wanted = self.channels(self.classes)
        if inputs[0].channels != wanted:
            raise ValueError(
                f"{len(self.chosen)} anchors and classes={self.classes} need filters={wanted} "
                f"in the previous layer, which has {inputs[0].channels}"
            )
        return inputs[0]


def _slide(sides: Sequence[int], reach: int, strides: tuple[int, int]) -> list[int]:
    """How often a window of `reach` pixels fits along each side."""
    steps = [(side - reach) // stride + 1 for side, stride in zip(sides, strides, strict=True)]
    if min(steps) < 1:
        raise ValueError(f"its window does not fit into {sides[0]}x{sides[1]}")
    return steps


def _check_same_size(inputs: Sequence[Shape]) -> None:
    if len({each[1:] for each in inputs}) > 1:
        raise ValueError(f"layers of different sizes: {', '.join(map(str, inputs))}")
