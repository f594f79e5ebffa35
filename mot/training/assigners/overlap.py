"""Assigners that choose by the IoU of objects and anchors."""

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
    anchor_strides,
    blocks,
    centers,
    iou,
    is_inside,
    nearest_anchors,
    resolve_conflicts,
    to_planes,
    top_overlaps,
)
from mot.training.targets import BACKGROUND, IGNORED, Anchors, Predictions, Target


@dataclass(frozen=True, slots=True)
class MaxIou(Assigner):
    """Each anchor goes to the object of its highest IoU, as in Faster R-CNN and RetinaNet.

    With `low_quality` the anchors with the highest IoU of an object go to it too, however low that
    is. Where objects are left without an anchor because others overlap theirs more, each gets one
    of its own: as many objects as can, with the largest sum of IoUs. Only objects that overlap no
    anchor go without, or where objects overlap fewer anchors than there are objects.
    """

    positive: float = 0.5  # minimum IoU of an object's anchors
    negative: float = 0.4  # background below this IoU; ignored between both
    low_quality: bool = True

    def __post_init__(self) -> None:
        if self.negative > self.positive:
            raise ValueError(f"negative = {self.negative} must not exceed {self.positive}")

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        best = _best_matches(anchors.boxes, target.boxes)
        rows = best.objects.masked_fill(best.overlaps < self.positive, IGNORED)
        rows[best.overlaps < self.negative] = BACKGROUND
        if not self.low_quality:
            return rows
        rows = torch.where(best.is_peak, best.objects, rows)
        has_anchor = torch.bincount(rows[rows >= 0], minlength=len(target.boxes)) > 0
        if (best.is_reached & ~has_anchor).any():
            objects, own = _match_one_to_one(anchors.boxes, target.boxes)
            rows[own] = objects
        return rows


class _BestMatches(NamedTuple):
    overlaps: Tensor  # (A,) the highest IoU of each anchor
    objects: Tensor  # (A,) the object that it has it with
    is_peak: Tensor  # (A,) whether the anchor has the highest IoU of some object
    is_reached: Tensor  # (N,) whether the object overlaps any anchor


def _best_matches(boxes: Tensor, objects: Tensor) -> _BestMatches:
    planes = to_planes(boxes)
    overlaps = boxes.new_full((len(boxes),), -1)
    best = torch.zeros_like(overlaps, dtype=torch.int64)
    is_peak = torch.zeros_like(overlaps, dtype=torch.bool)
    is_reached = []
    for block in blocks(objects, boxes):
        found = iou(to_planes(objects[block]), planes)
        peaks = found.amax(1)
        is_reached.append(peaks > 0)
        is_peak |= (found == peaks.masked_fill(peaks <= 0, -1)[:, None]).any(0)
        highest, rows = found.max(0)
        best = torch.where(highest > overlaps, rows + block.start, best)
        overlaps = torch.maximum(highest, overlaps)
    return _BestMatches(overlaps, best, is_peak, torch.cat(is_reached))


def _match_one_to_one(boxes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of objects and one anchor of each: as many as possible, with the largest sum of IoUs."""
    count = len(objects)
    # Others can take all but one of as many anchors as there are objects.
    overlaps, choices = top_overlaps(boxes, objects, count)
    rows, ranks = overlaps.nonzero().T.cpu().numpy()
    names, columns = np.unique(choices.cpu().numpy()[rows, ranks], return_inverse=True)
    costs = 2 - overlaps.cpu().double().numpy()[rows, ranks]  # 0 would be no edge
    # Going without is a column of each object's own that costs more than all others together.
    all_costs = np.concatenate([costs, np.full(count, 2.0 * count + 1)])
    all_rows = np.concatenate([rows, np.arange(count)])
    all_columns = np.concatenate([columns, len(names) + np.arange(count)])
    shape = (count, len(names) + count)
    graph = coo_array((all_costs, (all_rows, all_columns)), shape=shape).tocsr()
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    is_matched = matched_columns < len(names)
    pairs = np.stack([matched_rows[is_matched], names[matched_columns[is_matched]]])
    found = torch.from_numpy(pairs.astype(np.int64)).to(objects.device)
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class BestPrior(Assigner):
    """YOLOv3's own (Redmon and Farhadi, 2018): one anchor for each object.

    Of the anchors in whose cell the object's center lies, on any level, the one of the most similar
    shape; of several objects there the most similar. Other anchors with a high IoU with an object
    are ignored, by the predicted boxes where they are given. An object whose center is outside of
    the image has no anchor.
    """

    ignore_iou: float = 0.7  # background above this IoU is ignored

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        boxes = anchors.boxes if predictions is None else predictions.boxes
        planes, sizes = to_planes(boxes), _origin_boxes(anchors.boxes)
        strides = anchor_strides(anchors)
        cells = (centers(anchors.boxes) / strides).floor_()
        is_ignored = torch.zeros_like(strides, dtype=torch.bool)
        qualities, chosen = [], []
        for block in blocks(target.boxes, boxes):
            objects = target.boxes[block]
            is_ignored |= (iou(to_planes(objects), planes) > self.ignore_iou).any(0)
            similarity = iou(_origin_boxes(objects), sizes)
            similarity[~_is_in_cell(centers(objects), cells, strides)] = -torch.inf
            best, anchor = similarity.max(1)
            qualities.append(best)
            chosen.append(anchor)
        quality = torch.cat(qualities)
        objects = torch.arange(len(quality), device=quality.device)
        rows = resolve_conflicts(objects, torch.cat(chosen), quality, len(boxes))
        return rows.masked_fill((rows == BACKGROUND) & is_ignored, IGNORED)


def _origin_boxes(boxes: Tensor) -> Tensor:
    """Planes of boxes of the same sizes, all with their first corner at 0."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return to_planes(torch.cat([torch.zeros_like(sizes), sizes], 1))


def _is_in_cell(points: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """(n, A) whether (2, n) points lie in the (2, A) cells of anchors with these strides."""
    (x, y), (column, row) = points[..., None], cells
    inside: Tensor = ((x / strides).floor_() == column) & ((y / strides).floor_() == row)
    return inside


@dataclass(frozen=True, slots=True)
class Atss(Assigner):
    """Adaptive training sample selection (Zhang et al., 2020).

    Candidates of an object are the anchors nearest to its center, on each level. It gets those
    inside it whose IoU is at least the mean of the candidates plus their standard deviation; of
    several objects, the one with the highest IoU gets the anchor.
    """

    top_k: int = 9  # of each level; more with several anchors at a point, by that factor

    def assign(self, anchors: Anchors, target: Target, predictions: Predictions | None) -> Tensor:
        candidates = nearest_anchors(anchors, target.boxes, self.top_k)
        objects, planes = to_planes(target.boxes), to_planes(anchors.boxes)
        overlaps = iou(objects, planes[:, candidates])
        limits = overlaps.mean(1) + _standard_deviation(overlaps)
        is_positive = is_inside(objects, centers(anchors.boxes)[:, candidates])
        is_positive = is_positive & (overlaps >= limits[:, None]) & (overlaps > 0)
        qualities = overlaps.masked_fill(~is_positive, -torch.inf)
        rows = torch.arange(len(candidates), device=candidates.device)[:, None]
        rows = rows.expand(candidates.shape)
        return resolve_conflicts(
            rows.flatten(), candidates.flatten(), qualities.flatten(), len(anchors.boxes)
        )


def _standard_deviation(values: Tensor) -> Tensor:
    """(N,) of samples (N, K), as in the authors' code; 0 for one value alone."""
    return values.std(1) if values.shape[1] > 1 else torch.zeros_like(values[:, 0])
