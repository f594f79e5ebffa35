"""Faster R-CNN's criterion (Ren et al., 2015): losses of the region proposal network, and of the
second stage on a sample of its proposals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.base import HeightWidth, height_width
from mot.detectors.models.fasterrcnn import Fasterrcnn
from mot.training.assigners import Assigner, MaxIou
from mot.training.criteria.base import (
    Assignment,
    Criterion,
    Losses,
    LossSettings,
    assign,
    assign_proposals,
    delta_loss,
    network_anchors,
)
from mot.training.distributed import mean_over_processes
from mot.training.losses import binary_cross_entropy
from mot.training.targets import BACKGROUND, Target

_BETA = 1 / 9  # of smooth L1


@dataclass(frozen=True, slots=True)
class FasterrcnnLoss(LossSettings):
    rpn_samples: int = 256  # anchors of an image
    box_samples: int = 512  # proposals of an image
    box_positive_iou: float = 0.5  # minimum IoU of a positive proposal
    box_positive_fraction: float = 0.25  # of the proposals, at most


class FasterrcnnCriterion(Criterion):
    settings_type = FasterrcnnLoss
    default_assigner = MaxIou(positive=0.7, negative=0.3)  # of the first stage
    model: Fasterrcnn
    settings: FasterrcnnLoss
    assigner: Assigner

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        model, size = self.model, height_width(images)
        maps = model.backbone(images)
        objectness, deltas = model.first_stage(maps)
        first = self._rpn_losses(objectness, deltas, size, targets)
        proposals = model.propose(objectness, deltas, size)
        return first | self._box_losses(maps, proposals, targets)

    def _rpn_losses(
        self, objectness: Tensor, deltas: Tensor, size: HeightWidth, targets: list[Target]
    ) -> Losses:
        anchors = network_anchors(self.model, size)
        assignment = assign(self.assigner, anchors, targets)
        assignment = assignment.restrict(_sample(assignment.rows, self.settings.rpn_samples, 0.5))
        is_positive = assignment.is_positive.float()
        objects = binary_cross_entropy(objectness[..., 0], is_positive)[assignment.valid]
        positives = anchors.boxes[assignment.positives[:, 1]]
        coder, deltas = self.model.rpn.box_coder, assignment.at_positives(deltas)
        boxes = delta_loss(coder, deltas, positives, assignment.boxes, _BETA)
        total = _count_valid(assignment)
        return {"rpn_objectness": objects.sum() / total, "rpn_box": boxes.sum() / total}

    def _box_losses(
        self, maps: dict[str, Tensor], proposals: Tensor, targets: list[Target]
    ) -> Losses:
        settings, boxes = self.settings, _add_objects(proposals, targets)
        limit = settings.box_positive_iou
        assigner = MaxIou(positive=limit, negative=limit, low_quality=False)
        assignment = assign_proposals(assigner, boxes, targets)
        assignment = assignment.restrict((boxes[..., 2:] > boxes[..., :2]).all(-1))
        assignment = assignment.restrict(
            _sample(assignment.rows, settings.box_samples, settings.box_positive_fraction)
        )
        valid = assignment.valid
        logits, refinements = self.model.second_stage(maps, boxes * valid[..., None])
        classes = F.cross_entropy(
            logits[valid].float(), assignment.class_targets()[valid], reduction="sum"
        )
        deltas = assignment.at_positives(refinements)
        deltas = deltas[torch.arange(len(deltas)), 1 + assignment.labels]
        coder, positives = self.model.roi_heads.box_coder, assignment.at_positives(boxes)
        total = _count_valid(assignment)
        return {
            "class": classes / total,
            "box": delta_loss(coder, deltas, positives, assignment.boxes, _BETA).sum() / total,
        }


def _count_valid(assignment: Assignment) -> Tensor:
    return mean_over_processes(assignment.valid.sum().float()).clamp(min=1)


def _add_objects(proposals: Tensor, targets: list[Target]) -> Tensor:
    """(B, P+G, 4): the objects are proposed too, since a network that finds none would not learn;
    padded with empty boxes."""
    largest = max(len(target.boxes) for target in targets)
    padded = [F.pad(target.boxes, (0, 0, 0, largest - len(target.boxes))) for target in targets]
    return torch.cat([proposals, torch.stack(padded).to(proposals)], 1)


def _sample(rows: Tensor, count: int, positive_fraction: float) -> Tensor:
    """(B, A) a random sample of each image: positives up to this fraction, and background."""
    chance = torch.rand(rows.shape, device=rows.device)
    is_positive, is_background = rows >= 0, rows == BACKGROUND
    max_positives = int(count * positive_fraction)
    positives = is_positive & (_ranks(chance.where(is_positive, 2.0)) < max_positives)
    left = count - positives.sum(1, keepdim=True)
    return positives | (is_background & (_ranks(chance.where(is_background, 2.0)) < left))


def _ranks(values: Tensor) -> Tensor:
    """(B, A) the rank of each value in its row, from the lowest."""
    return values.argsort(1).argsort(1)
