"""What the objectives share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from mot.training.distributed import mean_over_processes
from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target


class Assigner(Protocol):
    def __call__(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor: ...


class Assigned(NamedTuple):
    """What the places of a batch are asked for; P of all B*A have an object."""

    rows: Tensor  # (B, A) the object's row in its picture, BACKGROUND or IGNORED
    places: Tensor  # (P, 2) picture and place of those with an object
    boxes: Tensor  # (P, 4) xyxy of the objects
    labels: Tensor  # (P,)
    objects: Tensor  # (P,) which they are of all in the batch

    @property
    def is_object(self) -> Tensor:
        return self.rows >= 0

    @property
    def counts(self) -> Tensor:
        """(B, A) places that count: not ignored."""
        return self.rows >= BACKGROUND

    def of_objects(self, values: Tensor) -> Tensor:
        """(P, ...) of (B, A, ...)."""
        return values[self.places[:, 0], self.places[:, 1]]

    def only(self, chosen: Tensor) -> Assigned:
        """Without the places that are not chosen, (B, A): they are ignored."""
        kept = self.of_objects(chosen)
        rows = self.rows.where(chosen, IGNORED)
        return Assigned(rows, *(each[kept] for each in self[1:]))

    def total(self) -> Tensor:
        """How many objects' places there are, as losses are divided by it."""
        return mean_over_processes(self.rows.new_tensor(len(self.places)).float()).clamp(min=1)


@torch.no_grad()
def assign(
    assigner: Assigner,
    places: Anchors,
    targets: Sequence[Target],
    guesses: Predictions | None = None,
) -> Assigned:
    """For each picture; `guesses` are of the whole batch."""
    said = [None] * len(targets) if guesses is None else list(map(Predictions, *guesses))
    rows = [assigner(places, target, guess) for target, guess in zip(targets, said, strict=True)]
    return _assigned(torch.stack(rows), targets)


@torch.no_grad()
def assign_each(assigner: Assigner, boxes: Tensor, targets: Sequence[Target]) -> Assigned:
    """Of (B, A, 4) places that differ from picture to picture."""
    counts = (boxes.shape[1],)
    rows = [
        assigner(Anchors(some, counts, (1,)), target, None)
        for some, target in zip(boxes, targets, strict=True)
    ]
    return _assigned(torch.stack(rows), targets)


def _assigned(rows: Tensor, targets: Sequence[Target]) -> Assigned:
    found = (rows >= 0).nonzero()
    starts = torch.tensor([0, *(len(target.boxes) for target in targets)]).cumsum(0)
    objects = rows[found[:, 0], found[:, 1]] + starts.to(rows.device)[found[:, 0]]
    return Assigned(
        rows,
        found,
        torch.cat([target.boxes for target in targets])[objects],
        torch.cat([target.labels for target in targets])[objects],
        objects,
    )


def places_of(levels: Sequence[Tensor], strides: Sequence[int]) -> Anchors:
    return Anchors(torch.cat(list(levels)), tuple(map(len, levels)), tuple(strides))


def one_hot(assigned: Assigned, classes: int) -> Tensor:
    """(B, A, C) float32, 1 at the class of each object's place."""
    wanted = torch.zeros(*assigned.rows.shape, classes, device=assigned.rows.device)
    wanted[assigned.places[:, 0], assigned.places[:, 1], assigned.labels] = 1.0
    return wanted


def encode_boxes(coder: BoxCoder, boxes: Tensor, anchors: Tensor) -> Tensor:
    """(P, 4) deltas by which a network would say these xyxy boxes from these anchors."""
    deltas: Tensor = coder.encode_single(boxes, anchors)
    return deltas
