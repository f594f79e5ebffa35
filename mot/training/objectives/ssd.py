"""SSD's objective (Liu et al., 2016): one class or background at every box, the hardest of the
background three times as many as there are objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.common import size_of
from mot.training.losses import hard_negatives, smooth_l1
from mot.training.objectives.common import Assigner, assign, encode_boxes, places_of
from mot.training.targets import BACKGROUND, Target

ASSIGNER = {"kind": "max-iou", "positive": 0.5, "negative": 0.5}  # unless a recipe says otherwise


@dataclass(frozen=True, slots=True)
class Settings:
    ratio: float = 3.0  # of hard background to objects
    smoothing: float = 0.0
    box_weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class SsdObjective:
    model: Any
    settings: Settings
    assigner: Assigner

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        raw, settings = self.model.raw(images), self.settings
        places = places_of(self.model.anchors(size_of(images)), self.model.strides)
        assigned = assign(self.assigner, places, targets)
        wanted = torch.zeros_like(assigned.rows)  # the background
        wanted[assigned.places[:, 0], assigned.places[:, 1]] = 1 + assigned.labels
        classes = F.cross_entropy(
            raw.logits.float().movedim(2, 1),
            wanted,
            reduction="none",
            label_smoothing=settings.smoothing,
        )
        is_background = assigned.rows == BACKGROUND
        hard = hard_negatives(
            classes, assigned.is_object, settings.ratio, is_negative=is_background
        )
        counted = assigned.is_object | hard
        anchors = places.boxes[assigned.places[:, 1]]
        deltas = encode_boxes(self.model.coder, assigned.boxes, anchors)
        boxes = settings.box_weight * smooth_l1(assigned.of_objects(raw.deltas), deltas, 1.0)
        total = assigned.total()
        return {"class": classes[counted].sum() / total, "box": boxes.sum() / total}


objective = SsdObjective
