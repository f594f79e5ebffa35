"""Causes of misses, fragmentations and id switches: gaps in the matches of gt tracks.

Rules on certain facts (a gap in the ground truth) come first, then frequent causes of lost tracks
(occlusion, track start and end, camera motion, id swaps), then symptoms (localization, low score).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import GtFeatures, Spans
from mot.evaluation.diagnosis.with_gt.id_swaps import IdSwaps
from mot.evaluation.diagnosis.with_gt.rules import (
    NEAR_IOU,
    SOON,
    Rule,
    count_frames,
    describe_flagged,
    in_most_rows,
)
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import IntArray

_MIN_VISIBILITY = 0.5  # below it an object is occluded: detectors find a smaller box, or none
_SCORE_WINDOW = 0.25  # seconds before a gap in which scores and visibility explain it
_MOTION_WINDOW = 0.1  # seconds before a gap in which camera motion misleads a motion model
# Camera motion: the median box moves by at least 0.1 box heights in a frame, a quarter of the width
# of a pedestrian (IoU 0.6 with its last position), and three times as far as usual.
_MIN_MOTION, _TIMES_USUAL = 0.1, 3.0


@dataclass(frozen=True, eq=False)
class LostTracks:
    """S gaps in the matches of gt tracks."""

    features: GtFeatures
    gap: Spans  # the unmatched rows; empty if two matches follow each other
    before: IntArray  # (S,) row of the match before the gap; -1: none
    after: IntArray  # (S,) row of the match after the gap; -1: none

    @cached_property
    def first(self) -> IntArray:
        """(S,) frame of the last match or, without one, of the first miss."""
        return self.features.rows.frames[np.where(self.before >= 0, self.before, self.gap.first)]

    @cached_property
    def last(self) -> IntArray:
        """(S,) frame of the next match or, without one, of the last miss."""
        return self.features.rows.frames[np.where(self.after >= 0, self.after, self.gap.end - 1)]

    @cached_property
    def age(self) -> IntArray:
        """(S,) frames from the start of the gt track to the last frame of the gap."""
        rows = self.features.rows
        return self.last - rows.frames[rows.starts[self.gap.first]] + 1

    @cached_property
    def remaining(self) -> IntArray:
        """(S,) frames from the first frame of the gap to the end of the gt track."""
        rows = self.features.rows
        return rows.frames[rows.ends[self.gap.first] - 1] - self.first + 1

    @cached_property
    def frames_without_gt(self) -> IntArray:
        """(S,) frames between two matches in which the gt track has no box."""
        between = (self.before >= 0) & (self.after >= 0)
        return np.where(between, self.last - self.first - 1 - self.gap.lengths, 0)

    @cached_property
    def onset(self) -> Spans:
        """From shortly before the gap to its first row or, if it has none, the match after it."""
        first = np.minimum(self._rows_before(_MOTION_WINDOW) + 1, self.gap.first)
        return Spans(first, self.gap.first + 1)

    @cached_property
    def around(self) -> Spans:
        """From shortly before the gap to the match after it."""
        end = np.where(self.after >= 0, self.after + 1, self.gap.end)
        return Spans(self._rows_before(_SCORE_WINDOW), end)

    def _rows_before(self, seconds: float) -> IntArray:
        """(S,) the row some time before the gap, at least one row, within the gt track."""
        rows = max(1, round(seconds * self.features.fps))
        return np.maximum(self.gap.first - rows, self.features.rows.starts[self.gap.first])

    @cached_property
    def scores(self) -> Values:
        """(S,) mean score of the matches around the gap; NaN if there are none."""
        return self.around.mean(self.features.score)

    @cached_property
    def occluded(self) -> Mask:
        """(rows,)"""
        return self.features.visibility < _MIN_VISIBILITY

    @cached_property
    def usual_motion(self) -> float:
        motion = self.features.global_motion
        return float(np.median(motion)) if len(motion) else 0.0

    @property
    def soon(self) -> float:
        """Frames."""
        return SOON * self.features.fps


@dataclass(frozen=True, eq=False)
class IdSwitches(LostTracks):
    """Gaps, possibly empty, after which the gt track has another id."""

    swaps: IdSwaps

    @cached_property
    def partner_rows(self) -> Spans:
        """(S,) the rows around each switch of the gt track that had the new or gets the old id."""
        previous, following = self.swaps.previous_owner, self.swaps.next_owner
        partner = np.where(previous >= 0, previous, following)
        return self.features.rows.spans(partner, self.first, self.last)


def _is_gt_gap(case: LostTracks) -> Mask:
    missing = case.frames_without_gt
    return np.asarray((missing > 0) & (missing >= case.gap.lengths))


def _occlusion_evidence(case: LostTracks, index: int) -> str:
    features = case.features
    shown = describe_flagged(case.gap, index, features.visibility, case.occluded)
    return f"{features.visibility_source} {shown}"


def _is_any_occluded(case: IdSwitches) -> Mask:
    """The gt track or its swap partner, at any time around the switch."""
    return (case.around.count(case.occluded) > 0) | (case.partner_rows.count(case.occluded) > 0)


def _any_occlusion_evidence(case: IdSwitches, index: int) -> str:
    rows, subject, features = case.around, "", case.features
    if not rows.count(case.occluded)[index]:
        rows = case.partner_rows
        subject = f"gt track {features.rows.file_ids[rows.first[index]]}: "
    shown = describe_flagged(rows, index, features.visibility, case.occluded)
    return f"{subject}{features.visibility_source} {shown}"


def _has_camera_motion(case: LostTracks) -> Mask:
    limit = max(_MIN_MOTION, _TIMES_USUAL * case.usual_motion)
    return np.asarray(case.onset.count(case.features.global_motion > limit) > 0)


def _camera_motion_evidence(case: LostTracks, index: int) -> str:
    rows = slice(case.onset.first[index], case.onset.end[index])
    return (
        f"boxes move by {case.features.global_motion[rows].max():.2f} heights between two frames; "
        f"the median is {case.usual_motion:.2f}"
    )


def _localization_evidence(case: LostTracks, index: int) -> str:
    iou = case.features.free_iou
    shown = describe_flagged(case.gap, index, iou, iou >= NEAR_IOU)
    return f"IoU with a free result box is only {shown}"


def _low_score_evidence(case: LostTracks, index: int) -> str:
    return (
        f"mean score {case.scores[index]:.2f} around the gap; "
        f"90 % of the boxes have at least {case.features.low_score:.2f}"
    )


def _unexplained_evidence(case: LostTracks, index: int) -> str:
    features, rows = case.features, slice(case.gap.first[index], case.gap.end[index])
    visibility, iou = features.visibility[rows].mean(), features.free_iou[rows].max()
    free = f"maximum IoU with a free result box {iou:.2f}" if iou else "no free result box overlaps"
    length = count_frames(rows.stop - rows.start)
    return f"{features.visibility_source} {visibility:.2f} for {length}; {free}"


def _unexplained_switch_evidence(case: IdSwitches, index: int) -> str:
    if case.gap.lengths[index]:
        return _unexplained_evidence(case, index)
    visibility = case.features.visibility[case.after[index]]
    return f"between successive matches, {case.features.visibility_source} {visibility:.2f}"


def _always(case: LostTracks) -> Mask:
    return np.ones(len(case.gap), np.bool_)


_GT_GAP: Rule[LostTracks] = Rule(
    "gt gap",
    _is_gt_gap,
    lambda case, index: (
        f"the gt track has no boxes in {count_frames(case.frames_without_gt[index])} in between"
    ),
)
_TRACK_START: Rule[LostTracks] = Rule(
    "track start",
    lambda case: np.asarray(case.age <= case.soon),
    lambda case, index: f"within the first {count_frames(case.age[index])} of the gt track",
)
_TRACK_END: Rule[LostTracks] = Rule(
    "track end",
    lambda case: np.asarray(case.remaining <= case.soon),
    lambda case, index: f"within the last {count_frames(case.remaining[index])} of the gt track",
)
_CAMERA_MOTION = Rule("camera motion", _has_camera_motion, _camera_motion_evidence)
_LOCALIZATION: Rule[LostTracks] = Rule(
    "localization",
    lambda case: in_most_rows(case.gap, case.features.free_iou >= NEAR_IOU),
    _localization_evidence,
)
_LOW_SCORE: Rule[LostTracks] = Rule(
    "low score",
    lambda case: np.asarray(case.scores < case.features.low_score),
    _low_score_evidence,
)
LOST_TRACK_RULES: tuple[Rule[LostTracks], ...] = (
    _GT_GAP,
    Rule(
        "occlusion",
        lambda case: in_most_rows(case.gap, case.occluded),
        _occlusion_evidence,
    ),
    _TRACK_START,
    _TRACK_END,
    _CAMERA_MOTION,
    _LOCALIZATION,
    _LOW_SCORE,
    Rule("unexplained", _always, _unexplained_evidence),
)
ID_SWITCH_RULES: tuple[Rule[IdSwitches], ...] = (
    _GT_GAP,
    Rule("occlusion", _is_any_occluded, _any_occlusion_evidence),
    _TRACK_START,
    _TRACK_END,
    _CAMERA_MOTION,
    Rule(
        "id swap",
        lambda case: np.asarray((case.swaps.previous_owner >= 0) | (case.swaps.next_owner >= 0)),
        lambda case, index: "",  # IdSwaps.describe gives it for every cause
    ),
    _LOCALIZATION,
    _LOW_SCORE,
    Rule("unexplained", _always, _unexplained_switch_evidence),
)
