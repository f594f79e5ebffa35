"""Explain the matching of a track in one frame, from a trace of the stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot.trackers.appearance import APPEARANCE, CHI2_95
from mot.trackers.stages import Cost, CostTerms, Stage, Trace
from mot.types import Tracks

_INFINITE = float("inf")
_TOLERANCE = 1e-5  # larger than the float32 error of a cost


@dataclass(frozen=True, slots=True)
class Basis:
    """The terms of one cost."""

    overlap: float  # 1 - IoU
    appearance: float | None  # cosine distance; infinite: the track has no embedding
    motion: float | None  # squared Mahalanobis distance, if the method uses it
    rule: str  # formula of the cost; the reason if it is infinite

    def texts(self) -> dict[str, str]:
        """The distances by name, formatted; empty where one is missing."""
        return {
            "appearance": _text(self.appearance, 3),
            "motion": _text(self.motion, 1),
            "1 - IoU": _text(self.overlap, 3),
        }


def _text(distance: float | None, digits: int) -> str:
    is_known = distance is not None and distance < _INFINITE
    return f"{distance:.{digits}f}" if is_known else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate detection of a track in one stage."""

    row: int  # of the frame's detections
    cost: float  # infinite: ruled out by a gate
    took_part: bool  # false: matched in an earlier stage, or of a score that this one excludes
    owner: int | None  # id of the track matched to it, here or before; 0: a track without an id
    chosen: bool
    basis: Basis | None = None  # terms of the cost


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one stage for a track."""

    stage: str
    limit: float
    took_part: bool
    candidates: list[Candidate]  # cheapest first
    omitted: int  # number of more expensive candidates left out
    reason: str


def find_track(trace: Trace, tracks: Tracks, track_id: int) -> int | None:
    """Row of a track in the costs of a trace; a track that got its id in this frame is found by
    its detection. None for a track spawned in this frame, or not alive."""
    known = np.flatnonzero(trace.ids == track_id)
    if len(known):
        return int(known[0])
    matched = tracks.detections[tracks.ids == track_id]
    for stage in trace.stages:
        for track, found in zip(*stage.pairs, strict=True):
            if trace.rows[found] in matched:
                return int(track)
    return None


def find_detection(trace: Trace, tracks: Tracks, track_id: int) -> int | None:
    """Row of the detection that a track was matched to, or spawned from; None if there is none."""
    track = find_track(trace, tracks, track_id)
    if track is None:
        spawned_from = tracks.detections[tracks.ids == track_id].tolist()
        return next((row for row in spawned_from if row >= 0), None)
    for stage in trace.stages:
        found = stage.pairs[1][stage.pairs[0] == track]
        if len(found):
            return int(trace.rows[found[0]])
    return None


def explain_stages(trace: Trace, track: int, max_candidates: int = 5) -> Iterator[Verdict]:
    """The result of each stage for a track (a row of the costs), until it is matched."""
    owners: dict[int, int] = {}  # column of a detection -> track matched to it so far
    for stage in trace.stages:
        owners |= dict(zip(stage.pairs[1].tolist(), stage.pairs[0].tolist(), strict=True))
        candidates = _candidates(trace, stage, track, owners)
        took_part = bool((stage.tracks == track).any())
        reason = _reason(stage, took_part, candidates)
        shown = [c for index, c in enumerate(candidates) if index < max_candidates or c.chosen]
        omitted = len(candidates) - len(shown)
        yield Verdict(stage.name, stage.limit, took_part, shown, omitted, reason)
        if any(candidate.chosen for candidate in candidates):
            return


def _candidates(trace: Trace, stage: Stage, track: int, owners: dict[int, int]) -> list[Candidate]:
    """Cheapest first: those of this stage, and those below its limit that were matched before."""
    present = set(stage.found.tolist())
    costs = stage.cost[track].tolist()
    basis = [_basis(trace.terms, stage, track, column) for column in range(len(costs))]
    order = sorted(
        range(len(costs)), key=lambda column: (costs[column], *_tie_breaker(basis[column]))
    )
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


def _tie_breaker(basis: Basis | None) -> tuple[float, float]:
    """Order of equal costs, as of pairs that a gate rules out: by appearance, then by overlap."""
    if basis is None:
        return 0.0, 0.0
    return (_INFINITE if basis.appearance is None else basis.appearance), basis.overlap


def _basis(terms: CostTerms | None, stage: Stage, track: int, column: int) -> Basis | None:
    if terms is None:
        return None
    cost = float(stage.cost[track, column])
    overlap = float(terms.overlap[track, column])
    appearance, motion = (_at(part, track, column) for part in (terms.appearance, terms.motion))
    if cost == _INFINITE:
        return Basis(overlap, appearance, motion, _gate(stage, overlap, appearance, motion))
    if abs(cost - overlap) <= _TOLERANCE or appearance is None:
        return Basis(overlap, appearance, motion, "overlap")
    return Basis(overlap, appearance, motion, _rule(cost, appearance, motion, terms))


def _at(part: Cost | None, track: int, column: int) -> float | None:
    return None if part is None else float(part[track, column])


def _gate(stage: Stage, overlap: float, appearance: float | None, motion: float | None) -> str:
    """The gate that a pair failed."""
    if overlap == _INFINITE:
        return "another class"
    if not stage.name.startswith(APPEARANCE):
        return "no overlap" if overlap >= 1 else "too little overlap"
    if motion is not None and motion > CHI2_95:
        return f"motion over {CHI2_95:.1f}"
    return "no embedding" if appearance == _INFINITE else "another match is nearly as good"


def _rule(cost: float, appearance: float, motion: float | None, terms: CostTerms) -> str:
    """The formula of a cost, inferred from its value: a method may choose it pair by pair."""
    weight = terms.appearance_weight
    mixed = weight * appearance + (1 - weight) * (motion or 0.0)
    if not abs(cost - mixed) <= _TOLERANCE * max(1.0, abs(cost)):
        return (
            f"overlap + {terms.appearance_share:g} appearance"
            if terms.appearance_share
            else "overlap"
        )
    share = "appearance" if weight == 1 else f"{weight:g} appearance"
    return share if motion is None or weight == 1 else f"{share} + {1 - weight:g} motion"


def outcome(candidate: Candidate) -> str:
    """What happened to a candidate, in a few words; empty if it was not matched at all."""
    if candidate.chosen:
        return "chosen"
    if not candidate.took_part:
        matched = candidate.owner is not None
        return f"went to {_name(candidate.owner)} before" if matched else "not in this stage"
    if candidate.cost == _INFINITE:
        return f"ruled out: {candidate.basis.rule}" if candidate.basis else "ruled out"
    return "" if candidate.owner is None else f"went to {_name(candidate.owner)}"


def _reason(stage: Stage, took_part: bool, candidates: list[Candidate]) -> str:
    """The cause of a stage's result, and the limit that would have changed it."""
    if not took_part:
        return "the track took no part: it was matched before, or is in another state"
    present = [candidate for candidate in candidates if candidate.took_part]
    if not present:
        return "no detection took part in this stage"
    chosen = next((candidate for candidate in present if candidate.chosen), None)
    if chosen:
        return _reason_of_match(stage, chosen, present)
    best = present[0]
    if best.cost == _INFINITE:
        return "every detection is ruled out by a gate, or does not overlap at all"
    if best.cost < stage.limit:
        return (
            f"detection {best.row} is below the limit at {best.cost:.3f}, but went to "
            f"{_name(best.owner)}: this minimizes the total cost of all pairs"
        )
    free = next((c for c in present if c.owner is None and c.cost < _INFINITE), None)
    over = f"the cheapest costs {best.cost:.3f}, over the limit by {best.cost - stage.limit:.3f}"
    if free is None:
        return f"{over}; all detections within the gates went to other tracks"
    which = "it" if free is best else f"detection {free.row}, which no track got,"
    return f"{over}: a limit above {free.cost:.3f} would have let {which} be matched"


def _reason_of_match(stage: Stage, chosen: Candidate, present: list[Candidate]) -> str:
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
    return f"detection {chosen.row}, {margin}; there is no other candidate"


def _name(owner: int | None) -> str:
    if owner is None:
        return "no track"
    return f"track {owner}" if owner else "a track without an id yet"
