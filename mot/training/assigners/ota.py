"""Assigners that weigh the network's predictions: OTA and SimOTA (Ge et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mot.training.assigners.core import (
    Assigner,
    anchor_strides,
    blocks,
    centers,
    is_inside,
    is_near,
    nearest_anchors,
    prediction_iou,
    require_predictions,
    resolve_conflicts,
    to_planes,
)
from mot.training.targets import BACKGROUND, Anchors, Predictions, Target

_FAR_COST = 1e4  # more than any anchor near the center costs
_MIN_LOG = -100.0  # as in torch's binary cross-entropy
_MIN_IOU = 1e-8
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class SimOta(Assigner):
    """YOLOX's assigner (Ge et al., 2021): an object gets the anchors of the lowest cost.

    Candidates are the anchors near its center, then those inside it. It gets as many as the sum of
    its best IoUs with predicted boxes, and at least one; an anchor of several objects goes to the
    one of the lowest cost. As in later versions of YOLOX, near anchors need not be inside: only
    those of coarser maps may be inside an object narrower than a stride, and their boxes cannot
    learn to fit.
    """

    radius: float = 2.5  # around the center along both axes, in strides
    top_k: int = 10  # IoUs that are summed
    iou_weight: float = 3.0

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        points, radius = centers(anchors.boxes), self.radius * anchor_strides(anchors)
        some = _candidate_anchors(points, radius, target.boxes)
        scores, boxes = (each[some] for each in require_predictions(predictions))
        candidates = _Candidates(points[:, some], radius[some], boxes)
        class_costs = _class_costs(scores, _cross_entropy)
        chosen = [
            self._choose(candidates, target.boxes[block], class_costs.of(target.labels[block]))
            for block in blocks(target.boxes, some)
        ]
        qualities, ranks = (torch.cat(each) for each in zip(*chosen, strict=True))
        objects = torch.arange(len(ranks), device=some.device)[:, None].expand(ranks.shape)
        found = resolve_conflicts(
            objects.flatten(), ranks.flatten(), qualities.flatten(), len(some)
        )
        return _scatter_rows(found, some, len(anchors.boxes))

    def _choose(
        self, candidates: _Candidates, boxes: Tensor, class_costs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(n, K) qualities, -inf beyond an object's number of anchors, and candidates."""
        near = is_near(centers(boxes), candidates.points, candidates.radius)
        is_allowed = is_inside(to_planes(boxes), candidates.points) | near
        overlaps = prediction_iou(boxes, candidates.boxes).masked_fill_(~is_allowed, 0)
        count = min(self.top_k, overlaps.shape[1])
        dynamic_k = overlaps.topk(count).values.sum(1).long().clamp(min=1)
        cost = overlaps.add_(_MIN_IOU).log_().mul_(-self.iou_weight).add_(class_costs)
        cost[~near] += _FAR_COST
        cost[~is_allowed] = torch.inf
        cheapest = cost.topk(count, largest=False)
        is_beyond = torch.arange(count, device=boxes.device) >= dynamic_k[:, None]
        return -cheapest.values.masked_fill(is_beyond, torch.inf), cheapest.indices


class _Candidates(NamedTuple):
    points: Tensor  # (2, K) centers
    radius: Tensor  # (K,) in pixels
    boxes: Tensor  # (K, 4) as predicted


