"""JDE's criterion (Wang et al., 2020): YOLOv3's, and identity losses at the positive anchors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mot.detectors.models.base import height_width
from mot.detectors.models.jde import DarknetJde, Jde
from mot.runtime.preprocess import InputSpec
from mot.training.criteria.base import Losses
from mot.training.criteria.identity import AuxiliaryHeads, IdentityLoss, ObjectEmbeddings
from mot.training.criteria.yolov3 import Yolov3Criterion, Yolov3Loss
from mot.training.targets import Target


@dataclass(frozen=True, slots=True)
class JdeLoss(Yolov3Loss, IdentityLoss):
    pass


class JdeCriterion(Yolov3Criterion):
    settings_type = JdeLoss
    model: Jde | DarknetJde
    settings: JdeLoss
    auxiliary: AuxiliaryHeads

    def make_auxiliary_heads(self, identities: int) -> AuxiliaryHeads:
        return AuxiliaryHeads(self.model.embedding.dims, identities, self.settings, InputSpec())

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        raw, count = self.model.raw(images), len(self.model.levels)
        detection, assignment, predictions = self.detection_losses(
            raw[:count], height_width(images), targets
        )
        boxes = predictions.boxes.detach()
        vectors = self.model.embedding.vectors_of(boxes, assignment.positives, raw[count:])
        embeddings = ObjectEmbeddings(vectors, assignment.objects)
        identity = self.auxiliary(embeddings, images, targets)
        return self.auxiliary.balance(detection, identity)
