"""Causes of false positives: runs of boxes of a result track that are not matched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import ResultFeatures, Spans, TrackRows
from mot.evaluation.diagnosis.with_gt.rules import (
    MATCH_IOU,
    NEAR_IOU,
    SOON,
    Rule,
    count_frames,
    describe_flagged,
    in_most_rows,
)
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import IntArray


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """S runs of unmatched boxes. Gt tracks are track numbers, -1: none."""

    features: ResultFeatures
    gt: TrackRows
    run: Spans
    gt_before: IntArray  # (S,) gt track of the last match of the result track before the run
    gt_after: IntArray  # (S,) gt track of its next match

    @cached_property
    def is_short(self) -> Mask:
        return np.asarray(self.run.lengths <= SOON * self.features.fps)

    @cached_property
    def is_between(self) -> Mask:
        """(S,) whether the result track has matches before and after the run."""
        return np.asarray((self.gt_before >= 0) & (self.gt_after >= 0))

    @cached_property
    def gt_present(self) -> IntArray:
        """(S,) boxes that the gt track matched before the run has during the run."""
        frames = self.features.rows.frames
        first, last = frames[self.run.first], frames[self.run.end - 1]
        return self.gt.spans(self.gt_before, first, last).lengths

    @cached_property
    def scores(self) -> Values:
        """(S,) mean scores."""
        return self.run.mean(self.features.score)

    def gt_id(self, track: int) -> int:
        """The id in the file of a gt track number."""
        return int(self.gt.table.file_ids[track])


def _ignored_evidence(case: FalsePositives, index: int) -> str:
    iou = case.features.ignored_iou
    return f"IoU with an ignored gt box {describe_flagged(case.run, index, iou, iou >= MATCH_IOU)}"


def _duplicate_evidence(case: FalsePositives, index: int) -> str:
    iou = case.features.taken_iou
    shown = describe_flagged(case.run, index, iou, iou >= MATCH_IOU)
    return f"IoU with a gt box matched to another id {shown}"


def _localization_evidence(case: FalsePositives, index: int) -> str:
    iou = case.features.free_iou
    shown = describe_flagged(case.run, index, iou, iou >= NEAR_IOU)
    return f"IoU with an unmatched gt box is only {shown}"


def _start_evidence(case: FalsePositives, index: int) -> str:
    length, gt_id = case.run.lengths[index], case.gt_id(case.gt_after[index])
    return f"{count_frames(length)} before the first match of the id, with gt track {gt_id}"


def _end_evidence(case: FalsePositives, index: int) -> str:
    length, gt_id = case.run.lengths[index], case.gt_id(case.gt_before[index])
    return f"{count_frames(length)} after the last match of the id, with gt track {gt_id}"


def _is_in_gt_gap(case: FalsePositives) -> Mask:
    """Matched to the same gt track before and after, which has a gap in between."""
    same = case.is_between & (case.gt_before == case.gt_after)
    return np.asarray(same & (case.gt_present <= case.run.lengths / 2))


def _gap_evidence(case: FalsePositives, index: int) -> str:
    length, gt_id = case.run.lengths[index], case.gt_id(case.gt_before[index])
    return (
        f"matched to gt track {gt_id} before and after, "
        f"which has boxes in {case.gt_present[index]} of {count_frames(length)}"
    )


def _drift_evidence(case: FalsePositives, index: int) -> str:
    before, after = (case.gt_id(track[index]) for track in (case.gt_before, case.gt_after))
    length = count_frames(case.run.lengths[index])
    return f"{length} between matches with gt track {before} and gt track {after}"


def _low_score_evidence(case: FalsePositives, index: int) -> str:
    return (
        f"mean score {case.scores[index]:.2f}; "
        f"90 % of the boxes have at least {case.features.low_score:.2f}"
    )


def _background_evidence(case: FalsePositives, index: int) -> str:
    rows = slice(case.run.first[index], case.run.end[index])
    iou = np.maximum(case.features.free_iou[rows], case.features.taken_iou[rows]).max()
    return f"maximum IoU with a gt box {iou:.2f} in {count_frames(rows.stop - rows.start)}"


FALSE_POSITIVE_RULES: tuple[Rule[FalsePositives], ...] = (
    Rule(
        "ignored gt",
        lambda case: in_most_rows(case.run, case.features.ignored_iou >= MATCH_IOU),
        _ignored_evidence,
    ),
    Rule(
        "duplicate",
        lambda case: in_most_rows(case.run, case.features.taken_iou >= MATCH_IOU),
        _duplicate_evidence,
    ),
    Rule(
        "localization",
        lambda case: in_most_rows(case.run, case.features.free_iou >= NEAR_IOU),
        _localization_evidence,
    ),
    Rule(
        "track start",
        lambda case: (case.gt_before < 0) & (case.gt_after >= 0) & case.is_short,
        _start_evidence,
    ),
    Rule(
        "track end",
        lambda case: (case.gt_before >= 0) & (case.gt_after < 0) & case.is_short,
        _end_evidence,
    ),
    Rule("gt gap", _is_in_gt_gap, _gap_evidence),
    Rule("drift", lambda case: case.is_between, _drift_evidence),
    Rule(
        "low score",
        lambda case: np.asarray(case.scores < case.features.low_score),
        _low_score_evidence,
    ),
    Rule("background", lambda case: np.ones(len(case.run), np.bool_), _background_evidence),
)