@dataclass(frozen=True, slots=True)
class Ota(Assigner):
    """Optimal transport assignment (Ge et al., 2021).

    Objects supply some anchors, background the others, at the lowest total cost. An object may
    supply those inside it that are among the nearest of a level to its center, as many as the sum
    of their best IoUs with it, and at least one. The paper's constant cost of other anchors is
    infinite here: most anchors are then surely background, and stay out of the transport.
    """

    candidates: int = 25  # of each level; more with several anchors at a point, by that factor
    top_k: int = 20  # IoUs that are summed
    iou_weight: float = 1.5
    epsilon: float = 0.1  # weight of the entropy of the plan
    iterations: int = 50  # of Sinkhorn and Knopp
    alpha: float = 0.25  # of the focal loss, the cost of classes
    gamma: float = 2.0

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        some, objects, is_allowed = self._find_candidates(anchors, target.boxes)
        if not len(objects):
            return target.labels.new_full((len(anchors.boxes),), BACKGROUND)
        some_predictions = Predictions(*(each[some] for each in require_predictions(predictions)))
        costs, supply = self._costs_and_supply(target, objects, is_allowed, some_predictions)
        plan = transport(costs, supply, self.epsilon, self.iterations)
        suppliers = torch.cat([objects, objects.new_full((1,), BACKGROUND)])
        return _scatter_rows(suppliers[_largest_shares(plan)], some, len(anchors.boxes))

    def _find_candidates(self, anchors: Anchors, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(K,) anchors and (n,) objects in the transport, and (n, K) whether a pair may match."""
        nearest, points = nearest_anchors(anchors, boxes, self.candidates), centers(anchors.boxes)
        inside = is_inside(to_planes(boxes), points[:, nearest])
        rows, ranks = inside.nonzero(as_tuple=True)
        is_some = torch.zeros_like(anchors.boxes[:, 0], dtype=torch.bool)
        is_some[nearest[rows, ranks]] = True
        some, objects = is_some.nonzero()[:, 0], inside.any(1).nonzero()[:, 0]
        is_allowed = is_some.new_zeros(len(objects), len(some))
        lines = torch.searchsorted(objects, rows)
        is_allowed[lines, torch.searchsorted(some, nearest[rows, ranks])] = True
        return some, objects, is_allowed

    def _costs_and_supply(
        self, target: Target, objects: Tensor, is_allowed: Tensor, predictions: Predictions
    ) -> tuple[Tensor, Tensor]:
        """(n + 1, K) costs and (n + 1,) supplies of the objects and, last, the background."""
        class_costs, boxes = _class_costs(predictions.scores, self._focal_loss), predictions.boxes
        costs = boxes.new_empty((len(objects) + 1, len(boxes)), dtype=torch.float64)
        costs[-1] = class_costs.background
        supply = costs[:, 0].clone()
        for block in blocks(objects, boxes):
            rows = objects[block]
            overlaps = prediction_iou(target.boxes[rows], boxes)
            overlaps.masked_fill_(~is_allowed[block], 0)
            best = overlaps.topk(min(self.top_k, overlaps.shape[1])).values
            lines = slice(block.start, block.start + len(rows))
            supply[lines] = best.sum(1).floor().clamp(min=1).double()
            cost = overlaps.add_(_MIN_IOU).log_().mul_(-self.iou_weight)
            cost.add_(class_costs.of(target.labels[rows]))
            costs[lines] = cost.masked_fill_(~is_allowed[block], torch.inf).double()
        supply[-1] = (len(boxes) - supply[:-1].sum()).clamp(min=0)
        return costs, supply

    def _focal_loss(self, chance: Tensor, complement: Tensor, is_object: bool) -> Tensor:
        weight = self.alpha if is_object else 1 - self.alpha
        return weight * complement**self.gamma * _negative_log(chance)


def transport(costs: Tensor, supply: Tensor, epsilon: float, iterations: int) -> Tensor:
    """(S, P) what each supplier sends to each anchor, which takes 1 (Sinkhorn and Knopp).

    Costs (S, P) are overwritten; each supplier and each anchor has a finite one.
    """
    # Costs that a supplier or an anchor always pays change nothing, and could leave no kernel.
    costs -= costs.amin(0)
    costs -= costs.amin(1, keepdim=True)
    kernel = costs.mul_(-1 / epsilon).exp_()
    anchors = torch.ones_like(kernel[0])
    for _ in range(iterations):
        suppliers = supply / (kernel @ anchors)
        anchors = 1 / (suppliers @ kernel)
    return kernel.mul_(suppliers[:, None]).mul_(anchors)


def _largest_shares(plan: Tensor) -> Tensor:
    """(P,) the supplier of each anchor, by the share of what it sends to its own best anchor, as in
    the authors' code: an object that divides its supply still gets an anchor. Of several suppliers
    the one that sends most."""
    shares = plan / plan.amax(1, keepdim=True).clamp(min=_TINY)
    shares[-1] = plan[-1]  # the background's best anchors are not in the transport
    return plan.where(shares == shares.amax(0), -1.0).argmax(0)


class _ClassCosts(NamedTuple):
    """Costs of predicted classes, by the scores of all classes."""

    background: Tensor  # (K,)
    extra: Tensor  # (C, K) of each class, beyond the background's

    def of(self, labels: Tensor) -> Tensor:
        """(n, K)"""
        return self.extra[labels].add_(self.background)


def _class_costs(scores: Tensor, loss: Callable[[Tensor, Tensor, bool], Tensor]) -> _ClassCosts:
    chances = scores.float().T
    absent = loss(1 - chances, chances, False)
    return _ClassCosts(absent.sum(0), loss(chances, 1 - chances, True) - absent)


def _cross_entropy(chance: Tensor, complement: Tensor, is_object: bool) -> Tensor:
    return _negative_log(chance)


def _negative_log(chance: Tensor) -> Tensor:
    return -chance.log().clamp_(min=_MIN_LOG)


def _candidate_anchors(points: Tensor, radius: Tensor, boxes: Tensor) -> Tensor:
    """(K,) the anchors that lie in some box or near the center of one."""
    found = torch.zeros_like(radius, dtype=torch.bool)
    for block in blocks(boxes, radius):
        objects = boxes[block]
        found |= is_inside(to_planes(objects), points).any(0)
        found |= is_near(centers(objects), points, radius).any(0)
    return found.nonzero()[:, 0]


def _scatter_rows(rows: Tensor, some: Tensor, count: int) -> Tensor:
    """(count,) the rows of some anchors; the others are background."""
    return rows.new_full((count,), BACKGROUND).index_copy_(0, some, rows)
