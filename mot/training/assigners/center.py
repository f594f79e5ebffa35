"""The assigner of FCOS: by where the center points of anchors lie in objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mot.training.assigners.core import (
    Assigner,
    anchor_strides,
    area,
    blocks,
    centers,
    is_near,
    to_planes,
)
from mot.training.targets import BACKGROUND, Anchors, Predictions, Target


@dataclass(frozen=True, slots=True)
class Center(Assigner):
    """FCOS (Tian et al., 2019): points inside an object, near its center, on the level of its size.

    The size is the largest of the distances from the point to the four sides; a level takes those
    beyond what the next finer one takes. Of several objects the smallest gets the point.
    """

    radius: float = 1.5  # around the center along both axes, in strides
    max_size: float = 8.0  # of a level's objects, in strides; the coarsest takes all larger ones

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        points, radius = centers(anchors.boxes), self.radius * anchor_strides(anchors)
        low, high = self._size_ranges(anchors)
        order = area(to_planes(target.boxes)).argsort(stable=True)
        unassigned = len(order)
        # 32 bits: the minimum of other integers is found a hundred times more slowly.
        ranks = order.new_full((len(radius),), unassigned, dtype=torch.int32)
        for block in blocks(order, anchors.boxes):
            boxes = target.boxes[order[block]]
            size = _max_distances(to_planes(boxes), points)
            fits = (size > low) & (size <= high) & is_near(centers(boxes), points, radius)
            rank = torch.arange(len(boxes), device=order.device).int() + block.start
            ranks = ranks.minimum(torch.where(fits, rank[:, None], unassigned).amin(0))
        rows = torch.cat([order, order.new_full((1,), BACKGROUND)])
        return rows[ranks.long()]

    def _size_ranges(self, anchors: Anchors) -> tuple[Tensor, Tensor]:
        """(A,) exclusive minimum and inclusive maximum size of each point's objects."""
        steps = sorted(set(anchors.strides))
        limits = [0.0, *(self.max_size * step for step in steps[:-1]), math.inf]
        levels = anchors.boxes.new_tensor(steps)
        level = torch.searchsorted(levels, anchor_strides(anchors))
        bounds = anchors.boxes.new_tensor(limits)
        return bounds[level], bounds[level + 1]


def _max_distances(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) the largest of the distances to the four sides; -inf outside of the object."""
    (x, y), (left, top, right, bottom) = points, objects[..., None]
    sides = [x - left, y - top, right - x, bottom - y]
    shortest, longest = torch.minimum(sides[0], sides[1]), torch.maximum(sides[0], sides[1])
    for side in sides[2:]:
        torch.minimum(shortest, side, out=shortest)
        torch.maximum(longest, side, out=longest)
    return longest.masked_fill_(shortest <= 0, -math.inf)
