"""Why a track was, or was not, matched in a frame: read from a trace of the stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot.trackers.stages import Stage, Trace
from mot.types import Tracks


@dataclass(frozen=True, slots=True)
class Candidate:
    """One detection as one stage saw it for a track."""

    row: int  # of the frame's detections
    cost: float  # infinite: ruled out by a gate
    took_part: bool  # false: another stage, or score, kept it out of this one
    owner: int | None  # the id of the track that got it, here or before; 0: one without an id yet
    chosen: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one stage did with a track."""

    stage: str
    limit: float
    took_part: bool
    candidates: list[Candidate]  # the cheapest first
    reason: str


def track_index(trace: Trace, tracks: Tracks, track_id: int) -> int | None:
    """Where a track stood when the frame was matched; one that got its id there, by what it got."""
    known = np.flatnonzero(trace.ids == track_id)
    if len(known):
        return int(known[0])
    mine = tracks.detections[tracks.ids == track_id]
    for stage in trace.stages:
        for track, found in zip(*stage.pairs, strict=True):
            if trace.rows[found] in mine:
                return int(track)
    return None


def verdicts(trace: Trace, track: int, most: int = 5) -> Iterator[Verdict]:
    """Stage by stage, until one decides."""
    owners: dict[int, int] = {}  # column of a detection -> the track that got it so far
    for stage in trace.stages:
        owners |= dict(zip(stage.pairs[1].tolist(), stage.pairs[0].tolist(), strict=True))
        candidates = _candidates(trace, stage, track, owners)
        took_part = bool((stage.tracks == track).any())
        reason = _reason(stage, took_part, candidates)
        shown = [c for place, c in enumerate(candidates) if place < most or c.chosen]
        yield Verdict(stage.name, stage.limit, took_part, shown, reason)
        if any(candidate.chosen for candidate in candidates):
            return


def _candidates(trace: Trace, stage: Stage, track: int, owners: dict[int, int]) -> list[Candidate]:
    """The cheapest first: those of this stage, and those under its limit that are gone already."""
    present = set(stage.found.tolist())
    costs = stage.cost[track].tolist()
    order = sorted(range(len(costs)), key=costs.__getitem__)
    return [
        Candidate(
            row=int(trace.rows[column]),
            cost=costs[column],
            took_part=column in present,
            owner=int(trace.ids[owners[column]]) if column in owners else None,
            chosen=owners.get(column) == track,
        )
        for column in order
        if column in present or costs[column] < stage.limit
    ]


def _reason(stage: Stage, took_part: bool, candidates: list[Candidate]) -> str:
    """What decided, and what would have had to differ."""
    if not took_part:
        return "the track took no part: it was matched before, or is in another state"
    present = [candidate for candidate in candidates if candidate.took_part]
    if not present:
        return "no detection took part in this stage"
    chosen = next((candidate for candidate in present if candidate.chosen), None)
    if chosen:
        return _why_chosen(stage, chosen, present)
    best = present[0]
    if best.cost == float("inf"):
        return "every detection is ruled out by a gate, or does not overlap at all"
    if best.cost < stage.limit:
        return (
            f"detection {best.row} would do at {best.cost:.3f}, but went to "
            f"{_name(best.owner)}: together the tracks are matched cheaper so"
        )
    free = next((c for c in present if c.owner is None and c.cost < float("inf")), None)
    over = f"the nearest costs {best.cost:.3f}, over the limit by {best.cost - stage.limit:.3f}"
    if free is None:
        return f"{over}; each was another track's"
    which = "it" if free is best else f"detection {free.row}, which nobody got,"
    return f"{over}: a limit above {free.cost:.3f} would have let {which} be matched"


def _why_chosen(stage: Stage, chosen: Candidate, present: list[Candidate]) -> str:
    margin = f"{stage.limit - chosen.cost:.3f} under the limit"
    cheaper = [candidate for candidate in present if candidate.cost < chosen.cost]
    if cheaper:
        return (
            f"detection {chosen.row}, {margin}; detection {cheaper[0].row} was cheaper by "
            f"{chosen.cost - cheaper[0].cost:.3f}, but went to {_name(cheaper[0].owner)}"
        )
    others = [candidate for candidate in present if not candidate.chosen]
    if others and others[0].cost < float("inf"):
        lead = others[0].cost - chosen.cost
        return f"detection {chosen.row}, {margin}, and {lead:.3f} cheaper than the next"
    return f"detection {chosen.row}, {margin}; no other came near"


def _name(owner: int | None) -> str:
    if owner is None:
        return "nobody"
    return f"track {owner}" if owner else "a track without an id yet"
