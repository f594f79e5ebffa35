"""Who is matched to whom: each detection, by falling score, takes what it likes best of what is
still free. All images and all thresholds of overlap take their turns together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mot.evaluation.detection.pairs import DetectionPairs, Found, Pairs, places_in_runs
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import IntArray

UNMATCHED = -1
_MOST = 1 - 1e-10  # COCO's: a threshold of 1 would ask for more than rounding leaves


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What each detection is, at each threshold of overlap; neither right nor false: left out."""

    right: Mask  # (T, D)
    false: Mask  # (T, D)
    truth: IntArray  # (T, D) the row that each took, UNMATCHED where none

    def __getitem__(self, rows: Mask | IntArray) -> Hits:
        return Hits(self.right[:, rows], self.false[:, rows], self.truth[:, rows])


def match_coco(
    sides: DetectionPairs,
    thresholds: npt.ArrayLike,
    aside: Mask | None = None,
    strange: Mask | None = None,
) -> Hits:
    """As COCO does: at an IoU of at least the threshold, the free object with the highest (the last
    of equals); else one that does not count, which takes the detection out of the account. A region
    may take several, by the share of the detection that lies in it.

    `aside` are objects that do not count here, being of another size, say, and `strange` are the
    detections that do not count where they match nothing.
    """
    truth = sides.truth
    out = truth.ignored if aside is None else truth.ignored | aside
    pairs = sides.pairs
    is_region = truth.ignored[pairs.truth]
    overlap = np.where(is_region, pairs.cover, pairs.iou)
    levels = np.minimum(np.atleast_1d(np.asarray(thresholds, np.float64)), _MOST)
    near = np.flatnonzero(overlap >= levels.min())
    near = near[_preferred(pairs[near], overlap[near], out, last=True)]
    enough = overlap[near] >= levels[:, None]
    took = take_turns(sides.found, pairs[near], enough, is_region[near])
    return _hits(took, out, strange)


def match_every_class(sides: DetectionPairs, threshold: float = 0.5) -> Hits:
    """As COCO does, each class on its own, those without an object too; rows are those of all."""
    hits = _hits(np.full((1, len(sides.found)), UNMATCHED), sides.truth.ignored)
    for label in np.unique(np.concatenate([sides.truth.labels, sides.found.labels])).tolist():
        truth, found = sides.truth.labels == label, sides.found.labels == label
        own = match_coco(sides.chosen(truth, found), threshold)
        rows = np.append(np.flatnonzero(truth), UNMATCHED)  # so that UNMATCHED stays what it is
        hits.right[:, found], hits.false[:, found] = own.right, own.false
        hits.truth[:, found] = rows[own.truth]
    return hits


def match_crowdhuman(sides: DetectionPairs, threshold: float = 0.5) -> Hits:
    """As CrowdHuman does: at an IoU above the threshold, the free object with the highest (the
    first of equals); else any region in which more than that share of the detection lies."""
    pairs, ignored = sides.pairs, sides.truth.ignored
    is_region = ignored[pairs.truth]
    overlap = np.where(is_region, pairs.cover, pairs.iou)
    near = np.flatnonzero(overlap > threshold)
    near = near[_preferred(pairs[near], overlap[near], ignored, last=False)]
    everything = np.ones((1, len(near)), np.bool_)
    return _hits(take_turns(sides.found, pairs[near], everything, is_region[near]), ignored)


def match_voc(sides: DetectionPairs, threshold: float = 0.5) -> Hits:
    """As VOC does: what overlaps a detection most, be it free or not, is what it stands for; the
    second one that stands for an object is false, and one that stands for a difficult object is
    left out."""
    pairs = sides.pairs
    near = pairs[np.flatnonzero(pairs.iou >= threshold)]
    near = near[_preferred(near, near.iou, np.zeros(len(sides.truth), np.bool_), last=False)]
    best = near[np.flatnonzero(places_in_runs(near.found) == 0)]
    truth = np.full(len(sides.found), UNMATCHED)
    truth[best.found] = best.truth
    is_first = np.zeros(len(sides.found), np.bool_)
    is_first[best.found[np.unique(best.truth, return_index=True)[1]]] = True
    difficult = (truth != UNMATCHED) & _of(sides.truth.ignored, truth)
    return Hits((is_first & ~difficult)[None], (~is_first & ~difficult)[None], truth[None])


def take_turns(found: Found, pairs: Pairs, enough: Mask, is_shared: Mask) -> IntArray:
    """(T, D) the truth that each detection takes: of its pairs, which stand in the order of its
    liking, the first that is `enough` (T, P) and free. What is shared is always free."""
    took = np.full((len(enough), len(found)), UNMATCHED)
    if not len(pairs.found):
        return took
    taken = np.zeros((len(enough), int(pairs.truth.max()) + 1), np.bool_)
    turn = _turns(found, pairs)
    order = np.argsort(turn, kind="stable")
    detections, truths = pairs.found[order], pairs.truth[order]
    enough, is_shared = enough[:, order], is_shared[order]
    ends = np.searchsorted(turn[order], np.arange(int(turn.max()) + 2)).tolist()
    for start, end in pairwise(ends):
        rows = slice(start, end)
        free = enough[:, rows] & (is_shared[rows] | ~taken[:, truths[rows]])
        level, pair = _first_of_each(detections[rows], free)
        took[level, detections[rows][pair]] = truths[rows][pair]
        taken[level, truths[rows][pair]] = True
    return took


def _turns(found: Found, pairs: Pairs) -> IntArray:
    """(P,) when the detection of each pair is at it: its place among its image's that have any.

    Detections of one image never go at the same time, and no two images meet.
    """
    detections, pair = np.unique(pairs.found, return_inverse=True)
    turns: IntArray = places_in_runs(found.records[detections])[pair]
    return turns


def _first_of_each(detections: IntArray, free: Mask) -> tuple[IntArray, IntArray]:
    """Levels and pairs: for each level and detection its first pair that is free."""
    count = len(detections)
    begins = np.flatnonzero(np.r_[True, detections[1:] != detections[:-1]])
    first = np.minimum.reduceat(np.where(free, np.arange(count), count), begins, axis=1)
    level, detection = np.nonzero(first < count)
    return level, first[level, detection]


def _preferred(pairs: Pairs, overlap: Values, out: Mask, last: bool) -> IntArray:
    """Each detection's pairs in the order of its liking: what counts, then by overlap, then the
    first of equals or the last."""
    group, dislike = 2 * pairs.found + out[pairs.truth], -overlap
    if not last:
        return np.lexsort((dislike, group))  # which is stable
    return len(group) - 1 - np.lexsort((dislike[::-1], group[::-1]))


def _hits(took: IntArray, out: Mask, strange: Mask | None = None) -> Hits:
    nothing = took == UNMATCHED
    right = ~nothing & ~_of(out, took)
    return Hits(right, nothing if strange is None else nothing & ~strange, took)


def _of(mask: Mask, rows: IntArray) -> Mask:
    """The mask at the rows; anything where a row is UNMATCHED."""
    return mask[rows] if len(mask) else np.zeros(rows.shape, np.bool_)
