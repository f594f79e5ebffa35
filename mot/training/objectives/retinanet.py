"""RetinaNet's objective (Lin et al., 2017): the focal loss at every anchor, and the boxes of those
that an object is given to. FreeAnchor (Zhang et al., 2019) lets the network learn which those are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mot.detectors.models.common import size_of
from mot.training.distributed import mean_over_processes
from mot.training.losses import box_loss, check_box_loss, focal, free_anchor, smooth_l1
from mot.training.objectives.common import (
    Assigned,
    Assigner,
    assign,
    encode_boxes,
    one_hot,
    places_of,
)
from mot.training.targets import Anchors, Target

ASSIGNER = {"kind": "max-iou"}  # unless a recipe says otherwise
_BETA = 1 / 9  # of smooth L1


@dataclass(frozen=True, slots=True)
class Settings:
    alpha: float = 0.25
    gamma: float = 2.0
    box: str = "l1"  # or iou, giou, diou, ciou
    box_weight: float = 1.0
    free_anchor: bool = False  # no assigner: the best of each object's bag is learned

    def __post_init__(self) -> None:
        check_box_loss(self.box, "l1")


@dataclass(frozen=True, slots=True, eq=False)
class RetinanetObjective:
    model: Any
    settings: Settings
    assigner: Assigner

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        raw, size = self.model.raw(images), size_of(images)
        places = places_of(self.model.anchors(size), self.model.strides)
        if self.settings.free_anchor:
            return self._by_bags(raw, places, targets)
        assigned = assign(self.assigner, places, targets)
        wanted = one_hot(assigned, raw.logits.shape[2])
        settings, total = self.settings, assigned.total()
        classes = focal(raw.logits, wanted, settings.alpha, settings.gamma)[assigned.counts]
        boxes = settings.box_weight * self._boxes(raw.deltas, places.boxes, assigned)
        return {"class": classes.sum() / total, "box": boxes.sum() / total}

    def _boxes(self, deltas: Tensor, anchors: Tensor, assigned: Assigned) -> Tensor:
        found, anchors = assigned.of_objects(deltas), anchors[assigned.places[:, 1]]
        coder = self.model.coder
        if self.settings.box == "l1":
            return smooth_l1(found, encode_boxes(coder, assigned.boxes, anchors), _BETA)
        boxes = coder.decode_single(found.float(), anchors)
        return box_loss(self.settings.box, boxes, assigned.boxes)

    def _by_bags(self, raw: Any, places: Anchors, targets: list[Target]) -> dict[str, Tensor]:
        objects = sum(len(target.boxes) for target in targets)
        total = mean_over_processes(places.boxes.new_tensor(float(objects))).clamp(min=1)
        losses = [
            self._of_picture(logits, deltas.float(), places, target)
            for logits, deltas, target in zip(raw.logits, raw.deltas, targets, strict=True)
        ]
        return {"match": torch.stack(losses).sum() / total}

    def _of_picture(
        self, logits: Tensor, deltas: Tensor, places: Anchors, target: Target
    ) -> Tensor:
        coder = self.model.coder

        def box_losses(bags: Tensor) -> Tensor:
            boxes = target.boxes[:, None].expand(*bags.shape, 4).flatten(0, 1)
            wanted = encode_boxes(coder, boxes, places.boxes[bags].flatten(0, 1))
            losses = smooth_l1(deltas[bags].flatten(0, 1), wanted, _BETA).sum(1)
            return losses.reshape(bags.shape)

        boxes = coder.decode_single(deltas, places.boxes)
        return free_anchor(logits, boxes, places, target, box_losses)


objective = RetinanetObjective
