"""Who is who: what FairMOT and JDE learn of people beside where they are.

Embeddings are told apart as classes, one for each person (Zhang et al., 2021, eq. 5), and where
identities are few they may be drawn to what a larger network says of the same crops.
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
from mot.training.distributed import mean_over_processes
from mot.training.losses import exact
from mot.training.objectives.teacher import Teacher
from mot.training.targets import Target

_DOUBTS = (-1.85, -1.05)  # of detection and of identity at first, as the authors have them
Losses = dict[str, Tensor]


@dataclass(frozen=True)  # without slots: of two bases one alone may have them
class IdentitySettings:
    identity_weight: float = 1.0
    teacher: str = ""  # an ONNX file of an embedder, or an installed model
    teacher_weight: float = 1.0  # of embeddings, through a projection, being like the teacher's
    likeness_weight: float = 10.0  # of pairs of people being as like as the teacher has them
    crops: int = 64  # of a batch that the teacher sees


class Looks(NamedTuple):
    """What a network says of people at P places."""

    vectors: Tensor  # (P, D)
    objects: Tensor  # (P,) which of all objects of the batch


class Learned(nn.Module):
    """What no detector needs: the classes, the way to the teacher, and how much is doubted."""

    def __init__(
        self, dims: int, identities: int, settings: IdentitySettings, spec: InputSpec
    ) -> None:
        super().__init__()
        self.settings = settings
        self.classifier = nn.Linear(dims, max(1, identities))
        self.scale = math.sqrt(2) * math.log(max(2, identities - 1))
        self.doubts = nn.Parameter(torch.tensor(_DOUBTS))
        self.is_taught = identities > 1 or bool(settings.teacher)
        self.teacher = Teacher(settings.teacher, spec) if settings.teacher else None
        if self.teacher:
            self.projection = nn.Linear(dims, self.teacher.dims)

    def forward(self, looks: Looks, images: Tensor, targets: list[Target]) -> Losses:
        unit = F.normalize(exact(looks.vectors), dim=1)
        ids = torch.cat([target.ids for target in targets])[looks.objects]
        losses = {"identity": self.settings.identity_weight * self._identity(unit, ids)}
        if self.teacher:
            losses |= self._taught(self.teacher, Looks(unit, looks.objects), images, targets)
        return losses

    def _identity(self, unit: Tensor, ids: Tensor) -> Tensor:
        """Of those who are known."""
        known = ids >= 0
        logits = self.classifier(self.scale * unit[known])
        return _mean(F.cross_entropy(logits, ids[known], reduction="none"))

    def _taught(
        self, teacher: Teacher, looks: Looks, images: Tensor, targets: list[Target]
    ) -> Losses:
        settings = self.settings
        chosen = _some(torch.unique(looks.objects), settings.crops)
        is_seen, rows = _rows_in(chosen, looks.objects)
        ours, theirs = looks.vectors[is_seen], teacher(images, targets, chosen)[rows]
        said = F.normalize(exact(self.projection(ours)), dim=1)
        pairs = (ours @ ours.T - theirs @ theirs.T).square().mean(1)
        return {
            "teacher": settings.teacher_weight * _mean(1 - (said * theirs).sum(1)),
            "likeness": settings.likeness_weight * _mean(pairs),
        }

    def balanced(self, detection: Mapping[str, Tensor], identity: Mapping[str, Tensor]) -> Losses:
        """Weighted by how little each task is doubted, which is learned (Kendall et al., 2018)."""
        weighted = (detection, identity) if self.is_taught else (detection,)
        doubts = self.doubts[: len(weighted)]  # a loss that is always 0 would not be doubted at all
        losses = {**identity, "balance": doubts.sum() / 2}
        for doubt, part in zip(doubts, weighted, strict=True):
            losses |= {name: (-doubt).exp() / 2 * loss for name, loss in part.items()}
        return losses


def _mean(losses: Tensor) -> Tensor:
    """Over all processes; 0, with a gradient, of none."""
    count = mean_over_processes(losses.new_tensor(float(len(losses)))).clamp(min=1)
    return losses.sum() / count


def _some(objects: Tensor, most: int) -> Tensor:
    """By chance, in order."""
    chance = torch.rand(len(objects), device=objects.device)
    return objects[chance.argsort()[:most].sort().values]


def _rows_in(chosen: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) whether an object is among the (K,) chosen ones, which are in order; and for those that
    are, which."""
    if not len(chosen):
        return torch.zeros_like(objects, dtype=torch.bool), objects[:0]
    rows = torch.searchsorted(chosen, objects).clamp(max=len(chosen) - 1)
    is_chosen = chosen[rows] == objects
    return is_chosen, rows[is_chosen]
