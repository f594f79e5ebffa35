"""What all assigners share: IoU in blocks, conflicts between objects, and ignored regions.

Values of each object and anchor are (n, A), for as many objects at a time as fit into a block:
memory stays bounded, and on a CPU within its cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target

_CPU_PAIRS = 1 << 17  # of a block: half a MiB for each temporary
_GPU_PAIRS = 1 << 24
_TINY = 1e-30  # keeps 0 / 0 out of the IoU of empty boxes; changes no other


@dataclass(frozen=True, slots=True)
class Assigner(ABC):
    """Returns for each anchor (A,) the row of its object, BACKGROUND or IGNORED."""

    _: KW_ONLY
    ignore_by_prediction: bool = False  # ignored regions apply to predicted boxes, not to anchors

    @torch.no_grad()
    def __call__(
        self, anchors: Anchors, target: Target, predictions: Predictions | None = None
    ) -> Tensor:
        if len(target.boxes) and len(anchors.boxes):
            rows = self.assign(anchors, target, predictions)
        else:
            rows = target.labels.new_full((len(anchors.boxes),), BACKGROUND)
        by_prediction = self.ignore_by_prediction
        boxes = require_predictions(predictions).boxes if by_prediction else anchors.boxes
        return apply_ignored_regions(rows, boxes, target.regions)

    @abstractmethod
    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        """The same for at least one anchor and one object, without the ignored regions."""


def require_predictions(predictions: Predictions | None) -> Predictions:
    if predictions is None:
        raise ValueError("this assigner depends on the network's predictions: pass them")
    return predictions


@torch.no_grad()
def apply_ignored_regions(
    rows: Tensor, boxes: Tensor, regions: Tensor, max_share: float = 0.5
) -> Tensor:
    """Background becomes IGNORED where more than this share of its box lies in one region."""
    if not len(regions) or not len(boxes):
        return rows
    planes = to_planes(boxes)
    limit = max_share * area(planes)
    ignored = torch.zeros_like(rows, dtype=torch.bool)
    for block in blocks(regions, boxes):
        ignored |= (intersection(to_planes(regions[block]), planes) > limit).any(0)
    return rows.masked_fill((rows == BACKGROUND) & ignored, IGNORED)


def blocks(objects: Tensor, anchors: Tensor) -> Iterator[slice]:
    """Slices of the objects, each short enough for all anchors at a time."""
    pairs = _CPU_PAIRS if anchors.device.type == "cpu" else _GPU_PAIRS
    step = max(1, pairs // max(1, len(anchors)))
    return (slice(start, start + step) for start in range(0, len(objects), step))


def resolve_conflicts(objects: Tensor, anchors: Tensor, qualities: Tensor, count: int) -> Tensor:
    """(count,) rows: each anchor goes to the object with the highest quality among its candidates.

    Candidate pairs are given as (K,) objects, anchors and qualities; a quality of -inf is no
    candidate. Ties go to the lower row.
    """
    best = qualities.new_full((count,), -torch.inf).scatter_reduce_(0, anchors, qualities, "amax")
    wins = (qualities == best[anchors]) & (qualities > -torch.inf)
    unassigned = torch.iinfo(torch.int64).max
    winners = objects.masked_fill(~wins, unassigned)
    rows = objects.new_full((count,), unassigned).scatter_reduce_(0, anchors, winners, "amin")
    return rows.masked_fill(rows == unassigned, BACKGROUND)


# Planes are (4, ...) left, top, right, bottom; those of objects are (4, n, 1).


def to_planes(boxes: Tensor) -> Tensor:
    return boxes.T.contiguous()


def area(planes: Tensor) -> Tensor:
    return (planes[2] - planes[0]) * (planes[3] - planes[1])


def centers(boxes: Tensor) -> Tensor:
    """(2, N) x and y of (N, 4) boxes."""
    return to_planes(boxes[:, :2] + boxes[:, 2:]) / 2


def intersection(objects: Tensor, anchors: Tensor) -> Tensor:
    """(n, A) areas of (4, n) and (4, A), or (n, K) of (4, n) and (4, n, K)."""
    objects = objects[..., None]
    shared = torch.minimum(objects[2], anchors[2])
    shared.sub_(torch.maximum(objects[0], anchors[0])).clamp_(min=0)
    height = torch.minimum(objects[3], anchors[3])
    height.sub_(torch.maximum(objects[1], anchors[1])).clamp_(min=0)
    return shared.mul_(height)


def iou(objects: Tensor, anchors: Tensor) -> Tensor:
    """(n, A) of (4, n) and (4, A), or (n, K) of (4, n) and (4, n, K)."""
    shared = intersection(objects, anchors)
    union = area(objects)[:, None] + area(anchors)
    return shared.div_(union.sub_(shared).clamp_(min=_TINY))


def top_overlaps(boxes: Tensor, objects: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, K) the highest IoUs of each object with the boxes, and the rows of these boxes."""
    planes = to_planes(boxes)
    found = [
        iou(to_planes(objects[block]), planes).topk(min(count, len(boxes)), sorted=False)
        for block in blocks(objects, boxes)
    ]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def prediction_iou(objects: Tensor, boxes: Tensor) -> Tensor:
    """(n, K) IoU of (n, 4) objects and (K, 4) predicted boxes, which may be infinite."""
    return iou(to_planes(objects), to_planes(boxes)).nan_to_num_(nan=0.0)


def is_inside(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) whether (2, A) points, or (n, K) whether (2, n, K) points, lie inside (4, n) boxes."""
    (x, y), (left, top, right, bottom) = points, objects[..., None]
    inside: Tensor = (x > left) & (x < right) & (y > top) & (y < bottom)
    return inside


def is_near(object_centers: Tensor, points: Tensor, radius: Tensor) -> Tensor:
    """(n, A) whether (2, A) points are within the radius (A,) of (2, n) centers on both axes."""
    (x, y), (center_x, center_y) = points, object_centers[..., None]
    near: Tensor = ((x - center_x).abs_() < radius) & ((y - center_y).abs_() < radius)
    return near


def anchor_strides(anchors: Anchors) -> Tensor:
    """(A,) the stride of each anchor."""
    device = anchors.boxes.device
    strides = torch.tensor(anchors.strides, device=device, dtype=anchors.boxes.dtype)
    return strides.repeat_interleave(torch.tensor(anchors.counts, device=device))


def nearest_anchors(anchors: Anchors, boxes: Tensor, count: int) -> Tensor:
    """(N, K) on each level the anchors whose centers are nearest to that of each box."""
    start, found = 0, []
    for level in torch.split(centers(anchors.boxes), list(anchors.counts), 1):
        chosen = [
            _squared_distances(centers(boxes[block]), level).topk(
                min(count, level.shape[1]), largest=False, sorted=False
            )
            for block in blocks(boxes, level[0])
        ]
        found.append(torch.cat([each.indices for each in chosen]) + start)
        start += level.shape[1]
    return torch.cat(found, 1)


def _squared_distances(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) between (2, n) and (2, A) points."""
    x = points[0] - objects[0][:, None]
    y = points[1] - objects[1][:, None]
    return x.square_().add_(y.square_())
