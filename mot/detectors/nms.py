"""Non-maximum suppression: of boxes that overlap, the best.

`hard` drops each box that overlaps a better one by more than `iou`, as torchvision does; `diou` is
the same with the distance IoU (Zheng et al., 2020); `adaptive` lets boxes overlap as much as the
crowd around the better one is predicted to (Liu, Huang and Wang, 2019); `soft-linear` and
`soft-gaussian` lower scores instead (Bodla et al., 2017); `weighted` averages each box with those
it suppresses, by score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mot import boxes as geometry
from mot.errors import nearest
from mot.types import FARTHEST, FloatArray, IndexArray, IntArray

_BLOCK = 512  # the best candidates, which settle it among themselves before they meet the others
_LEAST = 64  # of a later block, which is twice as large as what the last one left
_AHEAD = 8192  # overlaps that soft NMS computes at a time

Factor = Callable[[FloatArray], FloatArray]  # of each score, by the IoU with the box that is kept
Floats = npt.NDArray[np.floating[Any]]
Tensor = Any  # torch is imported by those who have tensors


@dataclass(frozen=True, slots=True)
class NmsSettings:
    kind: str = "hard"
    iou: float = 0.65  # boxes that overlap by more are taken for one object
    class_aware: bool = True  # boxes of different labels leave each other alone
    max_detections: int = 300  # the best
    max_candidates: int = 10_000  # the best
    score_floor: float = 0.001  # boxes that score less, or come to score less, are dropped
    sigma: float = 0.5  # soft-gaussian lowers scores by exp(-iou^2 / sigma)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r} of NMS: {nearest(self.kind, KINDS)}")
        if not self.sigma > 0:
            raise ValueError(f"sigma = {self.sigma} must be above 0")


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Boxes, the best first."""

    boxes: FloatArray  # (N, 4) xyxy
    scores: FloatArray  # (N,)
    labels: IntArray  # (N,)
    rows: IntArray  # (N,) where each stood among the boxes handed in; of an average, the best one
    density: FloatArray | None = None  # (N,) the greatest IoU of the object with another

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, ranks: IndexArray) -> Ranked:
        density = None if self.density is None else self.density[ranks]
        return Ranked(
            self.boxes[ranks], self.scores[ranks], self.labels[ranks], self.rows[ranks], density
        )


def nms(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    settings: NmsSettings | None = None,
    density: npt.ArrayLike | None = None,
) -> Ranked:
    """What is left of (N, 4) xyxy boxes: by score, ties by row.

    Rows that no `Detections` would hold are dropped: boxes or scores that are not finite, boxes
    that are reversed or too far away. Where lowered scores tie, the box that came with the higher
    score is first.
    """
    settings = settings or NmsSettings()
    given = _given(boxes, scores, labels, density)
    return KINDS[settings.kind](given[_candidates(given, settings)], settings)


def nms_torch(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    settings: NmsSettings | None = None,
    density: Tensor | None = None,
) -> Ranked:
    """The same from tensors: hard NMS on their device, the other kinds from its candidates."""
    settings = settings or NmsSettings()
    boxes, scores = boxes.detach().float(), scores.detach().float()
    rows = _candidates_torch(boxes, scores, settings)
    if settings.kind == "hard":
        rows = rows[_hard_torch(boxes[rows], scores[rows], labels[rows], settings)]
    crowd = None if density is None else _host(density[rows].float())
    ranked = Ranked(
        _host(boxes[rows]), _host(scores[rows]), _host(labels[rows].long()), _host(rows), crowd
    )
    return ranked if settings.kind == "hard" else KINDS[settings.kind](ranked, settings)


