"""Losses of detectors, one for each element: whoever calls sums them and divides.

All compute in float32 at least, whatever the network does. Logits are before the sigmoid; boxes
are xyxy in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

from mot.errors import nearest
from mot.training.assigners.core import blocks, guessed_iou, most_overlapping, spare_regions
from mot.training.targets import BACKGROUND, Anchors, Target

_LEAST_SIDE = 1 / 64  # pixels; less has no shape, and float32 cannot tell it at pixel 100,000
_TINY = 1e-12


def exact(values: Tensor) -> Tensor:
    """In float32, or float64 as it is."""
    return values if values.dtype == torch.float64 else values.float()


def focal(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The focal loss (Lin et al., 2017) of each logit; targets from 0 to 1."""
    logits = exact(logits)
    loss: Tensor = sigmoid_focal_loss(logits, targets.to(logits), alpha, gamma)
    return loss


def varifocal(logits: Tensor, targets: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """The varifocal loss (Zhang et al., 2021) of each logit.

    Targets are the overlaps of the boxes that are said with their objects, 0 where there is none:
    good boxes count most, and background the less, the surer it is. torchvision has none such.
    """
    logits = exact(logits)
    targets = targets.to(logits)
    weights = targets.where(targets > 0, alpha * logits.sigmoid() ** gamma)
    return weights * binary(logits, targets)


def binary(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross entropy of each logit; smoothed targets keep half of that away from 0 and 1."""
    logits = exact(logits)
    wanted = targets.to(logits) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")


def smooth_l1(deltas: Tensor, targets: Tensor, beta: float = 1.0) -> Tensor:
    """Of each number: squared below `beta`, straight beyond."""
    deltas = exact(deltas)
    return F.smooth_l1_loss(deltas, targets.to(deltas), reduction="none", beta=beta)


def _iou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    return 1 - paired_iou(boxes, targets)


# torchvision has no loss of the plain overlap.
BOX_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": _iou_loss,
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def check_box_loss(kind: str, *others: str) -> None:
    known = (*BOX_LOSSES, *others)
    if kind not in known:
        raise ValueError(f"box = {kind!r}: {nearest(kind, known)}")


def box_loss(kind: str, boxes: Tensor, targets: Tensor) -> Tensor:
    """(N,) of pairs (N, 4). Empty and reversed boxes count as very small ones at their first
    corner: torchvision's losses divide by their sides."""
    boxes = exact(boxes)
    return BOX_LOSSES[kind](_with_sides(boxes), _with_sides(targets.to(boxes)))


def _with_sides(boxes: Tensor) -> Tensor:
    first, last = boxes[:, :2], boxes[:, 2:]
    # The last corner keeps its gradient, or a reversed box would stay so.
    shift = (first + _LEAST_SIDE - last).clamp(min=0).detach()
    return torch.cat([first, last + shift], 1)


def paired_iou(boxes: Tensor, targets: Tensor) -> Tensor:
    """(N,) intersection over union of pairs (N, 4); 0 of two empty boxes."""
    boxes = exact(boxes)
    targets = targets.to(boxes)
    first = torch.maximum(boxes[:, :2], targets[:, :2])
    last = torch.minimum(boxes[:, 2:], targets[:, 2:])
    shared = _area(first, last)
    union = _area(boxes[:, :2], boxes[:, 2:]) + _area(targets[:, :2], targets[:, 2:]) - shared
    return shared / union.clamp(min=_TINY)


def _area(first: Tensor, last: Tensor) -> Tensor:
    """Of corners (N, 2); 0 where they are reversed."""
    width, height = (last - first).clamp(min=0).unbind(1)
    return width * height


def hard_negatives(
    losses: Tensor,
    is_positive: Tensor,
    ratio: float = 3.0,
    least: int = 0,
    is_negative: Tensor | None = None,
) -> Tensor:
    """(B, A) the negatives of each picture whose losses (B, A) are greatest (SSD).

    `ratio` times as many as it has positives, and `least` even without; of ties the first. All that
    are not positive are negative where `is_negative` does not say.
    """
    negatives = ~is_positive if is_negative is None else is_negative & ~is_positive
    ranked = losses.detach().masked_fill(~negatives, -torch.inf)
    order = ranked.argsort(stable=True, dim=-1, descending=True)
    ranks = order.argsort(-1)
    most = (ratio * is_positive.sum(-1, keepdim=True)).clamp(min=least)
    chosen: Tensor = negatives & (ranks < most)
    return chosen


@dataclass(frozen=True, slots=True)
class FreeAnchor:
    bag: int = 50  # places of an object, those that overlap it most
    box_weight: float = 0.75  # of a box's loss in the likelihood that a place finds it
    sure: float = 0.6  # overlap up to which a box that is said finds nothing
    alpha: float = 0.5  # the weight of objects; background has the rest
    gamma: float = 2.0


# The losses (N, K) of the boxes that some places (N, K) say, for object 0, 1, ... N - 1.
PairLosses = Callable[[Tensor], Tensor]


def free_anchor(
    logits: Tensor,
    boxes: Tensor,
    places: Anchors,
    target: Target,
    box_losses: PairLosses,
    settings: FreeAnchor | None = None,
) -> Tensor:
    """FreeAnchor's loss (Zhang et al., 2019) of one picture, to be divided by the batch's objects.

    `logits` (A, C) and the decoded `boxes` (A, 4) are what the network says. Of the bag of each
    object some place should find it; whatever does not is background, save in ignored regions.
    """
    settings = settings or FreeAnchor()
    logits = exact(logits)
    found = _found(boxes.detach().to(logits), target, logits.shape[1], settings.sure)
    rows = torch.full_like(logits[:, 0], BACKGROUND, dtype=torch.int64)
    counts = spare_regions(rows, places.boxes, target.regions) == BACKGROUND
    background = _negative(logits, found, settings.gamma)[counts].sum()
    loss = (1 - settings.alpha) / settings.bag * background
    if len(target.boxes) and len(places.boxes):
        overlaps, bags = most_overlapping(places.boxes, target.boxes, settings.bag)
        losses = settings.box_weight * exact(box_losses(bags))
        chances = F.logsigmoid(logits[bags, target.labels[:, None]]) - losses
        matching = log_mean_max(chances).masked_fill(overlaps.amax(1) == 0, 0)  # out of sight
        loss = loss - settings.alpha * matching.sum()
    return loss


def log_mean_max(logs: Tensor) -> Tensor:
    """(N,) of logarithms (N, K) of chances: like their mean where all are small, like their
    greatest once one is near 1.

    In logarithms, or places that are far off would have no gradient.
    """
    weights = -(-torch.expm1(logs)).clamp(min=_TINY).log()  # of 1 / (1 - chance)
    return (logs + weights).logsumexp(1) - weights.logsumexp(1)


@torch.no_grad()
def _found(boxes: Tensor, target: Target, classes: int, sure: float) -> Tensor:
    """(A, C) how likely the box that each place says finds an object of the class: 0 up to the
    overlap `sure`, 1 for the best box of an object, straight between."""
    found = boxes.new_zeros(classes, len(boxes))
    for block in blocks(target.boxes, boxes):
        overlaps = guessed_iou(target.boxes[block].to(boxes), boxes)
        best = overlaps.amax(1, keepdim=True)
        chances = ((overlaps - sure) / (best - sure).clamp(min=_TINY)).clamp_(0, 1)
        labels = target.labels[block][:, None].expand(chances.shape)
        found.scatter_reduce_(0, labels, chances, "amax")
    return found.T


def _negative(logits: Tensor, found: Tensor, gamma: float) -> Tensor:
    """(A, C) the focal loss of saying an object that is not found."""
    wrong = logits.sigmoid() * (1 - found)
    # Of 1 - wrong, which is 0 in float32 for those that are most wrong.
    log_right = torch.logaddexp(F.logsigmoid(-logits), F.logsigmoid(logits) + found.log())
    return wrong**gamma * -log_right
