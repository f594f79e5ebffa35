"""JDE's objective (Wang et al., 2020): YOLOv3's, and at the places of an object who it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mot.detectors.models.common import size_of
from mot.runtime.preprocess import InputSpec
from mot.training.objectives.common import Assigner
from mot.training.objectives.identity import IdentitySettings, Learned, Looks
from mot.training.objectives.yolov3 import ASSIGNER, Yolov3Objective
from mot.training.objectives.yolov3 import Settings as DetectionSettings
from mot.training.targets import Target

__all__ = ["ASSIGNER", "Settings", "learned", "objective"]


@dataclass(frozen=True, slots=True)
class Settings(DetectionSettings, IdentitySettings):
    pass


class JdeObjective:
    def __init__(
        self, model: Any, settings: Settings, assigner: Assigner, learned: Learned
    ) -> None:
        self.model, self.learned = model, learned
        self._boxes = Yolov3Objective(model, settings, assigner)

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        raw, count = self.model.raw(images), len(self.model.levels)
        detection, assigned, said = self._boxes.judge(raw[:count], size_of(images), targets)
        boxes = said.boxes.detach()
        vectors = self.model.embedding.at(boxes, assigned.places, raw[count:])
        identity = self.learned(Looks(vectors, assigned.objects), images, targets)
        return self.learned.balanced(detection, identity)


def learned(model: Any, settings: Settings, identities: int) -> Learned:
    return Learned(model.embedding.dims, identities, settings, InputSpec())


objective = JdeObjective
