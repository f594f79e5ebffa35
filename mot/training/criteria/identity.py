"""Identity losses of FairMOT and JDE: embeddings are classified by identity (Zhang et al., 2021,
eq. 5), and where identities are few they may be distilled from a larger re-ID network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mot.runtime.preprocess import InputSpec
from mot.training.criteria.base import Losses, LossSettings
from mot.training.distillation import Teacher
from mot.training.distributed import mean_over_processes
from mot.training.losses import to_float
from mot.training.targets import Target

_LOG_VARIANCES = (-1.85, -1.05)  # initial ones of detection and identity, as the authors have them


@dataclass(frozen=True)  # without slots: of two bases only one may have them
class IdentityLoss(LossSettings):
    identity_weight: float = 1.0
    teacher: str = ""  # an ONNX file of an embedder, or an installed model
    distillation_weight: float = 1.0  # of projected embeddings against the teacher's
    relational_weight: float = 10.0  # of the similarities of pairs against the teacher's
    teacher_crops: int = 64  # crops of a batch that the teacher embeds


class ObjectEmbeddings(NamedTuple):
    """Predicted embeddings at P anchors."""

    vectors: Tensor  # (P, D)
    objects: Tensor  # (P,) the object's row among all of the batch


class AuxiliaryHeads(nn.Module):
    """Layers for training alone: the identity classifier, the projection to the teacher's
    embeddings, and the log variances by which the losses of both tasks are weighted."""

    def __init__(self, dims: int, identities: int, settings: IdentityLoss, spec: InputSpec) -> None:
        super().__init__()
        self.settings = settings
        self.classifier = nn.Linear(dims, max(1, identities))
        self.scale = math.sqrt(2) * math.log(max(2, identities - 1))
        self.log_variances = nn.Parameter(torch.tensor(_LOG_VARIANCES))
        self.has_identity_loss = identities > 1 or bool(settings.teacher)
        self.teacher = Teacher(settings.teacher, spec) if settings.teacher else None
        if self.teacher:
            self.projection = nn.Linear(dims, self.teacher.dims)

    def forward(
        self, embeddings: ObjectEmbeddings, images: Tensor, targets: list[Target]
    ) -> Losses:
        unit = F.normalize(to_float(embeddings.vectors), dim=1)
        ids = torch.cat([target.ids for target in targets])[embeddings.objects]
        known = ids >= 0
        logits = self.classifier(self.scale * unit[known])
        identity = _mean(F.cross_entropy(logits, ids[known], reduction="none"))
        losses = {"identity": self.settings.identity_weight * identity}
        if self.teacher:
            normalized = ObjectEmbeddings(unit, embeddings.objects)
            losses |= self._distill(self.teacher, normalized, images, targets)
        return losses

    def _distill(
        self, teacher: Teacher, embeddings: ObjectEmbeddings, images: Tensor, targets: list[Target]
    ) -> Losses:
        settings = self.settings
        chosen = _sample(torch.unique(embeddings.objects), settings.teacher_crops)
        is_chosen, rows = _find_rows(chosen, embeddings.objects)
        ours, theirs = embeddings.vectors[is_chosen], teacher(images, targets, chosen)[rows]
        projected = F.normalize(to_float(self.projection(ours)), dim=1)
        pairs = (ours @ ours.T - theirs @ theirs.T).square().mean(1)
        return {
            "distillation": settings.distillation_weight * _mean(1 - (projected * theirs).sum(1)),
            "relational": settings.relational_weight * _mean(pairs),
        }

    def balance(self, detection: Mapping[str, Tensor], identity: Mapping[str, Tensor]) -> Losses:
        """The losses of both tasks weighted by learned uncertainties (Kendall et al., 2018)."""
        tasks = (detection, identity) if self.has_identity_loss else (detection,)
        log_variances = self.log_variances[: len(tasks)]  # of an absent loss it would fall forever
        losses = {**identity, "uncertainty": log_variances.sum() / 2}
        for log_variance, task in zip(log_variances, tasks, strict=True):
            losses |= {name: (-log_variance).exp() / 2 * loss for name, loss in task.items()}
        return losses


def _mean(losses: Tensor) -> Tensor:
    """Over all processes; 0, with a gradient, of none."""
    count = mean_over_processes(losses.new_tensor(float(len(losses)))).clamp(min=1)
    return losses.sum() / count


def _sample(objects: Tensor, count: int) -> Tensor:
    """A random sample, in order."""
    chance = torch.rand(len(objects), device=objects.device)
    return objects[chance.argsort()[:count].sort().values]


def _find_rows(chosen: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) whether each object is among the sorted (K,) chosen ones, and the rows there of those
    that are."""
    if not len(chosen):
        return torch.zeros_like(objects, dtype=torch.bool), objects[:0]
    rows = torch.searchsorted(chosen, objects).clamp(max=len(chosen) - 1)
    is_chosen = chosen[rows] == objects
    return is_chosen, rows[is_chosen]