def _host(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()


def _given(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    density: npt.ArrayLike | None,
) -> Ranked:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is dropped
        xyxy, column = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
        crowd = None if density is None else np.asarray(density, np.float32)
    rows = np.arange(len(xyxy))
    given = Ranked(xyxy, column, np.asarray(labels, np.int64), rows, crowd)
    columns = (column, given.labels, rows if crowd is None else crowd)
    if xyxy.shape[1:] != (4,) or any(one.shape != rows.shape for one in columns):
        shapes = ", ".join(str(one.shape) for one in (xyxy, *columns))
        raise ValueError(f"boxes, scores, labels and density do not belong together: {shapes}")
    return given


def _candidates(given: Ranked, settings: NmsSettings) -> IntArray:
    """Sound rows, the best first."""
    xyxy, scores = given.boxes, given.scores
    sound = np.isfinite(scores) & (scores >= settings.score_floor)
    sound &= (np.abs(xyxy) <= FARTHEST).all(axis=1)  # NaN is not
    sound &= (xyxy[:, :2] <= xyxy[:, 2:]).all(axis=1)
    rows = np.flatnonzero(sound)
    return rows[np.argsort(-scores[rows], kind="stable")[: settings.max_candidates]]


def _candidates_torch(boxes: Tensor, scores: Tensor, settings: NmsSettings) -> Tensor:
    sound = scores.isfinite() & (scores >= settings.score_floor)
    sound &= (boxes.abs() <= FARTHEST).all(dim=1)
    sound &= (boxes[:, :2] <= boxes[:, 2:]).all(dim=1)
    rows = sound.nonzero()[:, 0]
    order = scores[rows].argsort(descending=True, stable=True)
    return rows[order[: settings.max_candidates]]


def _hard_torch(boxes: Tensor, scores: Tensor, labels: Tensor, settings: NmsSettings) -> Tensor:
    """Ranks of the survivors among boxes in order of score."""
    from torchvision import ops

    if len(boxes) == 0:
        return labels.long()
    if settings.class_aware:
        # The offsets that keep labels apart need boxes from 0 on, and digits that float32 lacks.
        exact = boxes.double()
        kept = ops.batched_nms(exact - exact.min(), scores.double(), labels, settings.iou)
    else:
        kept = ops.nms(boxes, scores, settings.iou)
    return kept.sort().values[: settings.max_detections]


# A kind makes of candidates, the best first, what is left of them.


def _hard(ranked: Ranked, settings: NmsSettings) -> Ranked:
    return ranked[_survivors(_rivalry(ranked, settings), len(ranked), settings)]


def _diou(ranked: Ranked, settings: NmsSettings) -> Ranked:
    rivals = _rivalry(ranked, settings, overlap=geometry.paired_diou)
    return ranked[_survivors(rivals, len(ranked), settings)]


def _adaptive(ranked: Ranked, settings: NmsSettings) -> Ranked:
    """The overlap that a box allows is its density where that exceeds `iou`; NaN is none."""
    if ranked.density is None:
        raise ValueError("adaptive NMS needs a density: use another kind with this detector")
    limits = np.fmax(ranked.density, _round_down(settings.iou))
    return ranked[_survivors(_rivalry(ranked, settings, limits), len(ranked), settings)]


def _weighted(ranked: Ranked, settings: NmsSettings) -> Ranked:
    rivals = _rivalry(ranked, settings)
    kept = _survivors(rivals, len(ranked), settings)
    better, worse = rivals(kept, np.arange(len(ranked)))
    winner = np.full(len(ranked), -1)
    winner[worse[::-1]] = better[::-1]  # of several the best, which is written last
    winner[kept] = kept
    members = np.flatnonzero(winner >= 0)
    cluster = np.searchsorted(kept, winner[members])
    boxes = _averages(ranked[members], cluster, len(kept))
    return replace(ranked[kept], boxes=boxes)


def _averages(members: Ranked, cluster: IntArray, count: int) -> FloatArray:
    """(count, 4) means of the boxes of each cluster, weighted by their scores."""
    weights = np.maximum(members.scores.astype(np.float64), 1e-30)  # of a cluster of zeros, equal
    total = np.bincount(cluster, weights, count)
    sums = [np.bincount(cluster, weights * edge, count) for edge in members.boxes.T]
    return (np.array(sums) / total).T.astype(np.float32)


def _soft_linear(ranked: Ranked, settings: NmsSettings) -> Ranked:
    limit, one = _round_down(settings.iou), np.float32(1)
    return _soft(ranked, settings, lambda iou: np.where(iou > limit, one - iou, one))


def _soft_gaussian(ranked: Ranked, settings: NmsSettings) -> Ranked:
    return _soft(ranked, settings, lambda iou: np.exp(iou * iou / -settings.sigma))


KINDS: dict[str, Callable[[Ranked, NmsSettings], Ranked]] = {
    "hard": _hard,
    "soft-linear": _soft_linear,
    "soft-gaussian": _soft_gaussian,
    "diou": _diou,
    "weighted": _weighted,
    "adaptive": _adaptive,
}


def _soft(ranked: Ranked, settings: NmsSettings, factor: Factor) -> Ranked:
    """Scores only fall: the best candidates will do until what is left is worse than the rest."""
    count = 2 * _BLOCK
    while count < len(ranked):
        kept = _soften(ranked[:count], settings, factor, float(ranked.scores[count]))
        if len(kept) >= settings.max_detections:
            return kept
        count *= 4
    return _soften(ranked, settings, factor, float(np.float32(settings.score_floor)))


def _soften(ranked: Ranked, settings: NmsSettings, factor: Factor, floor: float) -> Ranked:
    """Take the best box and lower the scores of the others, until the best is below the floor."""
    scores, waiting = ranked.scores.astype(np.float64), np.ones(len(ranked), bool)
    taken: dict[int, float] = {}
    factors: dict[int, FloatArray] = {}
    while len(taken) < min(settings.max_detections, len(ranked)):
        best = int(scores.argmax())
        if scores[best] < floor:
            break
        if best not in factors:
            some = _likely(scores, best)
            shares = _shares_left(ranked, some, settings, factor)
            factors = dict(zip(some.tolist(), shares, strict=True))
        taken[best] = scores[best]
        waiting[best], scores[best] = False, -np.inf
        np.multiply(scores, factors[best], out=scores, where=waiting)
    lowered = np.array(list(taken.values()), np.float32)
    return replace(ranked[np.array(list(taken), np.int64)], scores=lowered)


def _likely(scores: Floats, best: int) -> IntArray:
    """The best one and, of few, those that may be next: a matrix costs less than its rows."""
    ahead = min(_AHEAD // len(scores), len(scores) - 1)
    if ahead == 0:
        return np.array([best])
    return np.append(best, np.argpartition(-scores, ahead)[:ahead])


def _shares_left(
    ranked: Ranked, ranks: IntArray, settings: NmsSettings, factor: Factor
) -> FloatArray:
    """(n, N) what each of some ranks leaves of each score."""
    iou = geometry.iou(ranked.boxes[ranks], ranked.boxes)
    if settings.class_aware:
        iou[ranked.labels[ranks][:, None] != ranked.labels] = 0
    return factor(iou)


# Ranks of boxes that beat others, and of those that each of them beats: worse ones, too near.
Pairs = tuple[IntArray, IntArray]
Rivals = Callable[[IntArray, IntArray], Pairs]


def _rivalry(
    ranked: Ranked,
    settings: NmsSettings,
    limits: FloatArray | None = None,
    overlap: Callable[[Floats, Floats], FloatArray] = geometry.paired_iou,
) -> Rivals:
    """A function that finds which of some ranks beat which of others."""
    apart = _apart(ranked, settings)
    limit = np.full(len(ranked), _round_down(settings.iou)) if limits is None else limits

    def rivals(some: IntArray, others: IntArray) -> Pairs:
        rows, columns = geometry.near_pairs(apart[some], apart[others], settings.iou)
        better, worse = some[rows], others[columns]
        ahead = better < worse
        better, worse = better[ahead], worse[ahead]
        over = overlap(ranked.boxes[better], ranked.boxes[worse]) > limit[better]
        return better[over], worse[over]

    return rivals


def _apart(ranked: Ranked, settings: NmsSettings) -> Floats:
    """The boxes, those of different labels too far from each other to meet."""
    if not settings.class_aware or len(ranked) == 0 or np.ptp(ranked.labels) == 0:
        return ranked.boxes
    boxes = ranked.boxes.astype(np.float64)
    groups = np.unique(ranked.labels, return_inverse=True)[1]
    return boxes + (groups * (2 * np.ptp(boxes) + 1))[:, None]


def _survivors(rivals: Rivals, count: int, settings: NmsSettings) -> IntArray:
    """The ranks that no survivor beats."""
    alive, waiting, block = np.ones(count, bool), np.arange(count), _BLOCK
    kept = waiting[:0]
    while True:
        head, waiting = waiting[:block], waiting[block:]
        _settle(alive, *rivals(head, head))
        best = head[alive[head]]
        kept = np.concatenate([kept, best])
        if len(waiting) == 0 or len(kept) >= settings.max_detections:
            return kept[: settings.max_detections]
        alive[rivals(best, waiting)[1]] = False
        waiting = waiting[alive[waiting]]
        block = max(_LEAST, 2 * len(best))  # where few are left, most of a large one would be waste


def _settle(alive: npt.NDArray[np.bool_], better: IntArray, worse: IntArray) -> None:
    """Who is beaten by nobody stays, and whom they beat goes; then the same of those still open."""
    while len(better):
        beaten = np.zeros_like(alive)
        beaten[worse] = True
        alive[worse[~beaten[better]]] = False
        still = alive[better] & alive[worse]
        better, worse = better[still], worse[still]


def _round_down(limit: float) -> np.float32:
    """float32 numbers exceed it exactly where they exceed the limit."""
    rounded = np.float32(limit)
    return np.nextafter(rounded, np.float32(-1)) if float(rounded) > limit else rounded
