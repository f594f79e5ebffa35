"""SSD300 on VGG-16 (Liu et al., 2016) and SSDLite on MobileNets (Sandler et al., 2018): one stage,
boxes of six levels, at one size of picture.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG, SSDHead
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead
from torchvision.models.vgg import cfgs, make_layers

from mot.detectors.architectures import Classes, SsdSettings, choose, classes_of
from mot.detectors.models.common import (
    Columns,
    Size,
    anchors_by_level,
    decode_boxes,
    map_channels,
    size_of,
)
from mot.runtime.preprocess import InputSpec

Settings = SsdSettings
PERSON_RATIOS = (1.0, 2.0, 3.0)  # height / width
_LITE_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)


class Kind(NamedTuple):
    spec: InputSpec
    strides: tuple[int, ...]
    scales: tuple[float, ...]  # of the boxes of each level, to the picture, and one more
    ratios: tuple[tuple[int, ...], ...]  # for COCO, beside 1; each as width / height and turned
    channels: tuple[int, ...] = ()  # of the levels; none: as the backbone has them
    person_scales: tuple[float, ...] = ()  # of boxes of people; none: as those of COCO

    @property
    def is_lite(self) -> bool:
        return not self.channels


_VGG = Kind(
    InputSpec(
        (300, 300),
        1,
        (0.48235, 0.45882, 0.40784),
        (1 / 255, 1 / 255, 1 / 255),
        keeps_aspect=False,
        is_fixed=True,
    ),
    (8, 16, 32, 64, 100, 300),
    (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
    ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
    (512, 1024, 512, 256, 256, 256),
)
_MOBILE = Kind(
    InputSpec((320, 320), 1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), keeps_aspect=False, is_fixed=True),
    (16, 32, 64, 128, 256, 512),
    (*(0.2 + 0.75 * level / 5 for level in range(6)), 1.0),
    ((2, 3),) * 6,
    person_scales=(0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0),  # most in a video are lower than 64 pixels
)
BACKBONES = {"vgg16": _VGG, "mobilenet_v2": _MOBILE, "mobilenet_v3_large": _MOBILE}


class Raw(NamedTuple):
    logits: Tensor  # (B, N, outputs), the background first
    deltas: Tensor  # (B, N, 4) from the default boxes


class Ssd(nn.Module):
    """Normalised pictures (B, 3, H, W) to (B, N, 4) xyxy boxes and (B, N, C) scores."""

    def __init__(
        self, backbone: nn.Module, kind: Kind, anchors: str, classes: Classes, whole: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.strides = kind.strides
        self.anchor_generator = boxes_of(anchors, kind)
        each = self.anchor_generator.num_anchors_per_location()
        if kind.is_lite:
            self.head = SSDLiteHead(map_channels(backbone), each, classes.outputs, _LITE_NORM)
        else:
            self.head = SSDHead(kind.channels, each, classes.outputs)
        self.coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.columns = Columns(classes.columns)
        self.whole = whole

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.raw(images), size_of(images))

    def raw(self, images: Tensor) -> Raw:
        found = self.head(list(self.backbone(images).values()))
        return Raw(found["cls_logits"], found["bbox_regression"])

    def anchors(self, size: Size) -> list[Tensor]:
        """(H*W*A, 4) xyxy of each level, for pictures of this height and width."""
        device = self.columns.numbers.device
        return anchors_by_level(self.anchor_generator, size, self.strides, device)

    def decode(self, raw: Raw, size: Size) -> tuple[Tensor, Tensor]:
        anchors = torch.cat(self.anchors(size))
        boxes = decode_boxes(self.coder, raw.deltas, anchors, size, self.whole)
        return boxes, self.columns(raw.logits.float().softmax(-1))


class UprightBoxes(DefaultBoxGenerator):  # type: ignore[misc]
    """Boxes of people alone, each at the scale of its level and at one between it and the next."""

    def num_anchors_per_location(self) -> list[int]:
        return [2 * len(PERSON_RATIOS)] * len(self.aspect_ratios)

    def _generate_wh_pairs(self, num_outputs: int) -> list[Tensor]:
        """(6, 2) width and height of each level, as shares of the picture's."""
        between = [math.sqrt(a * b) for a, b in zip(self.scales, self.scales[1:], strict=False)]
        return [
            torch.tensor(
                [
                    (scale / math.sqrt(ratio), scale * math.sqrt(ratio))
                    for scale in (self.scales[level], between[level])
                    for ratio in PERSON_RATIOS
                ]
            )
            for level in range(num_outputs)
        ]


def boxes_of(name: str, kind: Kind) -> DefaultBoxGenerator:
    people = UprightBoxes, kind.person_scales or kind.scales
    known = {"person": people, "coco": (DefaultBoxGenerator, kind.scales)}
    maker, scales = choose("anchors", name, known)
    steps = None if kind.is_lite else list(kind.strides)
    return maker([list(each) for each in kind.ratios], scales=list(scales), steps=steps)


def create(settings: Settings) -> Ssd:
    kind = choose("backbone", settings.backbone, BACKBONES)
    classes = classes_of(settings.names, has_background=True)
    return Ssd(_backbone(settings.backbone), kind, settings.anchors, classes, settings.whole)


def _backbone(name: str) -> Any:
    if name == "vgg16":
        return SSDFeatureExtractorVGG(make_layers(cfgs["D"]), highres=False)
    if name == "mobilenet_v3_large":
        layers = list(mobilenet_v3_large(norm_layer=_LITE_NORM, reduced_tail=True).features)
        return SSDLiteFeatureExtractorMobileNet(layers, 13, _LITE_NORM)
    layers = list(mobilenet_v2(norm_layer=_LITE_NORM).features)
    # The first map is that of the expansion in this block, which MobileNetV2 calls otherwise.
    layers[14] = SimpleNamespace(block=layers[14].conv, use_res_connect=False)
    return SSDLiteFeatureExtractorMobileNet(layers, 14, _LITE_NORM)


def spec_of(settings: Settings) -> InputSpec:
    spec: InputSpec = choose("backbone", settings.backbone, BACKBONES).spec
    return spec
