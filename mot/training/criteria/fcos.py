"""FCOS's criterion (Tian et al., 2019): the focal loss of classes, the IoU loss of boxes, and
centerness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mot.detectors.models.base import height_width
from mot.detectors.models.fcos import Fcos
from mot.training.assigners import Assigner, Center
from mot.training.criteria.base import Criterion, Losses, LossSettings, assign, network_anchors
from mot.training.distributed import mean_over_processes
from mot.training.losses import binary_cross_entropy, box_loss, check_box_loss, focal
from mot.training.targets import Predictions, Target


@dataclass(frozen=True, slots=True)
class FcosLoss(LossSettings):
    alpha: float = 0.25
    gamma: float = 2.0
    box: str = "giou"

    def __post_init__(self) -> None:
        check_box_loss(self.box)


class FcosCriterion(Criterion):
    settings_type = FcosLoss
    default_assigner = Center()
    model: Fcos
    settings: FcosLoss
    assigner: Assigner

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        raw = self.model.raw(images)
        anchors = network_anchors(self.model, height_width(images))
        boxes = self.model.coder.decode(raw.sides.float(), anchors.boxes)
        predictions = Predictions(raw.logits.detach().float().sigmoid(), boxes.detach())
        assignment = assign(self.assigner, anchors, targets, predictions)
        wanted = assignment.one_hot(raw.logits.shape[2])
        settings, total = self.settings, assignment.normalizer()
        classes = focal(raw.logits, wanted, settings.alpha, settings.gamma)[assignment.valid]
        centerness = _centerness(anchors.boxes[assignment.positives[:, 1]], assignment.boxes)
        weight = mean_over_processes(centerness.sum()).clamp(min=1e-6)
        overlap = box_loss(settings.box, assignment.at_positives(boxes), assignment.boxes)
        predicted = assignment.at_positives(raw.centerness)[:, 0]
        return {
            "class": classes.sum() / total,
            "box": (overlap * centerness).sum() / weight,
            "centerness": binary_cross_entropy(predicted, centerness).sum() / total,
        }


def _centerness(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(P,) 1 in the center of the box, 0 on its sides."""
    points = (anchors[:, :2] + anchors[:, 2:]) / 2
    before, after = (points - boxes[:, :2]).clamp(min=0), (boxes[:, 2:] - points).clamp(min=0)
    shares = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
    return shares.prod(1).sqrt()
