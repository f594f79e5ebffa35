"""Assigners that choose by how much objects overlap the boxes of the places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from mot.training.assigners.core import (
    Assigner,
    award,
    blocks,
    centres,
    iou,
    most_overlapping,
    nearest,
    planes_of,
    rows_like,
    spare,
    strides_of,
    within,
)
from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target


@dataclass(frozen=True, slots=True)
class MaxIou(Assigner):
    """Each place goes to the object that it overlaps most, as in Faster R-CNN and RetinaNet.

    With `low_quality` so do the places that overlap an object most of all, however little that is.
    Where objects are left without a place because others overlap theirs more, each gets one of its
    own: as many objects as can, with the largest sum of overlaps. Nobody goes without, save who
    overlaps no place, and where objects overlap fewer places than they are.
    """

    positive: float = 0.5  # from this overlap on
    negative: float = 0.4  # below this; between both, places are ignored
    low_quality: bool = True

    def __post_init__(self) -> None:
        if self.negative > self.positive:
            raise ValueError(f"negative = {self.negative} must not exceed {self.positive}")

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        best = _best(places.boxes, target.boxes)
        rows = best.objects.masked_fill(best.overlaps < self.positive, IGNORED)
        rows[best.overlaps < self.negative] = BACKGROUND
        if not self.low_quality:
            return rows
        rows = torch.where(best.is_peak, best.objects, rows)
        served = torch.bincount(rows[rows >= 0], minlength=len(target.boxes)) > 0
        if (best.reached & ~served).any():
            objects, own = _own_places(places.boxes, target.boxes)
            rows[own] = objects
        return rows


class _Best(NamedTuple):
    overlaps: Tensor  # (A,) of each place, with
    objects: Tensor  # (A,) this one
    is_peak: Tensor  # (A,) whether no place overlaps some object more
    reached: Tensor  # (N,) whether each object overlaps any place


def _best(boxes: Tensor, objects: Tensor) -> _Best:
    planes = planes_of(boxes)
    overlaps = boxes.new_full((len(boxes),), -1)
    whose = torch.zeros_like(overlaps, dtype=torch.int64)
    is_peak = torch.zeros_like(overlaps, dtype=torch.bool)
    reached = []
    for block in blocks(objects, boxes):
        found = iou(planes_of(objects[block]), planes)
        peaks = found.amax(1)
        reached.append(peaks > 0)
        is_peak |= (found == peaks.masked_fill(peaks <= 0, -1)[:, None]).any(0)
        most, rows = found.max(0)
        whose = torch.where(most > overlaps, rows + block.start, whose)
        overlaps = torch.maximum(most, overlaps)
    return _Best(overlaps, whose, is_peak, torch.cat(reached))


def _own_places(boxes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of objects and a place of each: as many as can be, then those that overlap most."""
    count = len(objects)
    # Others can take all but one of as many places as there are objects.
    overlaps, choices = most_overlapping(boxes, objects, count)
    rows, ranks = overlaps.nonzero().T.cpu().numpy()
    names, columns = np.unique(choices.cpu().numpy()[rows, ranks], return_inverse=True)
    costs = 2 - overlaps.cpu().double().numpy()[rows, ranks]  # 0 would be no edge
    # Going without is a column of each object's own that costs more than all others together.
    all_costs = np.concatenate([costs, np.full(count, 2.0 * count + 1)])
    all_rows = np.concatenate([rows, np.arange(count)])
    all_columns = np.concatenate([columns, len(names) + np.arange(count)])
    shape = (count, len(names) + count)
    graph = coo_array((all_costs, (all_rows, all_columns)), shape=shape).tocsr()
    who, what = min_weight_full_bipartite_matching(graph)
    served = what < len(names)
    pair = np.stack([who[served], names[what[served]]])
    found = torch.from_numpy(pair.astype(np.int64)).to(objects.device)
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class BestPrior(Assigner):
    """YOLOv3's own (Redmon and Farhadi, 2018): an object goes to one place alone.

    Of those in whose cell its centre lies, on any level, the one of the most similar shape; of
    several objects there the most similar. Others that overlap an object well are ignored, by the
    guessed boxes where there is a guess. An object whose centre is out of the picture has none.
    """

    spare: float = 0.7

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        boxes = places.boxes if guess is None else guess.boxes
        planes, sizes = planes_of(boxes), _origin_boxes(places.boxes)
        strides = strides_of(places)
        cells = (centres(places.boxes) / strides).floor_()
        spared = torch.zeros_like(strides, dtype=torch.bool)
        merits, chosen = [], []
        for block in blocks(target.boxes, boxes):
            objects = target.boxes[block]
            spared |= (iou(planes_of(objects), planes) > self.spare).any(0)
            likeness = iou(_origin_boxes(objects), sizes)
            likeness[~_shares_cell(centres(objects), cells, strides)] = -torch.inf
            merit, place = likeness.max(1)
            merits.append(merit)
            chosen.append(place)
        merit = torch.cat(merits)
        objects = torch.arange(len(merit), device=merit.device)
        return spare(award(objects, torch.cat(chosen), merit, len(boxes)), spared)


def _origin_boxes(boxes: Tensor) -> Tensor:
    """Planes of boxes as large, all with their first corner at 0."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return planes_of(torch.cat([torch.zeros_like(sizes), sizes], 1))


def _shares_cell(points: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """(n, A) whether (2, n) points lie in the (2, A) cells of places with such strides."""
    (x, y), (column, row) = points[..., None], cells
    shared: Tensor = ((x / strides).floor_() == column) & ((y / strides).floor_() == row)
    return shared


@dataclass(frozen=True, slots=True)
class Atss(Assigner):
    """Adaptive training sample selection (Zhang et al., 2020).

    Candidates of an object are the places nearest to its centre, on each level. Those inside it
    are its own that overlap it by no less than the mean of the candidates and their standard
    deviation; of several objects, the one that overlaps most has the place.
    """

    top_k: int = 9  # of each level; of networks with several boxes at a place, as many times more

    def choose(self, places: Anchors, target: Target, guess: Predictions | None) -> Tensor:
        candidates = nearest(places, target.boxes, self.top_k)
        objects, planes = planes_of(target.boxes), planes_of(places.boxes)
        overlaps = iou(objects, planes[:, candidates])
        limits = overlaps.mean(1) + _deviation(overlaps)
        is_inside = within(objects, centres(places.boxes)[:, candidates])
        is_good = is_inside & (overlaps >= limits[:, None]) & (overlaps > 0)
        merits = overlaps.masked_fill(~is_good, -torch.inf)
        claims = (rows_like(candidates), candidates, merits)
        objects, chosen, merits = (each.flatten() for each in claims)
        return award(objects, chosen, merits, len(places.boxes))


def _deviation(values: Tensor) -> Tensor:
    """Of a sample, as in the authors' code; 0 for one value alone."""
    return values.std(1) if values.shape[1] > 1 else torch.zeros_like(values[:, 0])
