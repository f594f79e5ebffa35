"""Assigners that weigh what the network already says: OTA and SimOTA (Ge et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mot.training.assigners.core import (
    Assigner,
    award,
    blocks,
    centres,
    guessed_iou,
    near,
    nearest,
    needed,
    planes_of,
    strides_of,
    within,
)
from mot.training.targets import BACKGROUND, Anchors, Predictions, Target

_FAR = 1e4  # costs more than any place that is near
_LEAST_LOG = -100.0  # as in torch's binary cross entropy
_LEAST_IOU = 1e-8
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class SimOta(Assigner):
    """YOLOX's assigner (Ge et al., 2021): an object has the places that cost it least.

    It chooses among those near its centre, then among those inside it. It has as many as the sum of
    their best overlaps with it, and one at least; whoever pays least for a place that several chose
    has it. As in later versions of YOLOX, near places need not be inside: of somebody narrower than
    a stride only those of coarser maps may be, and their boxes cannot learn to fit.
    """

    radius: float = 2.5  # around the centre along both axes, in strides
    top_k: int = 10  # overlaps that are summed
    iou_weight: float = 3.0

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        points, reach = centres(places.boxes), self.radius * strides_of(places)
        some = _some_near(points, reach, target.boxes)
        candidates = _Candidates(points[:, some], reach[some], *_of(needed(guess), some))
        prices = _class_prices(candidates.scores, _entropy)
        claims = [
            self._claims(candidates, target.boxes[block], prices.of(target.labels[block]))
            for block in blocks(target.boxes, some)
        ]
        merits, ranks = (torch.cat(each) for each in zip(*claims, strict=True))
        objects = torch.arange(len(ranks), device=some.device)[:, None].expand(ranks.shape)
        found = award(objects.flatten(), ranks.flatten(), merits.flatten(), len(some))
        return _spread(found, some, len(places.boxes))

    def _claims(self, places: _Candidates, boxes: Tensor, prices: Tensor) -> tuple[Tensor, Tensor]:
        """(n, K) merits, -inf where the object has enough, and ranks of candidates."""
        is_near = near(centres(boxes), places.points, places.reach)
        is_own = within(planes_of(boxes), places.points) | is_near
        overlaps = guessed_iou(boxes, places.boxes).masked_fill_(~is_own, 0)
        count = min(self.top_k, overlaps.shape[1])
        wanted = overlaps.topk(count).values.sum(1).long().clamp(min=1)
        cost = overlaps.add_(_LEAST_IOU).log_().mul_(-self.iou_weight).add_(prices)
        cost[~is_near] += _FAR
        cost[~is_own] = torch.inf
        cheapest = cost.topk(count, largest=False)
        enough = torch.arange(count, device=boxes.device) >= wanted[:, None]
        return -cheapest.values.masked_fill(enough, torch.inf), cheapest.indices


class _Candidates(NamedTuple):
    points: Tensor  # (2, K)
    reach: Tensor  # (K,) in pixels
    scores: Tensor  # (K, C)
    boxes: Tensor  # (K, 4) as guessed


@dataclass(frozen=True, slots=True)
class Ota(Assigner):
    """Optimal transport assignment (Ge et al., 2021).

    Objects supply some places, background the others, at the least total cost. An object supplies
    those inside it that are among the nearest of a level to its centre, as many as the sum of their
    best overlaps with it, and one at least. The paper's constant cost of other places is infinite
    here: most places are then surely background, and stay out of the transport.
    """

    closest: int = 25  # of each level; with several boxes at a place, as many times more
    top_k: int = 20  # overlaps that are summed
    iou_weight: float = 1.5
    temper: float = 0.1  # the weight of the entropy of the plan
    rounds: int = 50  # of Sinkhorn and Knopp
    alpha: float = 0.25  # of the focal loss, by which classes are weighed
    gamma: float = 2.0

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        some, objects, allowed = self._allowed(places, target.boxes)
        if not len(objects):
            return target.labels.new_full((len(places.boxes),), BACKGROUND)
        costs, supply = self._offers(
            target, objects, allowed, Predictions(*_of(needed(guess), some))
        )
        plan = transport(costs, supply, self.temper, self.rounds)
        suppliers = torch.cat([objects, objects.new_full((1,), BACKGROUND)])
        return _spread(suppliers[_largest_shares(plan)], some, len(places.boxes))

    def _allowed(self, places: Anchors, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(K,) places and (n,) objects in the transport, and (n, K) who may have what."""
        chosen, points = nearest(places, boxes, self.closest), centres(places.boxes)
        is_inside = within(planes_of(boxes), points[:, chosen])
        rows, ranks = is_inside.nonzero(as_tuple=True)
        is_some = torch.zeros_like(places.boxes[:, 0], dtype=torch.bool)
        is_some[chosen[rows, ranks]] = True
        some, objects = is_some.nonzero()[:, 0], is_inside.any(1).nonzero()[:, 0]
        allowed = is_some.new_zeros(len(objects), len(some))
        lines = torch.searchsorted(objects, rows)
        allowed[lines, torch.searchsorted(some, chosen[rows, ranks])] = True
        return some, objects, allowed

    def _offers(
        self, target: Target, objects: Tensor, allowed: Tensor, guess: Predictions
    ) -> tuple[Tensor, Tensor]:
        """(n + 1, K) costs and (n + 1,) supplies of objects and, last, background."""
        prices = _class_prices(guess.scores, self._focal)
        costs = guess.boxes.new_empty((len(objects) + 1, len(guess.boxes)), dtype=torch.float64)
        costs[-1] = prices.of_none
        supply = costs[:, 0].clone()
        for block in blocks(objects, guess.boxes):
            rows = objects[block]
            overlaps = guessed_iou(target.boxes[rows], guess.boxes)
            overlaps.masked_fill_(~allowed[block], 0)
            best = overlaps.topk(min(self.top_k, overlaps.shape[1])).values
            lines = slice(block.start, block.start + len(rows))
            supply[lines] = best.sum(1).floor().clamp(min=1).double()
            cost = overlaps.add_(_LEAST_IOU).log_().mul_(-self.iou_weight)
            cost.add_(prices.of(target.labels[rows]))
            costs[lines] = cost.masked_fill_(~allowed[block], torch.inf).double()
        supply[-1] = (len(guess.boxes) - supply[:-1].sum()).clamp(min=0)
        return costs, supply

    def _focal(self, chance: Tensor, of_other: Tensor, is_object: bool) -> Tensor:
        weight = self.alpha if is_object else 1 - self.alpha
        return weight * of_other**self.gamma * _minus_log(chance)


