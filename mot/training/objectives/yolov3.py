"""YOLOv3's objective: objectness at every place, a box and a class where an object is.

Its own assigner (Redmon and Farhadi, 2018), `best-prior`, gives each object the anchor whose shape
fits best, in the cell of its centre. SimOTA (Ge et al., 2021), the default, gives it as many places
as have a good box already; there the class is asked to tell how good the box is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mot.detectors.models.common import size_of
from mot.training.losses import binary, box_loss, check_box_loss, paired_iou
from mot.training.objectives.common import Assigned, Assigner, assign, one_hot, places_of
from mot.training.targets import Predictions, Target

ASSIGNER = {"kind": "simota", "radius": 1.0}  # unless a recipe says otherwise


@dataclass(frozen=True, slots=True)
class Settings:
    box: str = "ciou"
    box_weight: float = 5.0
    object_weight: float = 1.0
    class_weight: float = 1.0
    smoothing: float = 0.0  # of the classes
    tells_quality: bool = True  # the class's target is the overlap of the box with its object

    def __post_init__(self) -> None:
        check_box_loss(self.box)


class Said(NamedTuple):
    boxes: Tensor  # (B, A, 4) xyxy in pixels
    objects: Tensor  # (B, A) logits
    classes: Tensor  # (B, A, C) logits

    def guess(self) -> Predictions:
        scores = self.objects.sigmoid()[..., None] * self.classes.sigmoid()
        return Predictions(scores.detach(), self.boxes.detach())


@dataclass(frozen=True, slots=True, eq=False)
class Yolov3Objective:
    model: Any
    settings: Settings
    assigner: Assigner

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        return self.judge(self.model.raw(images), size_of(images), targets)[0]

    def judge(
        self, raw: Sequence[Tensor], size: tuple[int, int], targets: list[Target]
    ) -> tuple[dict[str, Tensor], Assigned, Said]:
        """The losses of the maps of boxes; who was asked for what; and what is said."""
        said = self._said(raw)
        places = places_of(self.model.anchors(size), self.model.strides)
        assigned = assign(self.assigner, places, targets, said.guess())
        total = assigned.total()
        losses = {
            "box": self.settings.box_weight * self._boxes(said, assigned),
            "object": self.settings.object_weight * self._objects(said, assigned),
            "class": self.settings.class_weight * self._classes(said, assigned),
        }
        return {name: loss.sum() / total for name, loss in losses.items()}, assigned, said

    def _said(self, raw: Sequence[Tensor]) -> Said:
        parts = [head.read(each) for head, each in zip(self.model.levels, raw, strict=True)]
        return Said(*(torch.cat(each, 1) for each in zip(*parts, strict=True)))

    def _boxes(self, said: Said, assigned: Assigned) -> Tensor:
        return box_loss(self.settings.box, assigned.of_objects(said.boxes), assigned.boxes)

    def _objects(self, said: Said, assigned: Assigned) -> Tensor:
        return binary(said.objects, assigned.is_object.float())[assigned.counts]

    def _classes(self, said: Said, assigned: Assigned) -> Tensor:
        wanted = assigned.of_objects(one_hot(assigned, said.classes.shape[2]))
        if self.settings.tells_quality:
            found = assigned.of_objects(said.boxes.detach())
            wanted = wanted * paired_iou(found, assigned.boxes)[:, None]
        return binary(assigned.of_objects(said.classes), wanted, self.settings.smoothing)


objective = Yolov3Objective
