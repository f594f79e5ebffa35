"""YOLOv3 (Redmon and Farhadi, 2018): Darknet-53 or another backbone, a neck from coarse to fine,
and three levels of boxes. Its convolutions are in the order of Darknet's own weights file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from mot.detectors.darknet.cfg import Network, parse_text
from mot.detectors.darknet.layers import Yolo
from mot.detectors.darknet.model import BATCH_NORM_EPSILON, Head
from mot.detectors.darknet.weights import LayerArrays, convolutions, read_weights
from mot.detectors.models.architecture import (
    Architecture,
    Classes,
    Yolov3Settings,
    choose,
    resolve_classes,
)
from mot.detectors.models.base import DetectionModel, HeightWidth
from mot.detectors.models.common import SelectClasses, make_body, map_channels, map_sizes
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

STRIDES = (32, 16, 8)  # in the order of Darknet's heads
# Width and height in pixels, those of the finest level first.
ANCHORS = {
    "coco": (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326),
    "person": (10, 22, 14, 40, 24, 56, 26, 88, 48, 86, 46, 136, 84, 180, 150, 260, 240, 440),
}
_UPSAMPLE = "[upsample]\nstride=2\n\n"
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
        expanded: Tensor = self.expand(self.squeeze(x))
        return x + expanded


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
    """One level of the neck, and the head of its boxes."""

    def __init__(self, channels: int, width: int, outputs: int, is_last: bool) -> None:
        super().__init__()
        inputs = (channels, 2 * width, 2 * width)
        pairs = [(convolution(n, width, 1), convolution(width, 2 * width, 3)) for n in inputs]
        (*layers, expand) = (layer for pair in pairs for layer in pair)
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(expand, nn.Conv2d(2 * width, outputs, 1))
        self.lateral = nn.Identity() if is_last else convolution(width, width // 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the boxes, and the input of the next finer level."""
        x = self.body(x)
        return self.head[0](x), self.lateral(x)

    def raw(self, features: Tensor) -> Tensor:
        boxes: Tensor = self.head[1](features)
        return boxes


