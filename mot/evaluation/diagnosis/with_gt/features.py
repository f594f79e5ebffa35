"""Features of each gt and result box that may explain errors: overlaps, visibility, motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.loading import LoadedSequence
from mot.evaluation.score import Matches
from mot.evaluation.sequence_pairs import BoxTable, Mask, SequencePairs, Values, pair_boxes
from mot.evaluation.trajectories import group_medians
from mot.motfile import MotRows
from mot.types import IntArray

_LOW_SCORE = 10  # percentile of the scores of a result: tracks are often lost below it
_GRID = 8  # points along each side of a box that are tested for occlusion


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Ranges of successive rows."""

    first: IntArray  # (S,)
    end: IntArray  # (S,) past the last row

    def __len__(self) -> int:
        return len(self.first)

    @property
    def lengths(self) -> IntArray:
        return self.end - self.first

    def count(self, flags: Mask) -> IntArray:
        """(S,) number of flagged rows; `flags` is (rows,)."""
        running = np.concatenate([[0], np.cumsum(flags)])
        found: IntArray = running[self.end] - running[self.first]
        return found

    def mean(self, values: Values) -> Values:
        """(S,) mean of the values that are not NaN; NaN if there are none."""
        known = ~np.isnan(values)
        running = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
        count = self.count(known)
        sums = running[self.end] - running[self.first]
        means: Values = np.divide(sums, count, out=np.full(len(self), np.nan), where=count > 0)
        return means


@dataclass(frozen=True, slots=True, eq=False)
class TrackRows:
    """The boxes of a table as rows, sorted by track, then by frame."""

    table: BoxTable
    order: IntArray  # (N,) box of each row
    position: IntArray  # (N,) row of each box
    ids: IntArray  # (N,) track numbers
    frames: IntArray  # (N,) from 0
    starts: IntArray  # (N,) first row of the track
    ends: IntArray  # (N,) past its last row

    @property
    def file_ids(self) -> IntArray:
        """(N,) track ids in the file."""
        return self.table.file_ids[self.ids]

    def runs(self, flags: Mask) -> Spans:
        """The maximal ranges of flagged rows within a track."""
        padded = np.concatenate([[False], flags, [False]])
        is_new_track = np.concatenate([[True], np.diff(self.ids) != 0, [True]])
        first = padded[1:] & (~padded[:-1] | is_new_track)
        last = padded[:-1] & (~padded[1:] | is_new_track)
        return Spans(np.flatnonzero(first), np.flatnonzero(last))

    def spans(self, ids: IntArray, first: IntArray, last: IntArray) -> Spans:
        """The rows of each track number from one frame to another, inclusive."""
        scale = len(self.table.starts) + 1
        keys = self.ids * scale + self.frames + 1
        low, high = (np.clip(frame + 1, 0, scale - 1) for frame in (first, last))
        rows = np.searchsorted(keys, ids * scale + low)
        return Spans(rows, np.searchsorted(keys, ids * scale + high, side="right"))


def sort_by_track(table: BoxTable) -> TrackRows:
    order = np.lexsort((table.frames, table.ids))
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    ids = table.ids[order]
    starts, ends = np.searchsorted(ids, ids), np.searchsorted(ids, ids, side="right")
    return TrackRows(table, order, position, ids, table.frames[order], starts, ends)


@dataclass(frozen=True, slots=True, eq=False)
class GtFeatures:
    """Features of the N ground-truth boxes, by row. "Free" result boxes are unmatched."""

    rows: TrackRows
    fps: float
    match: IntArray  # (N,) matched result box; -1: none
    visibility: Values  # (N,) visible fraction, 0 to 1
    visibility_source: str  # column of the ground truth, or computed from its boxes; for messages
    global_motion: Values  # (N,) motion of the median track since the last frame, in box heights
    free_iou: Values  # (N,) with the best free result box
    free_box: IntArray  # (N,) that box; -1: none
    score: Values  # (N,) of the match; NaN: none
    low_score: float  # 10th percentile of the scores of the result


@dataclass(frozen=True, slots=True, eq=False)
class ResultFeatures:
    """Features of the N result boxes, by row. "Free" gt boxes are unmatched, "taken" are matched.

    The IoUs are meaningful for unmatched result boxes.
    """

    rows: TrackRows
    fps: float
    match: IntArray  # (N,) matched gt box; -1: none
    ignored_iou: Values  # (N,) with the best gt box that does not count
    free_iou: Values  # (N,) with the best free gt box
    free_box: IntArray  # (N,) that box; -1: none
    taken_iou: Values  # (N,) with the best gt box matched to another result box
    taken_box: IntArray  # (N,) that box; -1: none
    score: Values  # (N,)
    low_score: float  # 10th percentile of the scores


def compute_gt_features(loaded: LoadedSequence, matches: Matches) -> GtFeatures:
    seq, rows = matches.seq, sort_by_track(matches.seq.gt)
    match, result_match = _match_partners(matches)
    visibility, source = _visibility(loaded, seq)
    free = result_match[seq.pairs.result] < 0
    free_iou, free_box = _best_overlap(
        seq.pairs.gt[free], seq.pairs.result[free], seq.pairs.iou[free], len(seq.gt)
    )
    scores = np.append(loaded.result.scores[seq.result.rows], np.nan)
    return GtFeatures(
        rows=rows,
        fps=loaded.entry.gt.fps,
        match=match[rows.order],
        visibility=visibility[rows.order],
        visibility_source=source,
        global_motion=_global_motion(loaded.gt.xywh[seq.gt.rows[rows.order]], rows),
        free_iou=free_iou[rows.order],
        free_box=free_box[rows.order],
        score=scores[match[rows.order]],
        low_score=_low_score(scores[:-1]),
    )


