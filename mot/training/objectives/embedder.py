"""What embedders are trained to do: to tell people apart, and to see them as a teacher does.

Features before the neck are compared by distance (the triplet loss), those behind it by angle: that
is how they are used. In several processes each compares the crops of its own share of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot.datasets.identities import NOBODY
from mot.training.targets import Target

_ALONE = ("identity", "triplet", "contrast")
_TAUGHT = ("imitation", "relations")
_NEVER = -1e4  # a logit whose share is 0; unlike an infinite one, even where there are no others


@dataclass(frozen=True, slots=True)
class Settings:
    """A loss that is named alone is its weight; 0 switches it off."""

    identity: float = 1.0  # who of all people it is: cross-entropy
    smoothing: float = 0.1
    triplet: float = 1.0  # the farthest of the same person against the nearest other one
    margin: float = 0.3  # between these distances; 0: a soft one
    contrast: float = 0.0  # the same person against all others of the batch
    temperature: float = 0.1  # of the contrast
    teacher: str = ""  # an embedder: an ONNX file, what `mot train` wrote, a known model
    imitation: float = 1.0  # of the teacher's vectors, by one linear layer
    relations: float = 1.0  # of how alike the teacher finds the crops of a batch
    relation_temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.smoothing >= 1:
            raise ValueError(f"smoothing = {self.smoothing} must be less than 1")
        for name in ("temperature", "relation_temperature"):
            if not getattr(self, name):
                raise ValueError(f"{name} = 0 must be above 0")
        if not any(getattr(self, name) for name in self.wanted()):
            raise ValueError("every weight is 0: there is nothing to learn")

    def wanted(self) -> list[str]:
        """The losses that count."""
        names = _ALONE + _TAUGHT if self.teacher else _ALONE
        return [name for name in names if getattr(self, name)]

    @property
    def has_teacher(self) -> bool:
        """And something to learn from it."""
        return not set(self.wanted()).isdisjoint(_TAUGHT)


class Learned(nn.Module):
    """What is of no use after the training: everybody's direction, the teacher's coordinates."""

    def __init__(self, settings: Settings, dims: int, people: int, teacher_dims: int) -> None:
        super().__init__()
        wanted = settings.wanted()
        self.people = _linear(dims, people) if "identity" in wanted else nn.Identity()
        self.teacher = _linear(dims, teacher_dims) if "imitation" in wanted else nn.Identity()


def _linear(ins: int, outs: int) -> nn.Linear:
    layer = nn.Linear(ins, outs, bias=False)
    nn.init.normal_(layer.weight, std=0.01 if outs > ins else ins**-0.5)
    return layer


@dataclass(slots=True, eq=False)
class EmbedderObjective:
    model: Any
    settings: Settings
    learned: Learned
    teacher: Tensor | None = None  # (N, V, D) unit vectors of all crops, each seen in V ways

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        features = self.model.features(images)
        behind = self.model.neck(features).float()
        features, unit = features.float(), functional.normalize(behind)
        ids = torch.cat([target.ids for target in targets])
        views = torch.cat([target.labels for target in targets])
        known = ids != NOBODY
        taught = self._taught(views)
        crops = views // (1 if self.teacher is None else self.teacher.shape[1])
        settings, learned = self.settings, self.learned
        losses = {
            "identity": lambda: identity(
                learned.people(behind[known]), ids[known], settings.smoothing
            ),
            "triplet": lambda: triplet(features[known], ids[known], settings.margin),
            "contrast": lambda: contrast(unit[known], ids[known], settings.temperature),
            "imitation": lambda: imitation(learned.teacher(unit), taught),
            "relations": lambda: relations(unit, taught, crops, settings.relation_temperature),
        }
        with torch.autocast(images.device.type, enabled=False):  # half of the digits are too few
            return {name: getattr(settings, name) * losses[name]() for name in settings.wanted()}

    def _taught(self, views: Tensor) -> Tensor:
        """(B, D) what the teacher says of these."""
        if self.teacher is None:
            return torch.zeros(len(views), 0)
        self.teacher = self.teacher.to(views.device)
        return self.teacher.flatten(0, 1)[views].float()


def identity(logits: Tensor, ids: Tensor, smoothing: float) -> Tensor:
    loss = functional.cross_entropy(logits, ids, label_smoothing=smoothing, reduction="sum")
    return loss / max(1, len(ids))


def triplet(features: Tensor, ids: Tensor, margin: float) -> Tensor:
    """Batch-hard (Hermans et al., 2017), over the crops with both a right and a wrong one."""
    if not len(ids):
        return features.sum()
    same, other = _pairs(ids)
    distance = torch.cdist(features, features)
    farthest = distance.where(same, -torch.inf).amax(1)
    nearest = distance.where(other, torch.inf).amin(1)
    gap = (farthest - nearest)[same.any(1) & other.any(1)]
    loss = functional.relu(gap + margin) if margin else functional.softplus(gap)
    return _mean(loss)


def contrast(unit: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Supervised contrast (Khosla et al., 2020): of two views of one crop each, InfoNCE."""
    same, _ = _pairs(ids)
    logits = (unit @ unit.T / temperature).masked_fill(_diagonal(ids), -torch.inf)
    shares = logits.log_softmax(1).masked_fill(~same, 0)
    counts = same.sum(1)
    return _mean(-shares.sum(1)[counts > 0] / counts[counts > 0])


def imitation(said: Tensor, taught: Tensor) -> Tensor:
    """How far the directions are off, 0 to 2."""
    return (1 - functional.cosine_similarity(said, taught)).mean()


def relations(unit: Tensor, taught: Tensor, crops: Tensor, temperature: float) -> Tensor:
    """Whom of the batch each crop is like, as the teacher finds (Passalis and Tefas, 2018): the
    divergence of one distribution from the other. The same crop once more is like itself, which
    would drown the rest."""
    itself = crops[:, None] == crops
    said, wanted = (
        (each @ each.T / temperature).masked_fill(itself, _NEVER).log_softmax(1)
        for each in (unit, taught)
    )
    return (wanted.exp() * (wanted - said)).masked_fill(itself, 0).sum(1).mean()


def _pairs(ids: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) other crops of the same person; crops of others."""
    same = ids[:, None] == ids
    return same & ~_diagonal(ids), ~same


def _diagonal(ids: Tensor) -> Tensor:
    return torch.eye(len(ids), dtype=torch.bool, device=ids.device)


def _mean(values: Tensor) -> Tensor:
    """0 of none, which has a gradient all the same."""
    return values.sum() / max(1, len(values))
