"""Kinds of errors that can be suspected without ground truth, and how each is found.

Lengths are in box heights and times in seconds, so that the resolution, the frame rate and the
distance from the camera do not matter.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.trajectories import (
    MotionFits,
    Pairs,
    Trajectories,
    Values,
    norms,
    touching_pairs,
    trust_weights,
)
from mot.types import IntArray

Box = tuple[float, float, float, float]
_MIN_DUPLICATE_BOXES = 3  # at any frame rate


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Thresholds, tuned on ground truth, on results with artificial errors, and on trackers."""

    # Continuation of trajectories
    window: float = 0.5  # seconds before and after a box, for motion fits
    max_error: float = 0.1  # heights: prediction error that box noise explains
    max_error_rate: float = 0.35  # heights per second more: people turn and stop
    max_size_ratio: float = 1.22  # of heights; costs as much as `max_error`
    shake_factor: float = 2.0  # times the prediction error of the median track, due to the camera
    # Switches and restarts, in costs: 1 is at the limit of what is plausible
    end_cost: float = 0.85  # of a trajectory that ends or begins in view
    min_margin: float = 0.75  # by which swapped ids must be cheaper
    reach: float = 0.75  # heights between the centers of tracks that can be confused
    max_restart: float = 2.0  # seconds between the end of a track and its restart
    # Teleports and jumps
    teleport: float = 1.0  # heights in no time; box noise is a tenth of that
    teleport_rate: float = 4.0  # heights per second more; a sprinter's speed is 5
    jump: float = 0.25  # heights in no time: weighed together with size and appearance
    jump_rate: float = 1.0  # heights per second more
    # Duplicates
    duplicate_iou: float = 0.7  # rare between two people, frequent between two detections of one
    duplicate_break: float = 0.2  # seconds for which the overlap may be interrupted
    min_duplicate: float = 0.4  # seconds of overlap
    min_duplicate_fraction: float = 0.4  # of the shorter track
    min_long_duplicate: float = 5.0  # seconds of overlap, if it is a smaller fraction
    # Lengths of tracks
    spacing: float = 0.5  # seconds within which one error per id is reported
    min_gap: float = 0.5  # seconds without a box
    min_length: float = 0.5  # seconds; shorter tracks are often false positives


@dataclass(frozen=True, slots=True)
class SuspectedError:
    """A suspected error, to be checked by a person."""

    kind: str
    frame: int  # the first that shows it
    ids: tuple[int, ...]
    boxes: tuple[Box, ...]  # xywh: of each id the last before and the first after, where it has
    strength: float  # in units of the threshold, from 1
    note: str  # one sentence


def box_of(trajectories: Trajectories, row: int) -> Box:
    left, top, width, height = (round(value, 2) for value in trajectories.xywh[row].tolist())
    return left, top, width, height


class ReportedErrors:
    """The times at which errors of each id were reported, so that each error is reported once."""

    def __init__(self, spacing: int) -> None:
        """`spacing`: frames within which one error per id is reported."""
        self._spacing = spacing
        self._frames: defaultdict[int, list[int]] = defaultdict(list)

    def is_free(self, track_id: int, frame: int) -> bool:
        """Whether no error of the id was reported near this frame."""
        frames = self._frames[track_id]
        index = bisect_left(frames, frame - self._spacing)
        return index == len(frames) or frames[index] > frame + self._spacing

    def add(self, track_id: int, frame: int) -> None:
        insort(self._frames[track_id], frame)


def jump_distances(trajectories: Trajectories, before: MotionFits, after: MotionFits) -> Values:
    """(S,) pixels of each step from the predicted position.

    The prediction averages the motion before and the motion after, weighted by the trust in them.
    If the last position is nearer, it counts instead: an unreliable speed makes no jump.
    """
    here, there = trajectories.steps, trajectories.steps + 1
    times, centers = trajectories.frames / trajectories.fps, trajectories.centers
    forwards = norms(before.predict(here, times[there])[:, :2] - centers[there])
    backwards = norms(after.predict(there, times[here])[:, :2] - centers[here])
    weight = trust_weights(before, after, here, there)
    predicted = weight * forwards + (1 - weight) * backwards
    distances: Values = np.minimum(predicted, norms(centers[there] - centers[here]))
    return distances


def find_teleports(
    trajectories: Trajectories,
    jumps: Values,
    shake: Values,
    reported: ReportedErrors,
    settings: QualitySettings,
) -> list[SuspectedError]:
    """Ids that move faster than a person can; a jump there and back counts once."""
    here, there = trajectories.steps, trajectories.steps + 1
    height = np.maximum(trajectories.heights[here], trajectories.heights[there])
    limit = height * (settings.teleport + settings.teleport_rate * trajectories.step_seconds)
    strength = jumps / (limit + settings.shake_factor * shake[there])
    moved = norms(trajectories.centers[there] - trajectories.centers[here]) / height
    found = []
    for step, row, number, frame in unreported_steps(trajectories, strength, reported):
        note = f"moves {moved[step]:.1f} heights in {duration(trajectories, row, row + 1)}"
        pair = box_of(trajectories, row), box_of(trajectories, row + 1)
        found.append(
            SuspectedError("teleport", frame, (number,), pair, float(strength[step]), note)
        )
    return found


