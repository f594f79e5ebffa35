"""What can be wrong with a result, seen without ground truth: each kind and how it is found.

Lengths are in heights of the person and times in seconds, so that neither the resolution nor the
frame rate nor the distance from the camera matters.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.trajectories import (
    Motions,
    Pairs,
    Paths,
    Values,
    distance,
    share_of_trust,
    touching,
)
from mot.types import IntArray

Box = tuple[float, float, float, float]
_LEAST_BOXES = 3  # of an overlap, however slow the frame rate is


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Measured on ground truth, on results with faults put in, and on results of trackers."""

    # How a path goes on
    window: float = 0.5  # seconds before and after, over which a motion is taken
    miss: float = 0.1  # heights that box noise may put a path off what its motion foretells
    miss_rate: float = 0.35  # heights a second more: people turn and stop
    size_ratio: float = 1.22  # between heights; weighs as much as a miss at its limit
    shake: float = 2.0  # times what the median person misses in a frame: the camera's doing
    # Suspected switches, in costs: 1 is a path at the limit of what is plausible
    end_cost: float = 0.85  # of a path that ends or begins in view
    lead: float = 0.75  # by which another course of events must be cheaper
    reach: float = 0.75  # heights between the centres of people who can be mistaken
    restart: float = 2.0  # seconds after which an end and a beginning have no more to do
    # Leaps
    leap: float = 1.0  # heights in no time, where boxes of one person err by a tenth of that
    leap_rate: float = 4.0  # heights a second more than foretold; a sprinter's speed is 5
    jump: float = 0.25  # heights in no time: a softer leap, weighed together with size and looks
    jump_rate: float = 1.0  # heights a second more
    # Duplicates
    duplicate_iou: float = 0.7  # two people are seldom so much in one place, detections often
    duplicate_break: float = 0.2  # seconds for which the overlap may be interrupted
    duplicate: float = 0.4  # seconds of overlap
    duplicate_share: float = 0.4  # of the shorter track; people who pass have other lives too
    duplicate_long: float = 5.0  # seconds of overlap where it is a smaller share of both tracks
    # Lives
    spacing: float = 0.5  # seconds within which an id is at fault once
    gap: float = 0.5  # seconds an id is away
    short: float = 0.5  # seconds; people are seldom seen for less, false alarms often


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something to look at."""

    kind: str
    frame: int  # the first that shows it
    ids: tuple[int, ...]
    boxes: tuple[Box, ...]  # xywh: of each id the last before and the first after, where it has
    value: float  # how strong, in units of the threshold; from 1
    note: str  # one sentence


def box_of(paths: Paths, row: int) -> Box:
    left, top, width, height = (round(value, 2) for value in paths.xywh[row].tolist())
    return left, top, width, height


class Claims:
    """Which ids are accounted for at which time, so that one fault is reported once."""

    def __init__(self, spacing: int) -> None:
        self._spacing = spacing  # frames, within which an id is at fault once
        self._frames: defaultdict[int, list[int]] = defaultdict(list)

    def is_free(self, number: int, frame: int) -> bool:
        frames = self._frames[number]
        place = bisect_left(frames, frame - self._spacing)
        return place == len(frames) or frames[place] > frame + self._spacing

    def add(self, number: int, frame: int) -> None:
        insort(self._frames[number], frame)


def leaps(paths: Paths, before: Motions, after: Motions) -> Values:
    """(S,) for each step, the pixels from where the box would be.

    It would be where the motion before leads, and where the motion after comes from, each by the
    trust in it; or where it was, if that is nearer: a speed that is badly known makes no leap.
    """
    here, there = paths.steps, paths.steps + 1
    times = paths.frames / paths.fps
    forwards = distance(before.at(here, times[there])[:, :2] - paths.places[there])
    backwards = distance(after.at(there, times[here])[:, :2] - paths.places[here])
    share = share_of_trust(before, after, here, there)
    foreseen = share * forwards + (1 - share) * backwards
    leap: Values = np.minimum(foreseen, distance(paths.places[there] - paths.places[here]))
    return leap


def find_teleports(
    paths: Paths, leap: Values, shake: Values, claims: Claims, settings: QualitySettings
) -> list[Suspicion]:
    """Ids that move as no person can; a leap there and back at once counts once."""
    here, there = paths.steps, paths.steps + 1
    height = np.maximum(paths.heights[here], paths.heights[there])
    limit = height * (settings.leap + settings.leap_rate * paths.step_seconds)
    strength = leap / (limit + settings.shake * shake[there])
    way = distance(paths.places[there] - paths.places[here]) / height
    found = []
    for step, row, number, frame in claimed_steps(paths, strength, claims):
        note = f"leaps {way[step]:.1f} heights in {time_of(paths, row, row + 1)}"
        pair = box_of(paths, row), box_of(paths, row + 1)
        found.append(Suspicion("teleport", frame, (number,), pair, float(strength[step]), note))
    return found


def claimed_steps(
    paths: Paths, strength: Values, claims: Claims
) -> Iterator[tuple[int, int, int, int]]:
    """Step, row, id and frame of the faults of one path each, from 1 on, the strongest first."""
    over = np.flatnonzero(strength >= 1)
    for step in over[np.argsort(-strength[over], kind="stable")].tolist():
        row = int(paths.steps[step])
        number, frame = int(paths.ids[row]), int(paths.frames[row + 1])
        if claims.is_free(number, frame):
            claims.add(number, frame)
            yield step, row, number, frame


def time_of(paths: Paths, first: int, second: int) -> str:
    """Between two rows, in words."""
    frames = int(paths.frames[second] - paths.frames[first])
    seconds = frames / paths.fps
    return f"{seconds:.1f} s" if seconds >= 1 or frames > 5 else counted(frames, "frame")


def counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def find_duplicates(paths: Paths, settings: QualitySettings) -> list[Suspicion]:
    """Two ids on one person: a pair that overlaps much for some time, once a run."""
    first, second = _overlapping(paths, settings.duplicate_iou)
    if not len(first):
        return []
    longest_break = max(paths.frames_in(settings.duplicate_break), paths.cadence)
    starts, ends = _runs(paths, first, second, longest_break)
    spans = paths.frames[first[ends]] - paths.frames[first[starts]] + paths.cadence
    seconds = spans / paths.fps
    track_boxes = np.repeat(paths.lengths, paths.lengths)
    shorter = np.minimum(track_boxes[first[starts]], track_boxes[second[starts]])
    mostly = (ends + 1 - starts) / shorter >= settings.duplicate_share
    limit = np.where(mostly, settings.duplicate, settings.duplicate_long)
    strength = seconds / np.maximum(limit, _LEAST_BOXES * paths.box_spacing)
    return [
        _duplicate(paths, int(first[starts[run]]), int(second[starts[run]]), seconds[run], value)
        for run, value in enumerate(strength.tolist())
        if value >= 1
    ]


def _runs(paths: Paths, first: IntArray, second: IntArray, longest_break: int) -> Pairs:
    """Where the runs of each pair of ids begin and end."""
    change = (np.diff(paths.ids[first]) != 0) | (np.diff(paths.ids[second]) != 0)
    change |= np.diff(paths.frames[first]) > longest_break
    starts = np.flatnonzero(np.concatenate([[True], change]))
    return starts, np.append(starts[1:], len(first)) - 1


def _overlapping(paths: Paths, least: float) -> Pairs:
    """The pairs of rows that overlap so much, the lower id first; by ids and frame."""
    xyxy = paths.xyxy
    found = [(np.zeros(0, np.int64),) * 2]
    for first, second in touching(paths.frames, xyxy):
        much = boxes.paired_iou(xyxy[first], xyxy[second]) >= least
        found.append((first[much], second[much]))
    pairs = np.stack([np.concatenate(part) for part in zip(*found, strict=True)])
    first, second = np.sort(pairs, axis=0)  # rows are in the order of their ids
    order = np.lexsort((first, paths.ids[second], paths.ids[first]))
    return first[order], second[order]


def _duplicate(paths: Paths, first: int, second: int, seconds: float, value: float) -> Suspicion:
    ids = int(paths.ids[first]), int(paths.ids[second])
    return Suspicion(
        "duplicate",
        int(paths.frames[first]),
        ids,
        (box_of(paths, first), box_of(paths, second)),
        value,
        f"in one place for {seconds:.1f} s",
    )


def find_gaps(paths: Paths, settings: QualitySettings) -> list[Suspicion]:
    away = paths.step_seconds - paths.box_spacing
    return [
        Suspicion(
            "gap",
            int(paths.frames[row]) + paths.cadence,
            (int(paths.ids[row]),),
            (box_of(paths, row), box_of(paths, row + 1)),
            float(away[step] / settings.gap),
            f"away for {away[step]:.1f} s",
        )
        for step in np.flatnonzero(away >= settings.gap).tolist()
        for row in (int(paths.steps[step]),)
    ]


def find_short(paths: Paths, last_frame: int, settings: QualitySettings) -> list[Suspicion]:
    """Tracks that come and go at once; those that the recording cuts off are not."""
    begun, ended = paths.frames[paths.firsts], paths.frames[paths.lasts]
    lives = (ended - begun + paths.cadence) / paths.fps
    is_whole = (begun > paths.cadence) & (ended <= last_frame - paths.cadence)
    return [
        Suspicion(
            "short",
            int(begun[track]),
            (int(paths.ids[first]),),
            (box_of(paths, first), box_of(paths, last)),
            float(settings.short / lives[track]),
            f"seen for {lives[track]:.2g} s only",
        )
        for track in np.flatnonzero(is_whole & (lives < settings.short)).tolist()
        for first, last in ((int(paths.firsts[track]), int(paths.lasts[track])),)
    ]
