"""YOLOv3 (Redmon and Farhadi, 2018): Darknet-53 or another backbone, a neck that goes from coarse
to fine, and three maps of boxes. Its convolutions stand in the order of Darknet's own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from mot.detectors.architectures import Classes, Yolov3Settings, choose, classes_of
from mot.detectors.darknet.layers import Yolo
from mot.detectors.darknet.model import BATCH_NORM_EPSILON, Head
from mot.detectors.models.common import Columns, Size, body_of, grids, map_channels
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

Settings = Yolov3Settings
STRIDES = (32, 16, 8)  # in the order of Darknet's heads
# Width and height in pixels, the finest level's first.
ANCHORS = {
    "coco": (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326),
    "person": (10, 22, 14, 40, 24, 56, 26, 88, 48, 86, 46, 136, 84, 180, 150, 260, 240, 440),
}
convolution = partial(
    Conv2dNormActivation,
    norm_layer=partial(nn.BatchNorm2d, eps=BATCH_NORM_EPSILON),
    activation_layer=partial(nn.LeakyReLU, 0.1),
)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = convolution(channels, channels // 2, 1)
        self.expand = convolution(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        wider: Tensor = self.expand(self.squeeze(x))
        return x + wider


class Darknet53(nn.Module):
    """Maps of the strides 8, 16 and 32. timm's has another slope and epsilon than Darknet's."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.stem = convolution(3, width, 3)
        self.stages = nn.ModuleList()
        for blocks in (1, 2, 8, 8, 4):
            down = convolution(width, 2 * width, 3, stride=2)
            width *= 2
            self.stages.append(nn.Sequential(down, *(Residual(width) for _ in range(blocks))))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return {"0": maps[-3], "1": maps[-2], "2": maps[-1]}


class Stage(nn.Module):
    """One level: what its boxes are told from, and what it hands on to the next finer level."""

    def __init__(self, channels: int, width: int, outputs: int, is_last: bool) -> None:
        super().__init__()
        inputs = (channels, 2 * width, 2 * width)
        pairs = [(convolution(n, width, 1), convolution(width, 2 * width, 3)) for n in inputs]
        (*layers, wider) = (layer for pair in pairs for layer in pair)
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(wider, nn.Conv2d(2 * width, outputs, 1))
        self.lateral = nn.Identity() if is_last else convolution(width, width // 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return self.head[0](x), self.lateral(x)

    def boxes(self, x: Tensor) -> Tensor:
        table: Tensor = self.head[1](x)
        return table


class Yolov3(nn.Module):
    """Pictures (B, 3, H, W), RGB from 0 to 1, to (B, N, 4) xyxy boxes and (B, N, C) scores."""

    strides = STRIDES

    def __init__(
        self, backbone: nn.Module, width: int, anchors: Sequence[float], classes: Classes
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        finer, middle, coarse = map_channels(backbone)
        inputs = (coarse, middle + width // 2, finer + width // 4)
        outputs = 3 * (5 + classes.outputs)
        self.stages = nn.ModuleList(
            Stage(channels, width >> level, outputs, is_last=level == 2)
            for level, channels in enumerate(inputs)
        )
        self.heads = nn.ModuleList(
            Head(_yolo(level, anchors, classes), (stride, stride))
            for level, stride in enumerate(STRIDES)
        )
        self.columns = Columns(classes.columns)

    @property
    def levels(self) -> list[Head]:
        """What each map means."""
        return [head for head in self.heads if isinstance(head, Head)]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.decode(self.raw(images))

    def raw(self, images: Tensor) -> list[Tensor]:
        """(B, 3 * (5 + C), H, W) of each level, the coarsest first."""
        return self.tables(self.maps(self.backbone(images)))

    def maps(self, found: dict[str, Tensor]) -> list[Tensor]:
        """What the boxes of each level are told from, of what the backbone has found."""
        finer, middle, x = found.values()
        maps = []
        for stage, skip in zip(self.stages, (middle, finer, None), strict=True):
            seen, x = stage(x)
            maps.append(seen)
            if skip is not None:
                x = torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1)
        return maps

    def tables(self, maps: Sequence[Tensor]) -> list[Tensor]:
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        return [stage.boxes(each) for stage, each in zip(stages, maps, strict=True)]

    def anchors(self, size: Size) -> list[Tensor]:
        """(H*W*3, 4) xyxy of each level, around the middle of its cells, in the order of boxes."""
        shapes = grids(size, STRIDES)
        return [head.anchors(shape) for head, shape in zip(self.levels, shapes, strict=True)]

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, ...]:
        found = [head.decode(each) for head, each in zip(self.levels, raw, strict=True)]
        boxes, scores = (torch.cat(each, 1) for each in zip(*found, strict=True))
        return boxes, self.columns(scores)

    def convolutions(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
        """In the order of Darknet's file, each with its batch norm."""
        parts = (*self.backbone.modules(), *self.stages.modules())
        modules = [m for m in parts if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        for module, after in zip(modules, [*modules[1:], None], strict=True):
            if isinstance(module, nn.Conv2d):
                yield module, after if isinstance(after, nn.BatchNorm2d) else None

    def load_darknet(self, path: str | Path, partial: bool = False) -> tuple[str, ...]:
        """Fill in a `.weights` file of Darknet's yolov3; what does not fit is returned."""
        from mot.detectors.models.yolov3_darknet import load_darknet

        return load_darknet(self, path, partial)


def _yolo(level: int, anchors: Sequence[float], classes: Classes) -> Yolo:
    mask = tuple(3 * (2 - level) + number for number in range(3))
    numbers = tuple(map(float, anchors))
    return Yolo(classes=classes.outputs, num=9, mask=mask, anchors=numbers)


def create(settings: Settings) -> Yolov3:
    return Yolov3(*parts_of(settings))


def parts_of(settings: Settings) -> tuple[nn.Module, int, Sequence[float], Classes]:
    """What one is made of."""
    classes = classes_of(settings.names)
    anchors = _anchors_of(settings.anchors)
    is_darknet = settings.backbone == "darknet53"
    backbone = Darknet53() if is_darknet else body_of(settings.backbone, STRIDES[::-1])
    return backbone, settings.neck_width, anchors, classes


def _anchors_of(text: str) -> Sequence[float]:
    """By name, or nine pairs of numbers as `mot data anchors` prints them."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        known: Sequence[float] = choose("anchors", text, ANCHORS)
        return known
    if len(numbers) != 18 or min(numbers) <= 0:
        raise MotError(f"anchors = {text!r}: give nine widths and heights, the smallest first")
    return numbers


def spec_of(settings: Settings) -> InputSpec:
    return InputSpec((608, 608), margin=128)
