"""YOLOv3's criterion: objectness at every anchor, box and class at the positive ones.

Its own assigner (Redmon and Farhadi, 2018), `best-prior`, gives each object the anchor of the best
shape in the cell of its center. The default, SimOTA (Ge et al., 2021), gives it as many anchors as
predict good boxes already; class targets are then the IoUs of the predicted boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mot.detectors.darknet.model import DarknetModel
from mot.detectors.models.base import HeightWidth, height_width
from mot.detectors.models.yolov3 import Yolov3
from mot.training.assigners import Assigner, SimOta
from mot.training.criteria.base import (
    Assignment,
    Criterion,
    Losses,
    LossSettings,
    assign,
    network_anchors,
)
from mot.training.losses import binary_cross_entropy, box_loss, check_box_loss, paired_iou
from mot.training.targets import Predictions, Target


@dataclass(frozen=True, slots=True)
class Yolov3Loss(LossSettings):
    box: str = "ciou"
    box_weight: float = 5.0
    objectness_weight: float = 1.0
    class_weight: float = 1.0
    label_smoothing: float = 0.0
    iou_aware: bool = True  # class targets are the IoUs of the predicted boxes

    def __post_init__(self) -> None:
        check_box_loss(self.box)


class RawPredictions(NamedTuple):
    boxes: Tensor  # (B, A, 4) xyxy in pixels
    objectness: Tensor  # (B, A) logits
    classes: Tensor  # (B, A, C) logits

    def detach(self) -> Predictions:
        scores = self.objectness.sigmoid()[..., None] * self.classes.sigmoid()
        return Predictions(scores.detach(), self.boxes.detach())


class Yolov3Criterion(Criterion):
    settings_type: ClassVar[type[LossSettings]] = Yolov3Loss
    default_assigner = SimOta(radius=1.0)
    model: Yolov3 | DarknetModel
    settings: Yolov3Loss
    assigner: Assigner

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        return self.detection_losses(self.model.raw(images), height_width(images), targets)[0]

    def detection_losses(
        self, raw: Sequence[Tensor], size: HeightWidth, targets: list[Target]
    ) -> tuple[Losses, Assignment, RawPredictions]:
        """The losses of the box maps, with the assignment and the predictions behind them."""
        parts = [head.read(each) for head, each in zip(self.model.levels, raw, strict=True)]
        predictions = RawPredictions(*(torch.cat(each, 1) for each in zip(*parts, strict=True)))
        anchors = network_anchors(self.model, size)
        assignment = assign(self.assigner, anchors, targets, predictions.detach())
        settings, total = self.settings, assignment.normalizer()
        boxes = box_loss(settings.box, assignment.at_positives(predictions.boxes), assignment.boxes)
        objectness = binary_cross_entropy(predictions.objectness, assignment.is_positive.float())[
            assignment.valid
        ]
        losses = {
            "box": settings.box_weight * boxes,
            "objectness": settings.objectness_weight * objectness,
            "class": settings.class_weight * self._class_losses(predictions, assignment),
        }
        losses = {name: loss.sum() / total for name, loss in losses.items()}
        return losses, assignment, predictions

    def _class_losses(self, predictions: RawPredictions, assignment: Assignment) -> Tensor:
        wanted = assignment.at_positives(assignment.one_hot(predictions.classes.shape[2]))
        if self.settings.iou_aware:
            boxes = assignment.at_positives(predictions.boxes.detach())
            wanted = wanted * paired_iou(boxes, assignment.boxes)[:, None]
        logits = assignment.at_positives(predictions.classes)
        return binary_cross_entropy(logits, wanted, self.settings.label_smoothing)
