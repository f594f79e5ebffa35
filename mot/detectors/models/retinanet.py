"""RetinaNet (Lin et al., 2017): one stage, anchors on five levels, trained with the focal loss."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from mot.detectors.architectures import Classes, RetinanetSettings, choose, classes_of
from mot.detectors.models.common import (
    P6P7,
    WIDE,
    Columns,
    ExactAnchors,
    Pyramid,
    Size,
    anchors_by_level,
    body_of,
    decode_boxes,
    map_channels,
    size_of,
)
from mot.runtime.preprocess import InputSpec

Settings = RetinanetSettings
STRIDES = (8, 16, 32, 64, 128)
PERSON_RATIOS = (1.0, 2.0, 3.0)  # height / width


class Variant(NamedTuple):
    """In what the published networks differ."""

    p6_from_backbone: bool = False  # else from P5
    p7_after_relu: bool = True
    normalises_heads: bool = False
    rounds_anchors: bool = True


VARIANTS = {
    "torchvision": Variant(),
    "torchvision-v2": Variant(p6_from_backbone=True, normalises_heads=True),
    "mmdetection": Variant(p6_from_backbone=True, p7_after_relu=False, rounds_anchors=False),
}


class Raw(NamedTuple):
    logits: Tensor  # (B, N, outputs)
    deltas: Tensor  # (B, N, 4) from the anchors


class Retinanet(nn.Module):
    """Normalised pictures (B, 3, H, W) to (B, N, 4) xyxy boxes and (B, N, C) scores."""

    strides = STRIDES

    def __init__(
        self,
        backbone: Pyramid,
        head: RetinaNetHead,
        anchors: AnchorGenerator,
        classes: Classes,
        whole: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.anchor_generator = anchors
        self.coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
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
        return boxes, self.columns(raw.logits).float().sigmoid()


def create(settings: Settings) -> Retinanet:
    variant = choose("variant", settings.variant, VARIANTS)
    classes = classes_of(settings.names)
    anchors = anchors_of(settings.anchors, variant)
    body = body_of(settings.backbone, STRIDES[:3], settings.norm_epsilon)
    channels = map_channels(body)[-1] if variant.p6_from_backbone else 256
    backbone = Pyramid(body, P6P7(channels, variant.p7_after_relu))
    norm = partial(nn.GroupNorm, 32) if variant.normalises_heads else None
    each = anchors.num_anchors_per_location()[0]
    head = RetinaNetHead(backbone.out_channels, each, classes.outputs, norm_layer=norm)
    return Retinanet(backbone, head, anchors, classes, settings.whole)


def anchors_of(name: str, variant: Variant) -> AnchorGenerator:
    """Three scales and three ratios at each place of each level."""
    octaves = [2 ** (third / 3) for third in range(3)]
    person = [[2.5 * stride * octave for octave in octaves] for stride in STRIDES]
    coco = [[4 * stride * octave for octave in octaves] for stride in STRIDES]
    sizes = choose("anchors", name, {"person": person, "coco": coco})
    if name == "person":
        return ExactAnchors(sizes, PERSON_RATIOS, STRIDES)
    if not variant.rounds_anchors:
        return ExactAnchors(sizes, (0.5, 1.0, 2.0), STRIDES)
    whole = tuple(tuple(int(size) for size in level) for level in sizes)
    return AnchorGenerator(whole, ((0.5, 1.0, 2.0),) * len(STRIDES))


def spec_of(settings: Settings) -> InputSpec:
    return WIDE
