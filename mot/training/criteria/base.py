"""What the criteria share: the base class, and anchors assigned to the objects of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder

from mot.detectors.models.base import HeightWidth
from mot.training.assigners import Assigner
from mot.training.distributed import mean_over_processes
from mot.training.losses import smooth_l1
from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target

Losses = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The table [loss] of a recipe."""


class Criterion(nn.Module, ABC):
    """A network with the losses that it is trained on.

    Called with normalized images (B, 3, H, W) and a target for each, it returns weighted losses by
    name; their sum is minimized.
    """

    settings_type: ClassVar[type[LossSettings]]
    default_assigner: ClassVar[Assigner | None] = None  # None: it uses none

    def __init__(
        self,
        model: nn.Module,
        settings: LossSettings,
        assigner: Assigner | None = None,
        identities: int = 0,
    ) -> None:
        """`identities`: of the training data."""
        super().__init__()
        self.model = model
        self.settings = settings
        self.assigner = assigner
        self.auxiliary = self.make_auxiliary_heads(identities)

    def make_auxiliary_heads(self, identities: int) -> nn.Module | None:
        """Layers that are trained with the network, and no part of it afterwards."""
        return None

    @abstractmethod
    def forward(self, images: Tensor, targets: list[Target]) -> Losses: ...


class AnchorNetwork(Protocol):
    @property
    def strides(self) -> Sequence[int]: ...

    def anchors(self, size: HeightWidth) -> list[Tensor]: ...


def network_anchors(model: AnchorNetwork, size: HeightWidth) -> Anchors:
    """The anchors for images of this height and width."""
    levels = model.anchors(size)
    return Anchors(torch.cat(levels), tuple(map(len, levels)), tuple(model.strides))


class Assignment(NamedTuple):
    """What the anchors of a batch should predict; P of all B*A are positive: have an object."""

    rows: Tensor  # (B, A) the object's row in its image, BACKGROUND or IGNORED
    positives: Tensor  # (P, 2) image and anchor
    boxes: Tensor  # (P, 4) xyxy of the objects
    labels: Tensor  # (P,)
    objects: Tensor  # (P,) the object's row among all of the batch

    @property
    def is_positive(self) -> Tensor:
        return self.rows >= 0

    @property
    def valid(self) -> Tensor:
        """(B, A) anchors that are not ignored."""
        return self.rows >= BACKGROUND

    def at_positives(self, values: Tensor) -> Tensor:
        """(P, ...) of (B, A, ...)."""
        return values[self.positives[:, 0], self.positives[:, 1]]

    def restrict(self, chosen: Tensor) -> Assignment:
        """With the anchors that are not chosen (B, A) ignored."""
        kept = self.at_positives(chosen)
        rows = self.rows.where(chosen, IGNORED)
        return Assignment(rows, *(each[kept] for each in self[1:]))

    def normalizer(self) -> Tensor:
        """The number of positives, by which losses are divided."""
        return mean_over_processes(self.rows.new_tensor(len(self.positives)).float()).clamp(min=1)

    def one_hot(self, classes: int) -> Tensor:
        """(B, A, C) float32, 1 at the class of each positive."""
        targets = torch.zeros(*self.rows.shape, classes, device=self.rows.device)
        targets[self.positives[:, 0], self.positives[:, 1], self.labels] = 1.0
        return targets

    def class_targets(self) -> Tensor:
        """(B, A) int64: 0 for the background, else 1 + the label."""
        targets = torch.zeros_like(self.rows)
        targets[self.positives[:, 0], self.positives[:, 1]] = 1 + self.labels
        return targets


@torch.no_grad()
def assign(
    assigner: Assigner,
    anchors: Anchors,
    targets: Sequence[Target],
    predictions: Predictions | None = None,
) -> Assignment:
    """Assigns the anchors of each image; `predictions` are of all images, (B, A, ...)."""
    each = [None] * len(targets) if predictions is None else list(map(Predictions, *predictions))
    rows = [
        assigner(anchors, target, predicted)
        for target, predicted in zip(targets, each, strict=True)
    ]
    return _make_assignment(torch.stack(rows), targets)


@torch.no_grad()
def assign_proposals(assigner: Assigner, boxes: Tensor, targets: Sequence[Target]) -> Assignment:
    """Assigns (B, A, 4) boxes that differ between the images."""
    counts = (boxes.shape[1],)
    rows = [
        assigner(Anchors(some, counts, (1,)), target, None)
        for some, target in zip(boxes, targets, strict=True)
    ]
    return _make_assignment(torch.stack(rows), targets)


def _make_assignment(rows: Tensor, targets: Sequence[Target]) -> Assignment:
    positives = (rows >= 0).nonzero()
    starts = torch.tensor([0, *(len(target.boxes) for target in targets)]).cumsum(0)
    objects = rows[positives[:, 0], positives[:, 1]] + starts.to(rows.device)[positives[:, 0]]
    return Assignment(
        rows,
        positives,
        torch.cat([target.boxes for target in targets])[objects],
        torch.cat([target.labels for target in targets])[objects],
        objects,
    )


def delta_loss(
    coder: BoxCoder, deltas: Tensor, anchors: Tensor, boxes: Tensor, beta: float
) -> Tensor:
    """(P, 4) smooth L1 of predicted deltas against those from the anchors to the boxes."""
    return smooth_l1(deltas, coder.encode_single(boxes, anchors), beta)