def unreported_steps(
    trajectories: Trajectories, strength: Values, reported: ReportedErrors
) -> Iterator[tuple[int, int, int, int]]:
    """(step, row, id, frame) of steps of strength 1 or more, strongest first; marks them."""
    over = np.flatnonzero(strength >= 1)
    for step in over[np.argsort(-strength[over], kind="stable")].tolist():
        row = int(trajectories.steps[step])
        number, frame = int(trajectories.ids[row]), int(trajectories.frames[row + 1])
        if reported.is_free(number, frame):
            reported.add(number, frame)
            yield step, row, number, frame


def duration(trajectories: Trajectories, first: int, second: int) -> str:
    """The time between two rows as text."""
    frames = int(trajectories.frames[second] - trajectories.frames[first])
    seconds = frames / trajectories.fps
    if seconds >= 1 or frames > 5:
        return f"{seconds:.1f} s"
    return f"{frames} frame{'' if frames == 1 else 's'}"


def find_duplicates(trajectories: Trajectories, settings: QualitySettings) -> list[SuspectedError]:
    """Two ids on one object: pairs that overlap much for some time, one per run."""
    first, second = _overlapping_pairs(trajectories, settings.duplicate_iou)
    if not len(first):
        return []
    max_break = max(trajectories.to_frames(settings.duplicate_break), trajectories.cadence)
    starts, ends = _find_runs(trajectories, first, second, max_break)
    frames = trajectories.frames[first]
    spans = frames[ends] - frames[starts] + trajectories.cadence
    seconds = spans / trajectories.fps
    track_boxes = np.repeat(trajectories.lengths, trajectories.lengths)
    shorter = np.minimum(track_boxes[first[starts]], track_boxes[second[starts]])
    is_large_part = (ends + 1 - starts) / shorter >= settings.min_duplicate_fraction
    limit = np.where(is_large_part, settings.min_duplicate, settings.min_long_duplicate)
    strength = seconds / np.maximum(limit, _MIN_DUPLICATE_BOXES * trajectories.cadence_seconds)
    return [
        SuspectedError(
            "duplicate",
            int(trajectories.frames[one]),
            (int(trajectories.ids[one]), int(trajectories.ids[other])),
            (box_of(trajectories, one), box_of(trajectories, other)),
            value,
            f"overlap for {seconds[run]:.1f} s",
        )
        for run, value in enumerate(strength.tolist())
        if value >= 1
        for one, other in ((int(first[starts[run]]), int(second[starts[run]])),)
    ]


def _find_runs(
    trajectories: Trajectories, first: IntArray, second: IntArray, max_break: int
) -> Pairs:
    """First and last index of the runs of each pair of ids."""
    ids, frames = trajectories.ids, trajectories.frames
    change = (np.diff(ids[first]) != 0) | (np.diff(ids[second]) != 0)
    change |= np.diff(frames[first]) > max_break
    starts = np.flatnonzero(np.concatenate([[True], change]))
    return starts, np.append(starts[1:], len(first)) - 1


def _overlapping_pairs(trajectories: Trajectories, min_iou: float) -> Pairs:
    """The pairs of rows of at least this IoU, the lower id first, sorted by ids and frame."""
    xyxy, ids = trajectories.xyxy, trajectories.ids
    found = [(np.zeros(0, np.int64),) * 2]
    for first, second in touching_pairs(trajectories.frames, xyxy):
        close = boxes.paired_iou(xyxy[first], xyxy[second]) >= min_iou
        found.append((first[close], second[close]))
    pairs = np.stack([np.concatenate(part) for part in zip(*found, strict=True)])
    first, second = np.sort(pairs, axis=0)  # rows are sorted by id
    order = np.lexsort((first, ids[second], ids[first]))
    return first[order], second[order]


def find_gaps(trajectories: Trajectories, settings: QualitySettings) -> list[SuspectedError]:
    """Tracks without a box for a while."""
    away = trajectories.step_seconds - trajectories.cadence_seconds
    return [
        SuspectedError(
            "gap",
            int(trajectories.frames[row]) + trajectories.cadence,
            (int(trajectories.ids[row]),),
            (box_of(trajectories, row), box_of(trajectories, row + 1)),
            float(away[step] / settings.min_gap),
            f"no box for {away[step]:.1f} s",
        )
        for step in np.flatnonzero(away >= settings.min_gap).tolist()
        for row in (int(trajectories.steps[step]),)
    ]


def find_short(
    trajectories: Trajectories, last_frame: int, settings: QualitySettings
) -> list[SuspectedError]:
    """Short tracks, except those at the start or the end of the recording."""
    first_frames = trajectories.frames[trajectories.firsts]
    last_frames = trajectories.frames[trajectories.lasts]
    cadence = trajectories.cadence
    lengths = (last_frames - first_frames + cadence) / trajectories.fps
    is_complete = (first_frames > cadence) & (last_frames <= last_frame - cadence)
    return [
        SuspectedError(
            "short",
            int(first_frames[track]),
            (int(trajectories.ids[first]),),
            (box_of(trajectories, first), box_of(trajectories, last)),
            float(settings.min_length / lengths[track]),
            f"only {lengths[track]:.2g} s long",
        )
        for track in np.flatnonzero(is_complete & (lengths < settings.min_length)).tolist()
        for first, last in ((int(trajectories.firsts[track]), int(trajectories.lasts[track])),)
    ]
