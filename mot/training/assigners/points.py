"""The assigner of FCOS, by where the points of places lie in objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mot.training.assigners.core import Assigner, area, blocks, centres, near, planes_of, strides_of
from mot.training.targets import BACKGROUND, Anchors, Predictions, Target


@dataclass(frozen=True, slots=True)
class Centre(Assigner):
    """FCOS (Tian et al., 2019): places inside an object, near its centre, on the level of its size.

    The size is the largest of the distances from the place to the four sides; a level takes those
    beyond what the next finer one takes. Of several objects the smallest has the place.
    """

    radius: float = 1.5  # from the centre along both axes, in strides
    largest: float = 8.0  # size that a level takes, in strides; the coarsest takes all

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        points, reach = centres(places.boxes), self.radius * strides_of(places)
        low, high = self._sizes(places)
        order = area(planes_of(target.boxes)).argsort(stable=True)
        nobody = len(order)
        # Of 32 bits: the least of others is found a hundred times more slowly.
        ranks = order.new_full((len(reach),), nobody, dtype=torch.int32)
        for block in blocks(order, places.boxes):
            boxes = target.boxes[order[block]]
            size = _size(planes_of(boxes), points)
            fits = (size > low) & (size <= high) & near(centres(boxes), points, reach)
            rank = torch.arange(len(boxes), device=order.device).int() + block.start
            ranks = ranks.minimum(torch.where(fits, rank[:, None], nobody).amin(0))
        rows = torch.cat([order, order.new_full((1,), BACKGROUND)])
        return rows[ranks.long()]

    def _sizes(self, places: Anchors) -> tuple[Tensor, Tensor]:
        """(A,) above which and up to which sizes each place takes."""
        steps = sorted(set(places.strides))
        limits = [0.0, *(self.largest * step for step in steps[:-1]), math.inf]
        levels = places.boxes.new_tensor(steps)
        level = torch.searchsorted(levels, strides_of(places))
        bounds = places.boxes.new_tensor(limits)
        return bounds[level], bounds[level + 1]


def _size(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) the largest of the four distances; -inf outside."""
    (x, y), (left, top, right, bottom) = points, objects[..., None]
    sides = [x - left, y - top, right - x, bottom - y]
    least, most = torch.minimum(sides[0], sides[1]), torch.maximum(sides[0], sides[1])
    for side in sides[2:]:
        torch.minimum(least, side, out=least)
        torch.maximum(most, side, out=most)
    return most.masked_fill_(least <= 0, -math.inf)