def transport(costs: Tensor, supply: Tensor, temper: float, rounds: int) -> Tensor:
    """(S, P) what each supplier sends to each place, which takes 1 (Sinkhorn and Knopp).

    Costs (S, P) are overwritten; each supplier and each place has one that is finite.
    """
    # Prices that a supplier or a place always pays change nothing, and could leave no kernel.
    costs -= costs.amin(0)
    costs -= costs.amin(1, keepdim=True)
    kernel = costs.mul_(-1 / temper).exp_()
    places = torch.ones_like(kernel[0])
    for _ in range(rounds):
        suppliers = supply / (kernel @ places)
        places = 1 / (suppliers @ kernel)
    return kernel.mul_(suppliers[:, None]).mul_(places)


def _largest_shares(plan: Tensor) -> Tensor:
    """(P,) the supplier of each place, by what it sends to its own best place, as the authors do:
    an object that divides its supply still has a place. Of several, whoever sends most."""
    shares = plan / plan.amax(1, keepdim=True).clamp(min=_TINY)
    shares[-1] = plan[-1]  # the background's best places are not in the transport
    return plan.where(shares == shares.amax(0), -1.0).argmax(0)


class _Prices(NamedTuple):
    """What it costs to be of a class, by the scores of all classes."""

    of_none: Tensor  # (K,)
    more: Tensor  # (C, K) for each class than for none

    def of(self, labels: Tensor) -> Tensor:
        """(n, K)"""
        return self.more[labels].add_(self.of_none)


def _class_prices(scores: Tensor, loss: Callable[[Tensor, Tensor, bool], Tensor]) -> _Prices:
    chances = scores.float().T
    absent = loss(1 - chances, chances, False)
    return _Prices(absent.sum(0), loss(chances, 1 - chances, True) - absent)


def _entropy(chance: Tensor, of_other: Tensor, is_object: bool) -> Tensor:
    return _minus_log(chance)


def _minus_log(chance: Tensor) -> Tensor:
    return -chance.log().clamp_(min=_LEAST_LOG)


def _some_near(points: Tensor, reach: Tensor, boxes: Tensor) -> Tensor:
    """(K,) the places that lie in some box or near the centre of one."""
    found = torch.zeros_like(reach, dtype=torch.bool)
    for block in blocks(boxes, reach):
        objects = boxes[block]
        found |= within(planes_of(objects), points).any(0)
        found |= near(centres(objects), points, reach).any(0)
    return found.nonzero()[:, 0]


def _of(guess: Predictions, some: Tensor) -> tuple[Tensor, Tensor]:
    return guess.scores[some], guess.boxes[some]


def _spread(found: Tensor, some: Tensor, count: int) -> Tensor:
    """(count,) what is found for some places; the others are background."""
    return found.new_full((count,), BACKGROUND).index_copy_(0, some, found)
