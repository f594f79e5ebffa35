"""SSD's criterion (Liu et al., 2016): one class or background at every default box, with three
times as many hard negatives as positives."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.base import height_width
from mot.detectors.models.ssd import Ssd
from mot.training.assigners import Assigner, MaxIou
from mot.training.criteria.base import (
    Criterion,
    Losses,
    LossSettings,
    assign,
    delta_loss,
    network_anchors,
)
from mot.training.losses import hard_negatives
from mot.training.targets import BACKGROUND, Target


@dataclass(frozen=True, slots=True)
class SsdLoss(LossSettings):
    negative_ratio: float = 3.0  # hard negatives for each positive
    label_smoothing: float = 0.0
    box_weight: float = 1.0


class SsdCriterion(Criterion):
    settings_type = SsdLoss
    default_assigner = MaxIou(positive=0.5, negative=0.5)
    model: Ssd
    settings: SsdLoss
    assigner: Assigner

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        raw, settings = self.model.raw(images), self.settings
        anchors = network_anchors(self.model, height_width(images))
        assignment = assign(self.assigner, anchors, targets)
        classes = F.cross_entropy(
            raw.logits.float().movedim(2, 1),
            assignment.class_targets(),
            reduction="none",
            label_smoothing=settings.label_smoothing,
        )
        is_positive, is_negative = assignment.is_positive, assignment.rows == BACKGROUND
        hard = hard_negatives(classes, is_positive, is_negative, settings.negative_ratio)
        positives = anchors.boxes[assignment.positives[:, 1]]
        deltas = assignment.at_positives(raw.deltas)
        boxes = delta_loss(self.model.coder, deltas, positives, assignment.boxes, 1.0)
        total = assignment.normalizer()
        return {
            "class": classes[is_positive | hard].sum() / total,
            "box": (settings.box_weight * boxes).sum() / total,
        }
