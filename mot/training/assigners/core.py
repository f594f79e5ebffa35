"""What all assigners share: overlaps by blocks, the award of places, and regions to spare.

What is told of each object and each place is (n, A), of as many objects at a time as fit into a
block: memory stays bounded, and on a CPU within its cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target

_CPU_PAIRS = 1 << 17  # of a block: half a MiB a temporary
_GPU_PAIRS = 1 << 24
_TINY = 1e-30  # keeps 0 / 0 out of the overlap of empty boxes; changes no other


@dataclass(frozen=True, slots=True)
class Assigner(ABC):
    """Says of each place (A,): the row of its object, BACKGROUND or IGNORED."""

    _: KW_ONLY
    spares_guesses: bool = False  # whether regions spare by the guessed boxes, not by the places

    @torch.no_grad()
    def __call__(self, places: Anchors, target: Target, guess: Predictions | None = None) -> Tensor:
        if len(target.boxes) and len(places.boxes):
            rows = self.choose(places, target, guess)
        else:
            rows = target.labels.new_full((len(places.boxes),), BACKGROUND)
        boxes = needed(guess).boxes if self.spares_guesses else places.boxes
        return spare_regions(rows, boxes, target.regions)

    @abstractmethod
    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        """The same for at least one place and one object, whatever the regions are."""


def needed(guess: Predictions | None) -> Predictions:
    if guess is None:
        raise ValueError("this assigner chooses by what the network says: hand it a guess")
    return guess


@torch.no_grad()
def spare_regions(rows: Tensor, boxes: Tensor, regions: Tensor, most: float = 0.5) -> Tensor:
    """Background becomes IGNORED where more than this share of the place's box is in a region."""
    if not len(regions) or not len(boxes):
        return rows
    planes = planes_of(boxes)
    limit = most * area(planes)
    spared = torch.zeros_like(rows, dtype=torch.bool)
    for block in blocks(regions, boxes):
        spared |= (intersection(planes_of(regions[block]), planes) > limit).any(0)
    return spare(rows, spared)


def spare(rows: Tensor, spared: Tensor) -> Tensor:
    return rows.masked_fill((rows == BACKGROUND) & spared, IGNORED)


def blocks(objects: Tensor, places: Tensor) -> Iterator[slice]:
    """Of objects, each with few enough for all places."""
    pairs = _CPU_PAIRS if places.device.type == "cpu" else _GPU_PAIRS
    step = max(1, pairs // max(1, len(places)))
    return (slice(start, start + step) for start in range(0, len(objects), step))


def award(objects: Tensor, places: Tensor, merits: Tensor, count: int) -> Tensor:
    """(count,) rows: each place goes to the object with the most merit that claims it.

    The three are told of each claim; a merit of -inf is none. Ties go to the lower row.
    """
    best = merits.new_full((count,), -torch.inf).scatter_reduce_(0, places, merits, "amax")
    wins = (merits == best[places]) & (merits > -torch.inf)
    nobody = torch.iinfo(torch.int64).max
    winners = objects.masked_fill(~wins, nobody)
    rows = objects.new_full((count,), nobody).scatter_reduce_(0, places, winners, "amin")
    return rows.masked_fill(rows == nobody, BACKGROUND)


def rows_like(claims: Tensor) -> Tensor:
    """The number of its row, for each of (N, K)."""
    return torch.arange(len(claims), device=claims.device)[:, None].expand(claims.shape)


# Overlaps work on planes: (4, ...) left, top, right, bottom; those of objects are (4, n, 1).


def planes_of(boxes: Tensor) -> Tensor:
    return boxes.T.contiguous()


def area(planes: Tensor) -> Tensor:
    return (planes[2] - planes[0]) * (planes[3] - planes[1])


def centres(boxes: Tensor) -> Tensor:
    """(2, N) x and y."""
    return planes_of(boxes[:, :2] + boxes[:, 2:]) / 2


def intersection(objects: Tensor, places: Tensor) -> Tensor:
    """(n, A) of (4, n) and (4, A), or (n, K) of (4, n) and (4, n, K)."""
    objects = objects[..., None]
    shared = torch.minimum(objects[2], places[2])
    shared.sub_(torch.maximum(objects[0], places[0])).clamp_(min=0)
    height = torch.minimum(objects[3], places[3])
    height.sub_(torch.maximum(objects[1], places[1])).clamp_(min=0)
    return shared.mul_(height)


def iou(objects: Tensor, places: Tensor) -> Tensor:
    """(n, A) of (4, n) and (4, A), or (n, K) of (4, n) and (4, n, K)."""
    shared = intersection(objects, places)
    union = area(objects)[:, None] + area(places)
    return shared.div_(union.sub_(shared).clamp_(min=_TINY))


def most_overlapping(boxes: Tensor, objects: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, K) overlaps of the boxes that overlap each object most, and their rows."""
    planes = planes_of(boxes)
    found = [
        iou(planes_of(objects[block]), planes).topk(min(count, len(boxes)), sorted=False)
        for block in blocks(objects, boxes)
    ]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def guessed_iou(objects: Tensor, boxes: Tensor) -> Tensor:
    """(n, K) of (n, 4) and (K, 4) boxes as a network says them, which may be infinite."""
    return iou(planes_of(objects), planes_of(boxes)).nan_to_num_(nan=0.0)


def within(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) whether (2, A) points, or (n, K) whether (2, n, K) points, lie inside (4, n) boxes."""
    (x, y), (left, top, right, bottom) = points, objects[..., None]
    inside: Tensor = (x > left) & (x < right) & (y > top) & (y < bottom)
    return inside


def near(middles: Tensor, points: Tensor, reach: Tensor) -> Tensor:
    """(n, A) whether (2, A) points are near (2, n) others along both axes."""
    (x, y), (across, down) = points, middles[..., None]
    found: Tensor = ((x - across).abs_() < reach) & ((y - down).abs_() < reach)
    return found


def strides_of(places: Anchors) -> Tensor:
    """(A,) the stride of each place."""
    device = places.boxes.device
    strides = torch.tensor(places.strides, device=device, dtype=places.boxes.dtype)
    return strides.repeat_interleave(torch.tensor(places.counts, device=device))


def nearest(places: Anchors, boxes: Tensor, count: int) -> Tensor:
    """(N, K) of each level the places whose centres are nearest to that of each box."""
    start, found = 0, []
    for level in torch.split(centres(places.boxes), list(places.counts), 1):
        chosen = [
            _distances(centres(boxes[block]), level).topk(
                min(count, level.shape[1]), largest=False, sorted=False
            )
            for block in blocks(boxes, level[0])
        ]
        found.append(torch.cat([each.indices for each in chosen]) + start)
        start += level.shape[1]
    return torch.cat(found, 1)


def _distances(objects: Tensor, points: Tensor) -> Tensor:
    """(n, A) squares."""
    across = points[0] - objects[0][:, None]
    down = points[1] - objects[1][:, None]
    return across.square_().add_(down.square_())
