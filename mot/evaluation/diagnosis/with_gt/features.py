"""What is known about each box that may tell why it was missed, lost or made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.loading import Loaded
from mot.evaluation.scene import BoxTable, Mask, SequencePairs, Values, make_scene
from mot.evaluation.score import Matches
from mot.evaluation.trajectories import medians_of_many
from mot.motfile import MotRows
from mot.types import IntArray

LOW_SCORE = (
    10  # percentile of a result's scores: people have lower ones mostly before they are lost
)
_GRID = 8  # points along each side of a box, at which it is looked up whether it is covered


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Stretches of rows that follow each other."""

    first: IntArray  # (S,)
    end: IntArray  # (S,) past the last

    def __len__(self) -> int:
        return len(self.first)

    @property
    def lengths(self) -> IntArray:
        return self.end - self.first

    def count(self, flags: Mask) -> IntArray:
        """(S,) of (rows,)"""
        running = np.concatenate([[0], np.cumsum(flags)])
        found: IntArray = running[self.end] - running[self.first]
        return found

    def mean(self, values: Values) -> Values:
        """(S,) of the values that are known; NaN where none is."""
        known = ~np.isnan(values)
        running = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
        count = self.count(known)
        sums = running[self.end] - running[self.first]
        means: Values = np.divide(sums, count, out=np.full(len(self), np.nan), where=count > 0)
        return means


@dataclass(frozen=True, slots=True, eq=False)
class Lives:
    """The boxes of a side as rows, one life after the other: by id, then by frame."""

    side: BoxTable
    order: IntArray  # (N,) which of the side's boxes each row is
    place: IntArray  # (N,) at which row each of the side's boxes is
    ids: IntArray  # (N,)
    frames: IntArray  # (N,) from 0
    begins: IntArray  # (N,) the first row of the life
    ends: IntArray  # (N,) past its last row

    @property
    def names(self) -> IntArray:
        """(N,) as the file has them."""
        return self.side.names[self.ids]

    def runs(self, flags: Mask) -> Spans:
        """The longest stretches of flagged rows within a life."""
        padded = np.concatenate([[False], flags, [False]])
        new_life = np.concatenate([[True], np.diff(self.ids) != 0, [True]])
        first = padded[1:] & (~padded[:-1] | new_life)
        last = padded[:-1] & (~padded[1:] | new_life)
        return Spans(np.flatnonzero(first), np.flatnonzero(last))

    def spans(self, ids: IntArray, first: IntArray, last: IntArray) -> Spans:
        """The rows of each id from one frame to another, both with it."""
        scale = len(self.side.starts) + 1
        keys = self.ids * scale + self.frames + 1
        low, high = (np.clip(frame + 1, 0, scale - 1) for frame in (first, last))
        rows = np.searchsorted(keys, ids * scale + low)
        return Spans(rows, np.searchsorted(keys, ids * scale + high, side="right"))


def lives_of(side: BoxTable) -> Lives:
    order = np.lexsort((side.frames, side.ids))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    ids = side.ids[order]
    begins, ends = np.searchsorted(ids, ids), np.searchsorted(ids, ids, side="right")
    return Lives(side, order, place, ids, side.frames[order], begins, ends)


@dataclass(frozen=True, slots=True, eq=False)
class TruthClues:
    """Of each row of the people's lives."""

    lives: Lives
    fps: float
    match: IntArray  # (N,) the result box that it is matched to; -1: none
    visible: Values  # (N,) the share of the person
    measure: str  # what is called visible: as the ground truth has it, or as its boxes have it
    jolt: Values  # (N,) heights that the median person moved since the last frame
    overlap: Values  # (N,) with the best of the result boxes that are matched to nobody
    nearest: IntArray  # (N,) that box; -1: none
    score: Values  # (N,) of the match; NaN: none
    low_score: float  # nine in ten of the result's boxes have more


@dataclass(frozen=True, slots=True, eq=False)
class ResultClues:
    """Of each row of the lives of the tracked ids; the overlaps are of those without a match."""

    lives: Lives
    fps: float
    match: IntArray  # (N,) the truth box that it is matched to; -1: none
    uncounted: Values  # (N,) the overlap with the best box of the truth that does not count
    overlap: Values  # (N,) with the best truth box that is matched to nobody
    nearest: IntArray  # (N,) that box; -1: none
    taken_overlap: Values  # (N,) with the best truth box that is matched to another id
    taken: IntArray  # (N,) that box; -1: none
    score: Values  # (N,)
    low_score: float  # nine in ten of the boxes have more


def truth_clues(loaded: Loaded, matches: Matches) -> TruthClues:
    scene, lives = matches.scene, lives_of(matches.scene.truth)
    match, of_result = _partners(matches)
    visible, measure = _visible(loaded, scene)
    free = of_result[scene.pairs.result] < 0
    overlap, nearest = _best(
        scene.pairs.truth[free], scene.pairs.result[free], scene.pairs.iou[free], len(scene.truth)
    )
    scores = np.append(loaded.result.scores[scene.result.rows], np.nan)
    return TruthClues(
        lives=lives,
        fps=loaded.entry.truth.fps,
        match=match[lives.order],
        visible=visible[lives.order],
        measure=measure,
        jolt=_jolts(loaded.truth.xywh[scene.truth.rows[lives.order]], lives),
        overlap=overlap[lives.order],
        nearest=nearest[lives.order],
        score=scores[match[lives.order]],
        low_score=_low(scores[:-1]),
    )