class Yolov3(DetectionModel[list[Tensor]]):
    """Images are RGB from 0 to 1; raw are the (B, 3 * (5 + C), H, W) maps of each level, the
    coarsest first."""

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
            Head(_make_layer(level, anchors, classes), (stride, stride))
            for level, stride in enumerate(STRIDES)
        )
        self.select_classes = SelectClasses(classes.indices)

    @property
    def levels(self) -> list[Head]:
        """Decoder of each level."""
        return [head for head in self.heads if isinstance(head, Head)]

    def raw(self, images: Tensor) -> list[Tensor]:
        return self.raw_boxes(self.features(self.backbone(images)))

    def features(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """Features of the boxes of each level, from the backbone's maps."""
        finer, middle, x = maps.values()
        features = []
        for stage, skip in zip(self.stages, (middle, finer, None), strict=True):
            each, x = stage(x)
            features.append(each)
            if skip is not None:
                x = torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1)
        return features

    def raw_boxes(self, features: Sequence[Tensor]) -> list[Tensor]:
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        return [stage.raw(each) for stage, each in zip(stages, features, strict=True)]

    def anchors(self, size: HeightWidth) -> list[Tensor]:
        """(H*W*3, 4) xyxy anchors of each level around cell centers, in the order of the boxes."""
        sizes = map_sizes(size, STRIDES)
        return [head.anchors(each) for head, each in zip(self.levels, sizes, strict=True)]

    def decode(self, raw: Sequence[Tensor], size: HeightWidth) -> tuple[Tensor, ...]:
        decoded = [head.decode(each) for head, each in zip(self.levels, raw, strict=True)]
        boxes, scores = (torch.cat(each, 1) for each in zip(*decoded, strict=True))
        return boxes, self.select_classes(scores)

    def convolutions(self) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
        """In the order of Darknet's file, each with its batch norm."""
        parts = (*self.backbone.modules(), *self.stages.modules())
        modules = [m for m in parts if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        for module, following in zip(modules, [*modules[1:], None], strict=True):
            if isinstance(module, nn.Conv2d):
                yield module, following if isinstance(following, nn.BatchNorm2d) else None

    def load_darknet(self, path: str | Path, partial: bool = False) -> tuple[str, ...]:
        """Loads Darknet's `yolov3.weights`. With `partial`, what fits; returns what does not."""
        network = darknet_network(self)
        weights = read_weights(path, network, partial)
        with torch.no_grad():
            for index, (conv, norm) in zip(convolutions(network), self.convolutions(), strict=True):
                if index in weights.layers:
                    _fill(conv, norm, weights.layers[index])
        return weights.unfit


class Yolov3Architecture(Architecture[Yolov3Settings]):
    def create(self, settings: Yolov3Settings) -> Yolov3:
        return Yolov3(*make_parts(settings))

    def input_spec(self, settings: Yolov3Settings) -> InputSpec:
        return InputSpec((608, 608), margin=128)


def make_parts(settings: Yolov3Settings) -> tuple[nn.Module, int, Sequence[float], Classes]:
    """The arguments of `Yolov3`."""
    classes = resolve_classes(settings.names)
    anchors = _parse_anchors(settings.anchors)
    is_darknet = settings.backbone == "darknet53"
    backbone = Darknet53() if is_darknet else make_body(settings.backbone, STRIDES[::-1])
    return backbone, settings.neck_width, anchors, classes


def _parse_anchors(text: str) -> Sequence[float]:
    """A name, or nine pairs of numbers as `mot data anchors` prints them."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        return choose("anchors", text, ANCHORS)
    if len(numbers) != 18 or min(numbers) <= 0:
        raise MotError(f"anchors = {text!r}: give nine widths and heights, the smallest first")
    return numbers


def _make_layer(level: int, anchors: Sequence[float], classes: Classes) -> Yolo:
    mask = tuple(3 * (2 - level) + number for number in range(3))
    numbers = tuple(map(float, anchors))
    return Yolo(classes=classes.outputs, num=9, mask=mask, anchors=numbers)


# Darknet's files: the `.cfg` that a model corresponds to, and its weights.


def _fill(conv: nn.Conv2d, norm: nn.BatchNorm2d | None, arrays: LayerArrays) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    conv.weight.copy_(tensors["weights"])
    if norm is None:
        assert conv.bias is not None
        conv.bias.copy_(tensors["biases"])
        return
    assert norm.running_mean is not None and norm.running_var is not None
    norm.bias.copy_(tensors["biases"])
    norm.weight.copy_(tensors["scales"])
    norm.running_mean.copy_(tensors["means"])
    norm.running_var.copy_(tensors["variances"])


def darknet_network(model: Yolov3) -> Network:
    """The Darknet network that a model on Darknet-53 corresponds to."""
    if not isinstance(model.backbone, Darknet53):
        raise MotError("Darknet weights only fit backbone = 'darknet53'")
    text = "[net]\nwidth=608\nheight=608\nchannels=3\n\n" + _backbone_text(model.backbone.width)
    width = model.width
    for level, early in enumerate((61, 36, None)):
        pair = _convolution_text(width >> level, 1) + _convolution_text(2 * width >> level, 3)
        text += pair * 3 + _head_text(model.levels[level].layer)
        if early:
            text += "[route]\nlayers=-4\n\n" + _convolution_text(width >> level + 1, 1)
            text += _UPSAMPLE + f"[route]\nlayers=-1,{early}\n\n"
    return parse_text(Path("yolov3.cfg"), text)


def _backbone_text(width: int) -> str:
    text = _convolution_text(width, 3)
    for times, blocks in ((2, 1), (4, 2), (8, 8), (16, 8), (32, 4)):
        filters = times * width
        residual = _convolution_text(filters // 2, 1) + _convolution_text(filters, 3)
        shortcut = "[shortcut]\nfrom=-3\nactivation=linear\n\n"
        text += _convolution_text(filters, 3, stride=2) + (residual + shortcut) * blocks
    return text


def _convolution_text(filters: int, size: int, stride: int = 1) -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        "pad=1\nactivation=leaky\n\n"
    )


def _head_text(layer: Yolo) -> str:
    mask, anchors = (",".join(f"{n:g}" for n in each) for each in (layer.mask, layer.anchors))
    return (
        f"[convolutional]\nfilters={layer.channels(layer.classes)}\nsize=1\nstride=1\npad=1\n"
        f"activation=linear\n\n[yolo]\nmask={mask}\nanchors={anchors}\n"
        f"classes={layer.classes}\nnum={layer.num}\n\n"
    )
