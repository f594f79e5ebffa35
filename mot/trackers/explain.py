"""Why a track was, or was not, matched in a frame: read from a trace of the stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot.trackers.appearance import APPEARANCE, CHI2_95
from mot.trackers.stages import Cost, Parts, Stage, Trace
from mot.types import Tracks

_INFINITE = float("inf")
_SAME = 1e-5  # more than a cost errs in float32


@dataclass(frozen=True, slots=True)
class Basis:
    """What one cost rests on."""

    overlap: float  # 1 - IoU
    looks: float | None  # the cosine distance; infinite: the track remembers nothing
    motion: float | None  # the squared Mahalanobis distance, where the method uses it
    rule: str  # what the cost is made of; where it is infinite, why

    def texts(self) -> dict[str, str]:
        """The distances by name, as one reads them; empty where there is none."""
        return {
            "appearance": _text(self.looks, 3),
            "motion": _text(self.motion, 1),
            "1 - IoU": _text(self.overlap, 3),
        }


def _text(distance: float | None, digits: int) -> str:
    is_known = distance is not None and distance < _INFINITE
    return f"{distance:.{digits}f}" if is_known else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One detection as one stage saw it for a track."""

    row: int  # of the frame's detections
    cost: float  # infinite: ruled out by a gate
    took_part: bool  # false: another stage, or score, kept it out of this one
    owner: int | None  # the id of the track that got it, here or before; 0: one without an id yet
    chosen: bool
    basis: Basis | None = None  # beside the cost


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one stage did with a track."""

    stage: str
    limit: float
    took_part: bool
    candidates: list[Candidate]  # the cheapest first
    hidden: int  # dearer ones
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


def row_of(trace: Trace, tracks: Tracks, track_id: int) -> int | None:
    """The detection that a track got, or was born of."""
    track = track_index(trace, tracks, track_id)
    if track is None:
        born_of = tracks.detections[tracks.ids == track_id].tolist()
        return next((row for row in born_of if row >= 0), None)
    for stage in trace.stages:
        found = stage.pairs[1][stage.pairs[0] == track]
        if len(found):
            return int(trace.rows[found[0]])
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
        hidden = len(candidates) - len(shown)
        yield Verdict(stage.name, stage.limit, took_part, shown, hidden, reason)
        if any(candidate.chosen for candidate in candidates):
            return


def _candidates(trace: Trace, stage: Stage, track: int, owners: dict[int, int]) -> list[Candidate]:
    """The cheapest first: those of this stage, and those under its limit that are gone already."""
    present = set(stage.found.tolist())
    costs = stage.cost[track].tolist()
    basis = [_basis(trace.parts, stage, track, column) for column in range(len(costs))]
    order = sorted(range(len(costs)), key=lambda column: (costs[column], *_nearness(basis[column])))
    return [
        Candidate(
            row=int(trace.rows[column]),
            cost=costs[column],
            took_part=column in present,
            owner=int(trace.ids[owners[column]]) if column in owners else None,
            chosen=owners.get(column) == track,
            basis=basis[column],
        )
        for column in order
        if column in present or costs[column] < stage.limit
    ]


def _nearness(basis: Basis | None) -> tuple[float, float]:
    """Of those that cost the same: the gated ones."""
    if basis is None:
        return 0.0, 0.0
    return (_INFINITE if basis.looks is None else basis.looks), basis.overlap


def _basis(parts: Parts | None, stage: Stage, track: int, column: int) -> Basis | None:
    if parts is None:
        return None
    cost = float(stage.cost[track, column])
    overlap = float(parts.overlap[track, column])
    looks, motion = (_at(part, track, column) for part in (parts.looks, parts.motion))
    if cost == _INFINITE:
        return Basis(overlap, looks, motion, _why_out(stage, overlap, looks, motion))
    if abs(cost - overlap) <= _SAME or looks is None:
        return Basis(overlap, looks, motion, "overlap")
    return Basis(overlap, looks, motion, _rule(cost, looks, motion, parts))


def _at(part: Cost | None, track: int, column: int) -> float | None:
    return None if part is None else float(part[track, column])


def _why_out(stage: Stage, overlap: float, looks: float | None, motion: float | None) -> str:
    """The gate that a pair did not pass."""
    if overlap == _INFINITE:
        return "another class"
    if not stage.name.startswith(APPEARANCE):
        return "no overlap" if overlap >= 1 else "too little overlap"
    if motion is not None and motion > CHI2_95:
        return f"motion over {CHI2_95:.1f}"
    return "no looks remembered" if looks == _INFINITE else "another one is nearly as like"


def _rule(cost: float, looks: float, motion: float | None, parts: Parts) -> str:
    """What a cost is made of; it says so itself, since methods choose pair by pair."""
    weight = parts.appearance_weight
    mixed = weight * looks + (1 - weight) * (motion or 0.0)
    if not abs(cost - mixed) <= _SAME * max(1.0, abs(cost)):
        return (
            f"overlap + {parts.appearance_share:g} appearance"
            if parts.appearance_share
            else "overlap"
        )
    share = "appearance" if weight == 1 else f"{weight:g} appearance"
    return share if motion is None or weight == 1 else f"{share} + {1 - weight:g} motion"


def fate(candidate: Candidate) -> str:
    """What became of a detection, in a few words."""
    if candidate.chosen:
        return "chosen"
    if not candidate.took_part:
        gone = candidate.owner is not None
        return f"went to {_name(candidate.owner)} before" if gone else "not in this stage"
    if candidate.cost == _INFINITE:
        return f"ruled out: {candidate.basis.rule}" if candidate.basis else "ruled out"
    return "" if candidate.owner is None else f"went to {_name(candidate.owner)}"


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
    if best.cost == _INFINITE:
        return "every detection is ruled out by a gate, or does not overlap at all"
    if best.cost < stage.limit:
        return (
            f"detection {best.row} would do at {best.cost:.3f}, but went to "
            f"{_name(best.owner)}: together the tracks are matched cheaper so"
        )
    free = next((c for c in present if c.owner is None and c.cost < _INFINITE), None)
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
    if others and others[0].cost < _INFINITE:
        lead = others[0].cost - chosen.cost
        return f"detection {chosen.row}, {margin}, and {lead:.3f} cheaper than the next"
    return f"detection {chosen.row}, {margin}; no other came near"


def _name(owner: int | None) -> str:
    if owner is None:
        return "nobody"
    return f"track {owner}" if owner else "a track without an id yet"
