"""Faster R-CNN's objective (Ren et al., 2015): what the first stage proposes, and how the second
stage judges a sample of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.common import size_of
from mot.training.assigners import MaxIou
from mot.training.distributed import mean_over_processes
from mot.training.losses import binary, smooth_l1
from mot.training.objectives.common import (
    Assigned,
    Assigner,
    assign,
    assign_each,
    encode_boxes,
    places_of,
)
from mot.training.targets import BACKGROUND, Target

# Of the first stage, unless a recipe says otherwise.
ASSIGNER = {"kind": "max-iou", "positive": 0.7, "negative": 0.3}


@dataclass(frozen=True, slots=True)
class Settings:
    sampled: int = 256  # anchors of a picture
    judged: int = 512  # proposals of a picture
    min_overlap: float = 0.5  # of a proposal that counts as an object
    object_share: float = 0.25  # of the proposals, at most


class FasterrcnnObjective:
    def __init__(self, model: Any, settings: Settings, assigner: Assigner) -> None:
        self.model = model
        self.settings = settings
        self.assigner = assigner
        least = settings.min_overlap
        self._judge = MaxIou(positive=least, negative=least, low_quality=False)

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        model, size = self.model, size_of(images)
        maps = model.backbone(images)
        objectness, deltas = model.first_stage(maps)
        first = self._first_losses(objectness, deltas, size, targets)
        proposals = model.propose(objectness, deltas, size)
        return first | self._second_losses(maps, proposals, targets)

    def _first_losses(
        self, objectness: Tensor, deltas: Tensor, size: tuple[int, int], targets: list[Target]
    ) -> dict[str, Tensor]:
        places = places_of(self.model.anchors(size), self.model.strides)
        assigned = assign(self.assigner, places, targets)
        assigned = assigned.only(_sample(assigned.rows, self.settings.sampled, 0.5))
        objects = binary(objectness[..., 0], assigned.is_object.float())[assigned.counts]
        anchors = places.boxes[assigned.places[:, 1]]
        wanted = encode_boxes(self.model.rpn.box_coder, assigned.boxes, anchors)
        boxes = smooth_l1(assigned.of_objects(deltas), wanted, 1 / 9)
        total = _counted(assigned)
        return {"propose": objects.sum() / total, "propose-box": boxes.sum() / total}

    def _second_losses(
        self, maps: dict[str, Tensor], proposals: Tensor, targets: list[Target]
    ) -> dict[str, Tensor]:
        boxes = _with_objects(proposals, targets)
        assigned = assign_each(self._judge, boxes, targets)
        is_there = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        assigned = assigned.only(is_there)
        assigned = assigned.only(
            _sample(assigned.rows, self.settings.judged, self.settings.object_share)
        )
        logits, refinements = self.model.second_stage(maps, boxes * assigned.counts[..., None])
        classes = torch.zeros_like(assigned.rows)  # the background
        classes[assigned.places[:, 0], assigned.places[:, 1]] = 1 + assigned.labels
        judged = F.cross_entropy(
            logits[assigned.counts].float(), classes[assigned.counts], reduction="sum"
        )
        coder = self.model.roi_heads.box_coder
        wanted = encode_boxes(coder, assigned.boxes, assigned.of_objects(boxes))
        found = assigned.of_objects(refinements)[torch.arange(len(wanted)), 1 + assigned.labels]
        total = _counted(assigned)
        return {
            "class": judged / total,
            "box": smooth_l1(found, wanted, 1 / 9).sum() / total,
        }


def _counted(assigned: Assigned) -> Tensor:
    return mean_over_processes(assigned.counts.sum().float()).clamp(min=1)


def _with_objects(proposals: Tensor, targets: list[Target]) -> Tensor:
    """(B, P+G, 4): what is there is proposed too, or a network that finds nothing learns nothing;
    filled up with empty boxes."""
    most = max(len(target.boxes) for target in targets)
    pads = [F.pad(target.boxes, (0, 0, 0, most - len(target.boxes))) for target in targets]
    return torch.cat([proposals, torch.stack(pads).to(proposals)], 1)


def _sample(rows: Tensor, count: int, share: float) -> Tensor:
    """(B, A) some places by chance: objects up to their share, and background."""
    chance = torch.rand(rows.shape, device=rows.device)
    is_object, is_background = rows >= 0, rows == BACKGROUND
    most = int(count * share)
    objects = is_object & (_ranks(chance.where(is_object, 2.0)) < most)
    left = count - objects.sum(1, keepdim=True)
    return objects | (is_background & (_ranks(chance.where(is_background, 2.0)) < left))


def _ranks(values: Tensor) -> Tensor:
    """(B, A) the place of each in its row, sorted."""
    return values.argsort(1).argsort(1)


objective = FasterrcnnObjective