def result_clues(loaded: Loaded, matches: Matches) -> ResultClues:
    scene, lives = matches.scene, lives_of(matches.scene.result)
    of_truth, match = _partners(matches)
    pairs, count = scene.pairs, len(scene.result)
    free = of_truth[pairs.truth] < 0
    overlap, nearest = _best(pairs.result[free], pairs.truth[free], pairs.iou[free], count)
    taken_overlap, taken = _best(pairs.result[~free], pairs.truth[~free], pairs.iou[~free], count)
    scores = loaded.result.scores[scene.result.rows]
    return ResultClues(
        lives=lives,
        fps=loaded.entry.truth.fps,
        match=match[lives.order],
        uncounted=_uncounted_overlap(loaded, scene)[lives.order],
        overlap=overlap[lives.order],
        nearest=nearest[lives.order],
        taken_overlap=taken_overlap[lives.order],
        taken=taken[lives.order],
        score=scores[lives.order],
        low_score=_low(scores),
    )


def _low(scores: Values) -> float:
    """Less what running sums may err by, so that equal scores are never low."""
    if not len(scores):
        return 0.0
    return float(np.percentile(scores, LOW_SCORE) - 1e-9 * np.abs(scores).max())


def _partners(matches: Matches) -> tuple[IntArray, IntArray]:
    """Of each truth box its result box, and of each result box its truth box; -1: none."""
    scene = matches.scene
    truth, result = scene.pairs.truth[matches.clear.pairs], scene.pairs.result[matches.clear.pairs]
    of_truth, of_result = np.full(len(scene.truth), -1), np.full(len(scene.result), -1)
    of_truth[truth], of_result[result] = result, truth
    return of_truth, of_result


def _best(box: IntArray, other: IntArray, iou: Values, count: int) -> tuple[Values, IntArray]:
    """(count,) the largest overlap of each box, 0 where it has none, and with whom, -1."""
    order = np.argsort(iou, kind="stable")
    best, partner = np.zeros(count), np.full(count, -1)
    best[box[order]], partner[box[order]] = iou[order], other[order]
    return best, partner


def _uncounted_overlap(loaded: Loaded, scene: SequencePairs) -> Values:
    """(result boxes,)"""
    uncounted = np.ones(len(loaded.truth), np.bool_)
    uncounted[scene.truth.rows] = False
    found = make_scene(loaded.truth, loaded.result, loaded.length, uncounted)
    of_rows = np.zeros(len(loaded.result))
    np.maximum.at(of_rows, found.result.rows[found.pairs.result], found.pairs.iou)
    return of_rows[scene.result.rows]


def _jolts(xywh: Values, lives: Lives) -> Values:
    """(N,) of rows by lives. The person's own motion hardly moves a median of many."""
    centres, heights = xywh[:, :2] + xywh[:, 2:] / 2, np.maximum(xywh[:, 3:], 1.0)
    step = np.flatnonzero((np.diff(lives.ids) == 0) & (np.diff(lives.frames) == 1))
    moved = (centres[step + 1] - centres[step]) / heights[step]
    medians = medians_of_many(lives.frames[step + 1], moved, len(lives.side.starts))
    jolts: Values = np.hypot(*medians.T)[lives.frames]
    return jolts


def _visible(loaded: Loaded, scene: SequencePairs) -> tuple[Values, str]:
    """(truth boxes,) as the ground truth says, else as its boxes cover each other; and which."""
    given = loaded.truth.visibility
    # MOT15 has a place in metres in this column; others write 1 for everybody.
    if len(given) and given.min() >= 0 and given.max() <= 1 and given.min() < given.max():
        return given[scene.truth.rows], "visibility"
    visible: Values = 1 - covered(loaded.truth, loaded.length)[scene.truth.rows]
    return visible, "share not behind others"


def covered(truth: MotRows, length: int) -> Values:
    """(rows,) the share of each box that lies behind others: those whose feet are lower."""
    scene = make_scene(truth, truth, length, truth.scores != 0, truth.scores != 0)
    xyxy = boxes.xywh_to_xyxy(truth.xywh)
    behind, before = scene.truth.rows[scene.pairs.truth], scene.result.rows[scene.pairs.result]
    nearer = xyxy[before, 3] > xyxy[behind, 3]
    behind, before = behind[nearer], before[nearer]
    starts = np.flatnonzero(np.diff(behind, prepend=-1))
    share = np.zeros(len(truth))
    if len(starts):
        points = np.logical_or.reduceat(_points_within(xyxy[behind], xyxy[before]), starts)
        share[behind[starts]] = points.mean(axis=(1, 2))
    return share


def _points_within(xyxy: Values, other: Values) -> Mask:
    """(P, grid, grid) which points of each box lie in the other of its row."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    points = xyxy[:, :2, None] + (xyxy[:, 2:] - xyxy[:, :2])[..., None] * steps  # (P, 2, grid)
    inside = (points > other[:, :2, None]) & (points < other[:, 2:, None])
    within: Mask = inside[:, 1, :, None] & inside[:, 0, None, :]
    return within
