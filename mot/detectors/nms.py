"""Non-maximum suppression: keeps the best of boxes that overlap.

`hard` drops each box that overlaps a better one by more than `iou`, as torchvision does; `diou` is
the same with the distance IoU (Zheng et al., 2020); `soft-linear` and `soft-gaussian` lower scores
instead (Bodla et al., 2017); `weighted` averages each box with those it suppresses, by score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mot import boxes as geometry
from mot.errors import suggest
from mot.types import FARTHEST, FloatArray, IndexArray, IntArray

_BLOCK = 512  # candidates of the first block; blocks are suppressed one after the other
_MIN_BLOCK = 64  # of later blocks, which are twice as large as what the last one kept
_PREFETCH = 8192  # IoUs that soft NMS computes at a time

Floats = npt.NDArray[np.floating[Any]]
Decay = Callable[[FloatArray], FloatArray]  # factors of scores, by the IoU with a kept box
Overlap = Callable[[Floats, Floats], FloatArray]  # of paired boxes
Pairs = tuple[IntArray, IntArray]  # ranks of boxes, and of worse boxes that overlap them too much
PairFinder = Callable[[IntArray, IntArray], Pairs]  # pairs between two sets of ranks


@dataclass(frozen=True, slots=True)
class NmsSettings:
    kind: str = "hard"
    iou: float = 0.65  # boxes that overlap by more are taken for one object
    class_aware: bool = True  # boxes of different labels do not suppress each other
    max_detections: int = 300  # the best
    max_candidates: int = 10_000  # the best
    score_floor: float = 0.001  # boxes with lower scores, original or lowered, are dropped
    sigma: float = 0.5  # soft-gaussian lowers scores by exp(-iou^2 / sigma)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r} of NMS: {suggest(self.kind, KINDS)}")
        if not self.sigma > 0:
            raise ValueError(f"sigma = {self.sigma} must be above 0")


@dataclass(frozen=True, slots=True, eq=False)
class RankedBoxes:
    """Boxes in descending order of their scores."""

    boxes: FloatArray  # (N, 4) xyxy
    scores: FloatArray  # (N,)
    labels: IntArray  # (N,)
    rows: IntArray  # (N,) in the input; of an averaged box, that of its best member

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, ranks: IndexArray) -> RankedBoxes:
        return RankedBoxes(
            self.boxes[ranks], self.scores[ranks], self.labels[ranks], self.rows[ranks]
        )


def nms(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    settings: NmsSettings | None = None,
) -> RankedBoxes:
    """The boxes that remain, in descending order of score; ties in the order of the input.

    Rows that `Detections` would refuse are dropped: boxes or scores that are not finite, boxes that
    are reversed or too far away. Among equal lowered scores, the higher original score is first.

    Args:
        boxes: (N, 4) xyxy in pixels.
        scores: (N,).
        labels: (N,) integers.
    """
    settings = settings or NmsSettings()
    ranked = _as_arrays(boxes, scores, labels)
    return KINDS[settings.kind](ranked[_rank_candidates(ranked, settings)], settings)


def _as_arrays(boxes: npt.ArrayLike, scores: npt.ArrayLike, labels: npt.ArrayLike) -> RankedBoxes:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is dropped
        xyxy, column = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    given = RankedBoxes(xyxy, column, np.asarray(labels, np.int64), np.arange(len(xyxy)))
    columns = (given.scores, given.labels)
    if xyxy.shape[1:] != (4,) or any(each.shape != given.rows.shape for each in columns):
        shapes = ", ".join(str(each.shape) for each in (xyxy, *columns))
        raise ValueError(f"shapes of boxes, scores and labels do not match: {shapes}")
    return given


def _rank_candidates(given: RankedBoxes, settings: NmsSettings) -> IntArray:
    """Rows of valid boxes, the best first."""
    xyxy, scores = given.boxes, given.scores
    valid = np.isfinite(scores) & (scores >= settings.score_floor)
    valid &= (np.abs(xyxy) <= FARTHEST).all(axis=1)  # False for NaN
    valid &= (xyxy[:, :2] <= xyxy[:, 2:]).all(axis=1)
    rows = np.flatnonzero(valid)
    return rows[np.argsort(-scores[rows], kind="stable")[: settings.max_candidates]]


# The kinds of NMS: each takes candidates, the best first, and returns those that remain.


def _hard(ranked: RankedBoxes, settings: NmsSettings) -> RankedBoxes:
    return ranked[_keep_best(_pair_finder(ranked, settings), len(ranked), settings)]


def _diou(ranked: RankedBoxes, settings: NmsSettings) -> RankedBoxes:
    find_pairs = _pair_finder(ranked, settings, geometry.paired_diou)
    return ranked[_keep_best(find_pairs, len(ranked), settings)]


def _weighted(ranked: RankedBoxes, settings: NmsSettings) -> RankedBoxes:
    find_pairs = _pair_finder(ranked, settings)
    kept = _keep_best(find_pairs, len(ranked), settings)
    better, worse = find_pairs(kept, np.arange(len(ranked)))
    winner = np.full(len(ranked), -1)
    winner[worse[::-1]] = better[::-1]  # of several the best, which is written last
    winner[kept] = kept
    members = np.flatnonzero(winner >= 0)
    cluster = np.searchsorted(kept, winner[members])
    boxes = _average_boxes(ranked[members], cluster, len(kept))
    return replace(ranked[kept], boxes=boxes)


def _average_boxes(members: RankedBoxes, cluster: IntArray, count: int) -> FloatArray:
    """(count, 4) means of the boxes of each cluster, weighted by their scores."""
    weights = np.maximum(members.scores.astype(np.float64), 1e-30)  # equal if all scores are 0
    total = np.bincount(cluster, weights, count)
    sums = [np.bincount(cluster, weights * edge, count) for edge in members.boxes.T]
    return (np.array(sums) / total).T.astype(np.float32)


def _soft_linear(ranked: RankedBoxes, settings: NmsSettings) -> RankedBoxes:
    limit, one = _round_down(settings.iou), np.float32(1)
    return _soft(ranked, settings, lambda iou: np.where(iou > limit, one - iou, one))


def _soft_gaussian(ranked: RankedBoxes, settings: NmsSettings) -> RankedBoxes:
    return _soft(ranked, settings, lambda iou: np.exp(iou * iou / -settings.sigma))


KINDS: dict[str, Callable[[RankedBoxes, NmsSettings], RankedBoxes]] = {
    "hard": _hard,
    "soft-linear": _soft_linear,
    "soft-gaussian": _soft_gaussian,
    "diou": _diou,
    "weighted": _weighted,
}


def _pair_finder(
    ranked: RankedBoxes, settings: NmsSettings, overlap: Overlap = geometry.paired_iou
) -> PairFinder:
    """A function that finds the pairs of ranks whose overlap exceeds `settings.iou`."""
    separated = _separate_labels(ranked, settings)
    limit = _round_down(settings.iou)

    def find_pairs(ranks: IntArray, others: IntArray) -> Pairs:
        rows, columns = geometry.near_pairs(separated[ranks], separated[others], settings.iou)
        better, worse = ranks[rows], others[columns]
        in_order = better < worse
        better, worse = better[in_order], worse[in_order]
        over = overlap(ranked.boxes[better], ranked.boxes[worse]) > limit
        return better[over], worse[over]

    return find_pairs


def _separate_labels(ranked: RankedBoxes, settings: NmsSettings) -> Floats:
    """The boxes, moved so that those of different labels do not overlap."""
    if not settings.class_aware or len(ranked) == 0 or np.ptp(ranked.labels) == 0:
        return ranked.boxes
    boxes = ranked.boxes.astype(np.float64)
    groups = np.unique(ranked.labels, return_inverse=True)[1]
    return boxes + (groups * (2 * np.ptp(boxes) + 1))[:, None]


def _keep_best(find_pairs: PairFinder, count: int, settings: NmsSettings) -> IntArray:
    """The ranks that no better kept rank suppresses."""
    alive, waiting, block = np.ones(count, bool), np.arange(count), _BLOCK
    kept = waiting[:0]
    while True:
        head, waiting = waiting[:block], waiting[block:]
        _suppress(alive, *find_pairs(head, head))
        best = head[alive[head]]
        kept = np.concatenate([kept, best])
        if len(waiting) == 0 or len(kept) >= settings.max_detections:
            return kept[: settings.max_detections]
        alive[find_pairs(best, waiting)[1]] = False
        waiting = waiting[alive[waiting]]
        block = max(_MIN_BLOCK, 2 * len(best))  # if few are kept, a large block would be a waste


def _suppress(alive: npt.NDArray[np.bool_], better: IntArray, worse: IntArray) -> None:
    """Clears `alive` of what boxes without a better one suppress; repeats with the rest."""
    while len(better):
        beaten = np.zeros_like(alive)
        beaten[worse] = True
        alive[worse[~beaten[better]]] = False
        still = alive[better] & alive[worse]
        better, worse = better[still], worse[still]


def _soft(ranked: RankedBoxes, settings: NmsSettings, decay: Decay) -> RankedBoxes:
    """Soft NMS of the best candidates, if their lowered scores stay above those of the rest."""
    count = 2 * _BLOCK
    while count < len(ranked):
        kept = _lower_scores(ranked[:count], settings, decay, float(ranked.scores[count]))
        if len(kept) >= settings.max_detections:
            return kept
        count *= 4
    return _lower_scores(ranked, settings, decay, float(np.float32(settings.score_floor)))


def _lower_scores(
    ranked: RankedBoxes, settings: NmsSettings, decay: Decay, floor: float
) -> RankedBoxes:
    """Takes the best box and lowers the scores of the others, until the best is below the floor."""
    scores, waiting = ranked.scores.astype(np.float64), np.ones(len(ranked), bool)
    taken: dict[int, float] = {}
    factors: dict[int, FloatArray] = {}
    while len(taken) < min(settings.max_detections, len(ranked)):
        best = int(scores.argmax())
        if scores[best] < floor:
            break
        if best not in factors:
            ranks = _likely_next(scores, best)
            rows = _decay_factors(ranked, ranks, settings, decay)
            factors = dict(zip(ranks.tolist(), rows, strict=True))
        taken[best] = scores[best]
        waiting[best], scores[best] = False, -np.inf
        np.multiply(scores, factors[best], out=scores, where=waiting)
    lowered = np.array(list(taken.values()), np.float32)
    return replace(ranked[np.array(list(taken), np.int64)], scores=lowered)


def _likely_next(scores: Floats, best: int) -> IntArray:
    """The best rank and, if there are few, likely next ones: a matrix costs less than its rows."""
    ahead = min(_PREFETCH // len(scores), len(scores) - 1)
    if ahead == 0:
        return np.array([best])
    return np.append(best, np.argpartition(-scores, ahead)[:ahead])


def _decay_factors(
    ranked: RankedBoxes, ranks: IntArray, settings: NmsSettings, decay: Decay
) -> FloatArray:
    """(n, N) factors of all scores, for each of n ranks that are kept."""
    iou = geometry.iou(ranked.boxes[ranks], ranked.boxes)
    if settings.class_aware:
        iou[ranked.labels[ranks][:, None] != ranked.labels] = 0
    return decay(iou)


def _round_down(limit: float) -> np.float32:
    """The largest float32 up to the limit: float32 numbers exceed both or neither."""
    rounded = np.float32(limit)
    return np.nextafter(rounded, np.float32(-1)) if float(rounded) > limit else rounded
