"""Losses of detectors, unreduced: the caller sums and divides them.

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

from mot.errors import suggest
from mot.training.assigners.core import (
    apply_ignored_regions,
    blocks,
    prediction_iou,
    top_overlaps,
)
from mot.training.targets import BACKGROUND, Anchors, Target

_MIN_SIDE = 1 / 64  # pixels; smaller boxes have no shape, and float32 loses them at pixel 100,000
_TINY = 1e-12


def to_float(values: Tensor) -> Tensor:
    """float32, or float64 unchanged."""
    return values if values.dtype == torch.float64 else values.float()


def focal(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The focal loss (Lin et al., 2017) of each logit; targets from 0 to 1."""
    logits = to_float(logits)
    loss: Tensor = sigmoid_focal_loss(logits, targets.to(logits), alpha, gamma)
    return loss


def binary_cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Of each logit; smoothed targets keep half of the smoothing away from 0 and 1."""
    logits = to_float(logits)
    smooth = targets.to(logits) * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")


def smooth_l1(deltas: Tensor, targets: Tensor, beta: float = 1.0) -> Tensor:
    """Of each number: squared below `beta`, linear beyond."""
    deltas = to_float(deltas)
    return F.smooth_l1_loss(deltas, targets.to(deltas), reduction="none", beta=beta)


def _iou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    return 1 - paired_iou(boxes, targets)


# torchvision has no loss of the plain IoU.
BOX_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": _iou_loss,
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


def check_box_loss(kind: str, *others: str) -> None:
    known = (*BOX_LOSSES, *others)
    if kind not in known:
        raise ValueError(f"box = {kind!r}: {suggest(kind, known)}")


def box_loss(kind: str, boxes: Tensor, targets: Tensor) -> Tensor:
    """(N,) of pairs (N, 4). Empty and reversed boxes count as very small ones at their first
    corner: torchvision's losses divide by their sides."""
    boxes = to_float(boxes)
    return BOX_LOSSES[kind](_with_min_sides(boxes), _with_min_sides(targets.to(boxes)))


def _with_min_sides(boxes: Tensor) -> Tensor:
    first, last = boxes[:, :2], boxes[:, 2:]
    # The last corner keeps its gradient, or a reversed box would stay so.
    shift = (first + _MIN_SIDE - last).clamp(min=0).detach()
    return torch.cat([first, last + shift], 1)


def paired_iou(boxes: Tensor, targets: Tensor) -> Tensor:
    """(N,) intersection over union of pairs (N, 4); 0 of two empty boxes."""
    boxes = to_float(boxes)
    targets = targets.to(boxes)
    first = torch.maximum(boxes[:, :2], targets[:, :2])
    last = torch.minimum(boxes[:, 2:], targets[:, 2:])
    shared = _area(first, last)
    union = _area(boxes[:, :2], boxes[:, 2:]) + _area(targets[:, :2], targets[:, 2:]) - shared
    return shared / union.clamp(min=_TINY)


def _area(first: Tensor, last: Tensor) -> Tensor:
    """(N,) from corners (N, 2); 0 where they are reversed."""
    width, height = (last - first).clamp(min=0).unbind(1)
    return width * height


def hard_negatives(
    losses: Tensor, is_positive: Tensor, is_negative: Tensor, ratio: float = 3.0
) -> Tensor:
    """(B, A) the negatives of each image with the highest losses (B, A), as in SSD: `ratio` times
    as many as it has positives; of ties the first."""
    negatives = is_negative & ~is_positive
    ranked = losses.detach().masked_fill(~negatives, -torch.inf)
    order = ranked.argsort(stable=True, dim=-1, descending=True)
    ranks = order.argsort(-1)
    chosen: Tensor = negatives & (ranks < ratio * is_positive.sum(-1, keepdim=True))
    return chosen


@dataclass(frozen=True, slots=True)
class FreeAnchor:
    bag_size: int = 50  # anchors of an object, those of the highest IoU
    box_weight: float = 0.75  # of the box loss in the likelihood that an anchor finds its object
    min_iou: float = 0.6  # up to this IoU a predicted box finds no object
    alpha: float = 0.5  # weight of the objects; background has the rest
    gamma: float = 2.0


def free_anchor(
    logits: Tensor,
    boxes: Tensor,
    anchors: Anchors,
    target: Target,
    box_losses: Callable[[Tensor], Tensor],
    settings: FreeAnchor | None = None,
) -> Tensor:
    """FreeAnchor's loss (Zhang et al., 2019) of one image, to be divided by the batch's objects.

    `logits` (A, C) and decoded `boxes` (A, 4) are predictions; `box_losses` maps the anchors (N, K)
    of objects 0 to N - 1 to their box losses (N, K). Some anchor in the bag of each object should
    find it; the others are background, except in ignored regions.
    """
    settings = settings or FreeAnchor()
    logits = to_float(logits)
    found = _finding_chances(boxes.detach().to(logits), target, logits.shape[1], settings.min_iou)
    rows = torch.full_like(logits[:, 0], BACKGROUND, dtype=torch.int64)
    is_valid = apply_ignored_regions(rows, anchors.boxes, target.regions) == BACKGROUND
    background = _background_loss(logits, found, settings.gamma)[is_valid].sum()
    loss = (1 - settings.alpha) / settings.bag_size * background
    if len(target.boxes) and len(anchors.boxes):
        overlaps, bags = top_overlaps(anchors.boxes, target.boxes, settings.bag_size)
        losses = settings.box_weight * to_float(box_losses(bags))
        log_chances = F.logsigmoid(logits[bags, target.labels[:, None]]) - losses
        matching = log_mean_max(log_chances)
        matching = matching.masked_fill(overlaps.amax(1) == 0, 0)  # overlaps no anchor
        loss = loss - settings.alpha * matching.sum()
    return loss


def log_mean_max(logs: Tensor) -> Tensor:
    """(N,) mean-max of chances whose logarithms (N, K) are given: like their mean where all are
    small, like their maximum once one is near 1.

    In logarithms, since otherwise poor anchors would have no gradient.
    """
    weights = -(-torch.expm1(logs)).clamp(min=_TINY).log()  # of 1 / (1 - chance)
    return (logs + weights).logsumexp(1) - weights.logsumexp(1)


@torch.no_grad()
def _finding_chances(boxes: Tensor, target: Target, classes: int, min_iou: float) -> Tensor:
    """(A, C) how likely each predicted box finds an object of the class: 0 up to `min_iou`, 1 for
    the best box of an object, linear between."""
    found = boxes.new_zeros(classes, len(boxes))
    for block in blocks(target.boxes, boxes):
        overlaps = prediction_iou(target.boxes[block].to(boxes), boxes)
        best = overlaps.amax(1, keepdim=True)
        chances = ((overlaps - min_iou) / (best - min_iou).clamp(min=_TINY)).clamp_(0, 1)
        labels = target.labels[block][:, None].expand(chances.shape)
        found.scatter_reduce_(0, labels, chances, "amax")
    return found.T


def _background_loss(logits: Tensor, found: Tensor, gamma: float) -> Tensor:
    """(A, C) the focal loss of predicting an object that is not found."""
    wrong = logits.sigmoid() * (1 - found)
    # Logarithm of 1 - wrong, which is 0 in float32 where a prediction is most wrong.
    log_right = torch.logaddexp(F.logsigmoid(-logits), F.logsigmoid(logits) + found.log())
    return wrong**gamma * -log_right
