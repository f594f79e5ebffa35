"""FCOS (Tian et al., 2019): one stage without anchors; each place tells the distances to the four
sides of its box. As in torchvision, places lie on the corners of their cells, not in the middle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxLinearCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from mot.detectors.architectures import Classes, FcosSettings, classes_of
from mot.detectors.models.common import (
    P6P7,
    WIDE,
    Columns,
    Pyramid,
    Size,
    anchors_by_level,
    body_of,
    cut_to_picture,
    size_of,
)
from mot.runtime.preprocess import InputSpec

Settings = FcosSettings
STRIDES = (8, 16, 32, 64, 128)


class Raw(NamedTuple):
    logits: Tensor  # (B, N, outputs)
    sides: Tensor  # (B, N, 4) left, top, right, bottom of each place, in strides
    centreness: Tensor  # (B, N, 1) logits


class Fcos(nn.Module):
    """Normalised pictures (B, 3, H, W) to (B, N, 4) xyxy boxes and (B, N, C) scores."""

    strides = STRIDES

    def __init__(self, backbone: Pyramid, classes: Classes, whole: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = FCOSHead(backbone.out_channels, 1, classes.outputs)
        self.anchor_generator = AnchorGenerator([(stride,) for stride in STRIDES], ((1.0,),) * 5)
        self.coder = BoxLinearCoder(normalize_by_size=True)
        self.columns = Columns(classes.columns)
        self.whole = whole

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.raw(images), size_of(images))

    def raw(self, images: Tensor) -> Raw:
        found = self.head(list(self.backbone(images).values()))
        return Raw(found["cls_logits"], found["bbox_regression"], found["bbox_ctrness"])

    def anchors(self, size: Size) -> list[Tensor]:
        """(H*W, 4) xyxy of each level: squares as large as the stride around the places."""
        device = self.columns.numbers.device
        return anchors_by_level(self.anchor_generator, size, self.strides, device)

    def decode(self, raw: Raw, size: Size) -> tuple[Tensor, Tensor]:
        boxes = self.coder.decode(raw.sides.float(), torch.cat(self.anchors(size)))
        chances = self.columns(raw.logits).float().sigmoid() * raw.centreness.float().sigmoid()
        return cut_to_picture(boxes, size, self.whole), chances.sqrt()


def create(settings: Settings) -> Fcos:
    body = body_of(settings.backbone, STRIDES[:3], settings.norm_epsilon)
    return Fcos(Pyramid(body, P6P7(256)), classes_of(settings.names), settings.whole)


def spec_of(settings: Settings) -> InputSpec:
    return WIDE
