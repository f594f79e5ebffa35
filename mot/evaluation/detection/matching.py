"""Greedy matching of detections and ground truth, by falling score, as COCO, CrowdHuman and VOC do.

The n-th detections of all images are matched together, at all IoU thresholds at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mot.evaluation.detection.pairs import DetectionPairs, DetectionTable, Pairs, rank_in_runs
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import IntArray

UNMATCHED = -1
_MAX_THRESHOLD = 1 - 1e-10  # COCO's: rounding may leave less than an IoU of 1


@dataclass(frozen=True, slots=True, eq=False)
class DetectionMatches:
    """True and false positives at each IoU threshold; detections that are neither do not count."""

    tp: Mask  # (T, D)
    fp: Mask  # (T, D)
    gt: IntArray  # (T, D) matched row, or UNMATCHED


def match_coco(
    pairs: DetectionPairs,
    thresholds: npt.ArrayLike,
    ignored_gt: Mask | None = None,
    ignored_detections: Mask | None = None,
) -> DetectionMatches:
    """COCO's matching.

    A detection is matched to the free object of the highest IoU (the last of equals) of at least
    the threshold; else to an ignored one, and then it does not count. A region can be matched to
    several detections, by the share of the detection in it.

    Args:
        ignored_gt: further objects to ignore, such as those of other sizes.
        ignored_detections: detections that are no false positives if unmatched.
    """
    gt = pairs.gt
    ignored = gt.ignored if ignored_gt is None else gt.ignored | ignored_gt
    candidates = pairs.pairs
    is_region = gt.ignored[candidates.gt]
    overlap = np.where(is_region, candidates.coverage, candidates.iou)
    levels = np.minimum(np.atleast_1d(np.asarray(thresholds, np.float64)), _MAX_THRESHOLD)
    near = np.flatnonzero(overlap >= levels.min())
    near = near[_order_by_preference(candidates[near], overlap[near], ignored, last=True)]
    enough = overlap[near] >= levels[:, None]
    matched = _match_greedily(pairs.detections, candidates[near], enough, is_region[near])
    return _classify(matched, ignored, ignored_detections)


def match_all_classes(pairs: DetectionPairs, threshold: float = 0.5) -> DetectionMatches:
    """COCO's matching within each class, also those without objects; rows are those of all."""
    gt, detections = pairs.gt, pairs.detections
    matches = _classify(np.full((1, len(detections)), UNMATCHED), gt.ignored)
    for label in np.unique(np.concatenate([gt.labels, detections.labels])).tolist():
        own_gt, own = gt.labels == label, detections.labels == label
        part = match_coco(pairs.select(own_gt, own), threshold)
        rows = np.append(np.flatnonzero(own_gt), UNMATCHED)  # maps UNMATCHED to itself
        matches.tp[:, own], matches.fp[:, own] = part.tp, part.fp
        matches.gt[:, own] = rows[part.gt]
    return matches


def match_crowdhuman(pairs: DetectionPairs, threshold: float = 0.5) -> DetectionMatches:
    """CrowdHuman's matching: the free object of the highest IoU (the first of equals) above the
    threshold; else any region that contains more than that share of the detection."""
    candidates, ignored = pairs.pairs, pairs.gt.ignored
    is_region = ignored[candidates.gt]
    overlap = np.where(is_region, candidates.coverage, candidates.iou)
    near = np.flatnonzero(overlap > threshold)
    near = near[_order_by_preference(candidates[near], overlap[near], ignored, last=False)]
    enough = np.ones((1, len(near)), np.bool_)
    matched = _match_greedily(pairs.detections, candidates[near], enough, is_region[near])
    return _classify(matched, ignored)


def match_voc(pairs: DetectionPairs, threshold: float = 0.5) -> DetectionMatches:
    """VOC's matching: the object of the highest IoU, free or not. The second detection of an object
    is a false positive; those of difficult objects do not count."""
    gt, count = pairs.gt, len(pairs.detections)
    near = pairs.pairs[np.flatnonzero(pairs.pairs.iou >= threshold)]
    near = near[_order_by_preference(near, near.iou, np.zeros(len(gt), np.bool_), last=False)]
    best = near[np.flatnonzero(rank_in_runs(near.detection) == 0)]
    matched = np.full(count, UNMATCHED)
    matched[best.detection] = best.gt
    is_first = np.zeros(count, np.bool_)
    is_first[best.detection[np.unique(best.gt, return_index=True)[1]]] = True
    difficult = (matched != UNMATCHED) & _take(gt.ignored, matched)
    return DetectionMatches(
        (is_first & ~difficult)[None], (~is_first & ~difficult)[None], matched[None]
    )


def _match_greedily(
    detections: DetectionTable, pairs: Pairs, enough: Mask, is_shared: Mask
) -> IntArray:
    """(T, D) row of the ground truth that each detection is matched to.

    That is the first of its pairs, which are in order of preference, that is `enough` (T, P) and
    free. The ground truth of a pair that `is_shared` (P,) is always free.
    """
    matched = np.full((len(enough), len(detections)), UNMATCHED)
    if not len(pairs.detection):
        return matched
    taken = np.zeros((len(enough), int(pairs.gt.max()) + 1), np.bool_)
    turn = _turns(detections, pairs)
    order = np.argsort(turn, kind="stable")
    rows, gt = pairs.detection[order], pairs.gt[order]
    enough, is_shared = enough[:, order], is_shared[order]
    ends = np.searchsorted(turn[order], np.arange(int(turn.max()) + 2)).tolist()
    for start, end in pairwise(ends):
        part = slice(start, end)
        free = enough[:, part] & (is_shared[part] | ~taken[:, gt[part]])
        level, pair = _first_free(rows[part], free)
        matched[level, rows[part][pair]] = gt[part][pair]
        taken[level, gt[part][pair]] = True
    return matched


def _turns(detections: DetectionTable, pairs: Pairs) -> IntArray:
    """(P,) rank of the pair's detection among those of its image that have pairs. Detections of
    equal rank are of different images, so that they can be matched together."""
    rows, pair = np.unique(pairs.detection, return_inverse=True)
    turns: IntArray = rank_in_runs(detections.images[rows])[pair]
    return turns


def _first_free(rows: IntArray, free: Mask) -> tuple[IntArray, IntArray]:
    """For each level and detection its first free pair: levels and pairs."""
    count = len(rows)
    begins = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    first = np.minimum.reduceat(np.where(free, np.arange(count), count), begins, axis=1)
    level, detection = np.nonzero(first < count)
    return level, first[level, detection]


def _order_by_preference(pairs: Pairs, overlap: Values, ignored: Mask, last: bool) -> IntArray:
    """Order of the pairs by detection, then not ignored before ignored, then by falling overlap;
    of equals the first, or the `last`, comes first."""
    group, cost = 2 * pairs.detection + ignored[pairs.gt], -overlap
    if not last:
        return np.lexsort((cost, group))  # stable
    return len(group) - 1 - np.lexsort((cost[::-1], group[::-1]))


def _classify(
    matched: IntArray, ignored: Mask, ignored_detections: Mask | None = None
) -> DetectionMatches:
    unmatched = matched == UNMATCHED
    tp = ~unmatched & ~_take(ignored, matched)
    fp = unmatched if ignored_detections is None else unmatched & ~ignored_detections
    return DetectionMatches(tp, fp, matched)


def _take(mask: Mask, rows: IntArray) -> Mask:
    """The mask at the rows; an arbitrary value at UNMATCHED."""
    return mask[rows] if len(mask) else np.zeros(rows.shape, np.bool_)