def compute_result_features(loaded: LoadedSequence, matches: Matches) -> ResultFeatures:
    seq, rows = matches.seq, sort_by_track(matches.seq.result)
    gt_match, match = _match_partners(matches)
    pairs, count = seq.pairs, len(seq.result)
    free = gt_match[pairs.gt] < 0
    free_iou, free_box = _best_overlap(pairs.result[free], pairs.gt[free], pairs.iou[free], count)
    taken_iou, taken_box = _best_overlap(
        pairs.result[~free], pairs.gt[~free], pairs.iou[~free], count
    )
    scores = loaded.result.scores[seq.result.rows]
    return ResultFeatures(
        rows=rows,
        fps=loaded.entry.gt.fps,
        match=match[rows.order],
        ignored_iou=_ignored_iou(loaded, seq)[rows.order],
        free_iou=free_iou[rows.order],
        free_box=free_box[rows.order],
        taken_iou=taken_iou[rows.order],
        taken_box=taken_box[rows.order],
        score=scores[rows.order],
        low_score=_low_score(scores),
    )


def _low_score(scores: Values) -> float:
    """Reduced by the rounding error of running sums, so that equal scores are never low."""
    if not len(scores):
        return 0.0
    return float(np.percentile(scores, _LOW_SCORE) - 1e-9 * np.abs(scores).max())


def _match_partners(matches: Matches) -> tuple[IntArray, IntArray]:
    """The result box of each gt box, and the gt box of each result box; -1: unmatched."""
    seq = matches.seq
    gt, result = seq.pairs.gt[matches.clear.pairs], seq.pairs.result[matches.clear.pairs]
    gt_match, result_match = np.full(len(seq.gt), -1), np.full(len(seq.result), -1)
    gt_match[gt], result_match[result] = result, gt
    return gt_match, result_match


def _best_overlap(
    box: IntArray, other: IntArray, iou: Values, count: int
) -> tuple[Values, IntArray]:
    """(count,) the largest IoU of each box, 0 if none, and the other box, -1 if none."""
    order = np.argsort(iou, kind="stable")
    best, partner = np.zeros(count), np.full(count, -1)
    best[box[order]], partner[box[order]] = iou[order], other[order]
    return best, partner


def _ignored_iou(loaded: LoadedSequence, seq: SequencePairs) -> Values:
    """(result boxes,) the largest IoU with a gt row that the protocol does not count."""
    is_ignored = np.ones(len(loaded.gt), np.bool_)
    is_ignored[seq.gt.rows] = False
    found = pair_boxes(loaded.gt, loaded.result, loaded.length, is_ignored)
    row_ious = np.zeros(len(loaded.result))
    np.maximum.at(row_ious, found.result.rows[found.pairs.result], found.pairs.iou)
    return row_ious[seq.result.rows]


def _global_motion(xywh: Values, rows: TrackRows) -> Values:
    """(N,) motion of the median of many tracks, which is that of the camera, in box heights."""
    centers, heights = xywh[:, :2] + xywh[:, 2:] / 2, np.maximum(xywh[:, 3:], 1.0)
    step = np.flatnonzero((np.diff(rows.ids) == 0) & (np.diff(rows.frames) == 1))
    moved = (centers[step + 1] - centers[step]) / heights[step]
    medians = group_medians(rows.frames[step + 1], moved, len(rows.table.starts))
    motion: Values = np.hypot(*medians.T)[rows.frames]
    return motion


def _visibility(loaded: LoadedSequence, seq: SequencePairs) -> tuple[Values, str]:
    """(gt boxes,) from the ground truth if it has a valid column, else from its boxes; its name."""
    column = loaded.gt.visibility
    # MOT15 has world coordinates in this column; other datasets a constant 1.
    if len(column) and column.min() >= 0 and column.max() <= 1 and column.min() < column.max():
        return column[seq.gt.rows], "visibility"
    visible: Values = 1 - occluded_fractions(loaded.gt, loaded.length)[seq.gt.rows]
    return visible, "unoccluded fraction"


def occluded_fractions(gt: MotRows, length: int) -> Values:
    """(rows,) fraction of each box that all nearer boxes cover: those with a lower bottom edge."""
    seq = pair_boxes(gt, gt, length, gt.scores != 0, gt.scores != 0)
    xyxy = boxes.xywh_to_xyxy(gt.xywh)
    behind, before = seq.gt.rows[seq.pairs.gt], seq.result.rows[seq.pairs.result]
    nearer = xyxy[before, 3] > xyxy[behind, 3]
    behind, before = behind[nearer], before[nearer]
    starts = np.flatnonzero(np.diff(behind, prepend=-1))
    fraction = np.zeros(len(gt))
    if len(starts):
        points = np.logical_or.reduceat(_grid_points_inside(xyxy[behind], xyxy[before]), starts)
        fraction[behind[starts]] = points.mean(axis=(1, 2))
    return fraction


def _grid_points_inside(xyxy: Values, other: Values) -> Mask:
    """(P, grid, grid) which grid points of each box lie inside the other box of its row."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    points = xyxy[:, :2, None] + (xyxy[:, 2:] - xyxy[:, :2])[..., None] * steps  # (P, 2, grid)
    inside = (points > other[:, :2, None]) & (points < other[:, 2:, None])
    both: Mask = inside[:, 1, :, None] & inside[:, 0, None, :]
    return both
