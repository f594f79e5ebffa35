"""RetinaNet's criterion (Lin et al., 2017): the focal loss at every anchor, and the boxes of
positive anchors. With FreeAnchor (Zhang et al., 2019) the network learns which those are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mot.detectors.models.base import height_width
from mot.detectors.models.common import RawAnchors
from mot.detectors.models.retinanet import Retinanet
from mot.training.assigners import Assigner, MaxIou
from mot.training.criteria.base import (
    Assignment,
    Criterion,
    Losses,
    LossSettings,
    assign,
    delta_loss,
    network_anchors,
)
from mot.training.distributed import mean_over_processes
from mot.training.losses import box_loss, check_box_loss, focal, free_anchor
from mot.training.targets import Anchors, Target

_BETA = 1 / 9  # of smooth L1


@dataclass(frozen=True, slots=True)
class RetinanetLoss(LossSettings):
    alpha: float = 0.25
    gamma: float = 2.0
    box: str = "l1"  # or iou, giou, diou, ciou
    box_weight: float = 1.0
    free_anchor: bool = False  # no assigner: the best anchor in each object's bag is learned

    def __post_init__(self) -> None:
        check_box_loss(self.box, "l1")


class RetinanetCriterion(Criterion):
    settings_type = RetinanetLoss
    default_assigner = MaxIou()
    model: Retinanet
    settings: RetinanetLoss
    assigner: Assigner

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        raw, size = self.model.raw(images), height_width(images)
        anchors = network_anchors(self.model, size)
        if self.settings.free_anchor:
            return self._free_anchor(raw, anchors, targets)
        assignment = assign(self.assigner, anchors, targets)
        wanted = assignment.one_hot(raw.logits.shape[2])
        settings, total = self.settings, assignment.normalizer()
        classes = focal(raw.logits, wanted, settings.alpha, settings.gamma)[assignment.valid]
        boxes = settings.box_weight * self._box_losses(raw.deltas, anchors.boxes, assignment)
        return {"class": classes.sum() / total, "box": boxes.sum() / total}

    def _box_losses(self, deltas: Tensor, anchors: Tensor, assignment: Assignment) -> Tensor:
        deltas, anchors = assignment.at_positives(deltas), anchors[assignment.positives[:, 1]]
        coder = self.model.coder
        if self.settings.box == "l1":
            return delta_loss(coder, deltas, anchors, assignment.boxes, _BETA)
        boxes = coder.decode_single(deltas.float(), anchors)
        return box_loss(self.settings.box, boxes, assignment.boxes)

    def _free_anchor(self, raw: RawAnchors, anchors: Anchors, targets: list[Target]) -> Losses:
        objects = sum(len(target.boxes) for target in targets)
        total = mean_over_processes(anchors.boxes.new_tensor(float(objects))).clamp(min=1)
        losses = [
            self._image_loss(logits, deltas.float(), anchors, target)
            for logits, deltas, target in zip(raw.logits, raw.deltas, targets, strict=True)
        ]
        return {"free_anchor": torch.stack(losses).sum() / total}

    def _image_loss(
        self, logits: Tensor, deltas: Tensor, anchors: Anchors, target: Target
    ) -> Tensor:
        coder = self.model.coder

        def box_losses(bags: Tensor) -> Tensor:
            """(N, K) of the anchors (N, K) in the bag of each object."""
            flat = bags.flatten()
            boxes = target.boxes[:, None].expand(*bags.shape, 4).flatten(0, 1)
            losses = delta_loss(coder, deltas[flat], anchors.boxes[flat], boxes, _BETA)
            return losses.sum(1).reshape(bags.shape)

        boxes = coder.decode_single(deltas, anchors.boxes)
        return free_anchor(logits, boxes, anchors, target, box_losses)
