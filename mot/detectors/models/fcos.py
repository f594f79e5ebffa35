"""FCOS (Tian et al., 2019): one stage without anchor boxes; each point predicts the distances to
the four sides of its box. As in torchvision, points are at the corners of cells, not in the middle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxLinearCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from mot.detectors.models.architecture import Architecture, Classes, FcosSettings, resolve_classes
from mot.detectors.models.base import DetectionModel, HeightWidth
from mot.detectors.models.common import (
    P6P7,
    TORCHVISION_INPUT,
    Pyramid,
    SelectClasses,
    clip_boxes,
    make_anchors,
    make_body,
)
from mot.runtime.preprocess import InputSpec

STRIDES = (8, 16, 32, 64, 128)


class Raw(NamedTuple):
    logits: Tensor  # (B, N, outputs)
    sides: Tensor  # (B, N, 4) distances to left, top, right, bottom, in strides
    centerness: Tensor  # (B, N, 1) logits


class Fcos(DetectionModel[Raw]):
    strides = STRIDES

    def __init__(self, backbone: Pyramid, classes: Classes, amodal: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = FCOSHead(backbone.out_channels, 1, classes.outputs)
        self.anchor_generator = AnchorGenerator([(stride,) for stride in STRIDES], ((1.0,),) * 5)
        self.coder = BoxLinearCoder(normalize_by_size=True)
        self.select_classes = SelectClasses(classes.indices)
        self.amodal = amodal

    def raw(self, images: Tensor) -> Raw:
        outputs = self.head(list(self.backbone(images).values()))
        return Raw(outputs["cls_logits"], outputs["bbox_regression"], outputs["bbox_ctrness"])

    def anchors(self, size: HeightWidth) -> list[Tensor]:
        """(H*W, 4) xyxy of each level: squares around the points, as large as the stride."""
        device = self.select_classes.indices.device
        return make_anchors(self.anchor_generator, size, self.strides, device)

    def decode(self, raw: Raw, size: HeightWidth) -> tuple[Tensor, Tensor]:
        boxes = self.coder.decode(raw.sides.float(), torch.cat(self.anchors(size)))
        classes = self.select_classes(raw.logits).float().sigmoid()
        scores = (classes * raw.centerness.float().sigmoid()).sqrt()
        return clip_boxes(boxes, size, self.amodal), scores


class FcosArchitecture(Architecture[FcosSettings]):
    def create(self, settings: FcosSettings) -> Fcos:
        body = make_body(settings.backbone, STRIDES[:3], settings.norm_epsilon)
        classes = resolve_classes(settings.names)
        return Fcos(Pyramid(body, P6P7(256)), classes, settings.amodal)

    def input_spec(self, settings: FcosSettings) -> InputSpec:
        return TORCHVISION_INPUT
