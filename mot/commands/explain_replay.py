"""A run of `mot track` made again up to a frame, to look at one track there."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from mot import boxes
from mot.cli.track import FollowOptions
from mot.commands.track import Plan, looks_at_pictures, observe
from mot.errors import MotError
from mot.trackers.base import Tracker
from mot.trackers.explain import row_of
from mot.trackers.stages import Trace
from mot.types import Detections, Frame, Image, Tracks

_KEPT = 12  # sights of a track


class Moment(NamedTuple):
    """A frame, how it was matched, and what came of it."""

    frame: Frame
    found: Detections
    trace: Trace
    tracks: Tracks


class Sight(NamedTuple):
    """A track as it was detected."""

    frame: int
    crop: Image


@dataclass(frozen=True, slots=True)
class Past:
    """How a track was detected before, since it has an id."""

    sights: tuple[Sight, ...]  # the last ones that there are pictures of
    count: int  # of all


def replay(
    plan: Plan, tracker: Tracker, options: FollowOptions, number: int, track_id: int, pictures: bool
) -> tuple[Moment, Past]:
    """The frame of this number, and what the track was like until then."""
    sights: deque[Sight] = deque(maxlen=_KEPT)
    count = 0
    with closing(_moments(plan, tracker, options, pictures)) as moments:
        for moment in takewhile(lambda moment: moment.frame.index <= number, moments):
            if moment.frame.index == number:
                return moment, Past(tuple(sights), count)
            row = row_of(moment.trace, moment.tracks, track_id)
            if row is not None:
                count += 1
                sights.extend(_sight(moment, row))
    raise MotError(
        f"{plan.job.name}: has no frame {number}, or --start, --end or --every leave it out"
    )


def _moments(
    plan: Plan, tracker: Tracker, options: FollowOptions, pictures: bool
) -> Generator[Moment, None, None]:
    with (
        plan.job.open(pictures or looks_at_pictures(plan, options)) as source,
        closing(observe(source, plan, tracker, options)) as observed,
    ):
        for frame, found in observed:
            tracker.trace = []
            tracks = tracker.update(found, frame)
            yield Moment(frame, found, tracker.trace[0], tracks)


def _sight(moment: Moment, row: int) -> list[Sight]:
    """None where there is no picture."""
    frame, box = moment.frame, moment.found.boxes[row : row + 1]
    if frame.image is None:
        return []
    return [Sight(frame.index, crop.copy()) for crop in boxes.cut_out(frame.image, box)]
