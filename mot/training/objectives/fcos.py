"""FCOS's objective (Tian et al., 2019): classes by the focal loss, boxes by their overlap, and how
near a place is to the middle of its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mot.detectors.models.common import size_of
from mot.training.distributed import mean_over_processes
from mot.training.losses import binary, box_loss, check_box_loss, focal
from mot.training.objectives.common import Assigner, assign, one_hot, places_of
from mot.training.targets import Predictions, Target

ASSIGNER = {"kind": "centre"}  # unless a recipe says otherwise


@dataclass(frozen=True, slots=True)
class Settings:
    alpha: float = 0.25
    gamma: float = 2.0
    box: str = "giou"

    def __post_init__(self) -> None:
        check_box_loss(self.box)


@dataclass(frozen=True, slots=True, eq=False)
class FcosObjective:
    model: Any
    settings: Settings
    assigner: Assigner

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        raw = self.model.raw(images)
        places = places_of(self.model.anchors(size_of(images)), self.model.strides)
        boxes = self.model.coder.decode(raw.sides.float(), places.boxes)
        guesses = Predictions(raw.logits.detach().float().sigmoid(), boxes.detach())
        assigned = assign(self.assigner, places, targets, guesses)
        wanted = one_hot(assigned, raw.logits.shape[2])
        settings, total = self.settings, assigned.total()
        classes = focal(raw.logits, wanted, settings.alpha, settings.gamma)[assigned.counts]
        nearness = _centreness(places.boxes[assigned.places[:, 1]], assigned.boxes)
        weight = mean_over_processes(nearness.sum()).clamp(min=1e-6)
        overlap = box_loss(settings.box, assigned.of_objects(boxes), assigned.boxes)
        middle = binary(assigned.of_objects(raw.centreness)[:, 0], nearness)
        return {
            "class": classes.sum() / total,
            "box": (overlap * nearness).sum() / weight,
            "centre": middle.sum() / total,
        }


def _centreness(places: Tensor, boxes: Tensor) -> Tensor:
    """(P,) 1 in the middle of the box, 0 on its sides."""
    points = (places[:, :2] + places[:, 2:]) / 2
    before, after = (points - boxes[:, :2]).clamp(min=0), (boxes[:, 2:] - points).clamp(min=0)
    shares = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
    return shares.prod(1).sqrt()


objective = FcosObjective
