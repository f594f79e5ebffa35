"""The criterion of embedders: to separate identities, and to match a teacher's embeddings.

The triplet loss compares distances of the features before the neck, the other losses angles behind
it: that is how embeddings are used. Of several processes each compares the crops of its own share
of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot.datasets.identities import UNKNOWN_ID
from mot.reid.networks import EmbedderNetwork
from mot.training.criteria.base import Criterion, Losses, LossSettings
from mot.training.targets import Target

_IDENTITY_LOSSES = ("identity", "triplet", "contrastive")
_TEACHER_LOSSES = ("distillation", "relational")
_EXCLUDED = -1e4  # a logit whose share is 0; unlike -inf also where it is the only one


@dataclass(frozen=True, slots=True)
class EmbedderLoss(LossSettings):
    """A key with a loss's name is its weight; 0 switches it off."""

    identity: float = 1.0  # cross-entropy over all identities
    label_smoothing: float = 0.1
    triplet: float = 1.0  # batch-hard: the farthest positive against the nearest negative
    margin: float = 0.3  # between their distances; 0: soft margin
    contrastive: float = 0.0  # each crop of the identity against the others in the batch
    temperature: float = 0.1  # of the contrastive loss
    teacher: str = ""  # an embedder: an ONNX file, weights of `mot train`, a known model
    distillation: float = 1.0  # of the teacher's embeddings, through one linear layer
    relational: float = 1.0  # of the teacher's similarities of the crops of a batch
    relational_temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.label_smoothing >= 1:
            raise ValueError(f"label_smoothing = {self.label_smoothing} must be less than 1")
        for name in ("temperature", "relational_temperature"):
            if not getattr(self, name):
                raise ValueError(f"{name} = 0 must be above 0")
        if not self.weights():
            raise ValueError("every loss has the weight 0: set one, such as loss.triplet = 1.0")

    def weights(self) -> dict[str, float]:
        """The weights of the losses that are used, by name."""
        names = _IDENTITY_LOSSES + _TEACHER_LOSSES if self.teacher else _IDENTITY_LOSSES
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def uses_teacher(self) -> bool:
        return not self.weights().keys().isdisjoint(_TEACHER_LOSSES)


class EmbedderHeads(nn.Module):
    """Layers for training alone: the identity classifier, and the projection to the teacher's
    embeddings."""

    def __init__(
        self, settings: EmbedderLoss, dims: int, identities: int, teacher_dims: int
    ) -> None:
        super().__init__()
        used = settings.weights()
        self.classifier = _linear(dims, identities) if "identity" in used else nn.Identity()
        self.projection = _linear(dims, teacher_dims) if "distillation" in used else nn.Identity()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=0.01 if outputs > inputs else inputs**-0.5)
    return layer


class EmbedderCriterion(Criterion):
    settings_type = EmbedderLoss
    model: EmbedderNetwork
    settings: EmbedderLoss
    auxiliary: EmbedderHeads

    def __init__(
        self,
        model: EmbedderNetwork,
        settings: EmbedderLoss,
        identities: int,
        teacher: Tensor | None = None,
    ) -> None:
        """`teacher`: (N, V, D) unit vectors of N crops in V views each. The labels of targets are
        rows of the N * V views."""
        super().__init__(model, settings)
        self.teacher = teacher
        teacher_dims = 0 if teacher is None else teacher.shape[2]
        dims = model.neck.num_features
        self.auxiliary = EmbedderHeads(settings, dims, identities, teacher_dims)

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        features = self.model.features(images)
        behind_neck = self.model.neck(features).float()
        features, unit = features.float(), functional.normalize(behind_neck)
        ids = torch.cat([target.ids for target in targets])
        views = torch.cat([target.labels for target in targets])
        known = ids != UNKNOWN_ID
        wanted = self._teacher_vectors(views)
        crops = views // (1 if self.teacher is None else self.teacher.shape[1])
        settings, heads = self.settings, self.auxiliary
        losses = {
            "identity": lambda: identity(
                heads.classifier(behind_neck[known]), ids[known], settings.label_smoothing
            ),
            "triplet": lambda: triplet(features[known], ids[known], settings.margin),
            "contrastive": lambda: contrastive(unit[known], ids[known], settings.temperature),
            "distillation": lambda: distillation(heads.projection(unit), wanted),
            "relational": lambda: relational(unit, wanted, crops, settings.relational_temperature),
        }
        with torch.autocast(images.device.type, enabled=False):  # 16 bits are too few
            return {name: weight * losses[name]() for name, weight in settings.weights().items()}

    def _teacher_vectors(self, views: Tensor) -> Tensor:
        """(B, D)"""
        if self.teacher is None:
            return torch.zeros(len(views), 0)
        self.teacher = self.teacher.to(views.device)
        return self.teacher.flatten(0, 1)[views].float()


def identity(logits: Tensor, ids: Tensor, label_smoothing: float) -> Tensor:
    loss = functional.cross_entropy(logits, ids, label_smoothing=label_smoothing, reduction="sum")
    return loss / max(1, len(ids))


def triplet(features: Tensor, ids: Tensor, margin: float) -> Tensor:
    """Batch-hard (Hermans et al., 2017), over the crops with both a positive and a negative."""
    if not len(ids):
        return features.sum()
    positive, negative = _pairs(ids)
    distance = torch.cdist(features, features)
    farthest = distance.where(positive, -torch.inf).amax(1)
    nearest = distance.where(negative, torch.inf).amin(1)
    gap = (farthest - nearest)[positive.any(1) & negative.any(1)]
    loss = functional.relu(gap + margin) if margin else functional.softplus(gap)
    return _mean(loss)


def contrastive(unit: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive (Khosla et al., 2020); with two views of each crop it is InfoNCE."""
    positive, _ = _pairs(ids)
    logits = (unit @ unit.T / temperature).masked_fill(_diagonal(ids), -torch.inf)
    shares = logits.log_softmax(1).masked_fill(~positive, 0)
    counts = positive.sum(1)
    return _mean(-shares.sum(1)[counts > 0] / counts[counts > 0])


def distillation(projected: Tensor, wanted: Tensor) -> Tensor:
    """Cosine distance to the teacher's vectors, 0 to 2."""
    return (1 - functional.cosine_similarity(projected, wanted)).mean()


def relational(unit: Tensor, wanted: Tensor, crops: Tensor, temperature: float) -> Tensor:
    """KL divergence of each crop's similarities to the others of the batch from the teacher's
    (Passalis and Tefas, 2018). Other views of the same crop are excluded: they would dominate."""
    is_same_crop = crops[:, None] == crops
    ours, theirs = (
        (each @ each.T / temperature).masked_fill(is_same_crop, _EXCLUDED).log_softmax(1)
        for each in (unit, wanted)
    )
    return (theirs.exp() * (theirs - ours)).masked_fill(is_same_crop, 0).sum(1).mean()


def _pairs(ids: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) other crops of the same identity; crops of other identities."""
    same = ids[:, None] == ids
    return same & ~_diagonal(ids), ~same


def _diagonal(ids: Tensor) -> Tensor:
    return torch.eye(len(ids), dtype=torch.bool, device=ids.device)


def _mean(values: Tensor) -> Tensor:
    """0 of none, which has a gradient all the same."""
    return values.sum() / max(1, len(values))
