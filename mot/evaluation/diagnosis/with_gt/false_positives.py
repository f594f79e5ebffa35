"""Why boxes of a result are on nobody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import Lives, ResultClues, Spans
from mot.evaluation.diagnosis.with_gt.rules import (
    NEAR,
    OVERLAP,
    SOON,
    Rule,
    frames,
    mean_of_flagged,
    mostly,
)
from mot.evaluation.scene import Mask, Values
from mot.types import IntArray


@dataclass(frozen=True, eq=False)
class Alarms:
    """Runs of a tracked id's boxes that are matched to nobody."""

    clues: ResultClues
    people: Lives  # of the truth
    run: Spans
    person_before: IntArray  # (S,) to whom the id was last matched, by number; -1: to nobody
    person_after: IntArray  # (S,) to whom it is matched next; -1: to nobody

    @cached_property
    def is_short(self) -> Mask:
        return np.asarray(self.run.lengths <= SOON * self.clues.fps)

    @cached_property
    def present(self) -> IntArray:
        """(S,) boxes in the truth, while the run lasts, of the person matched before it."""
        moments = self.clues.lives.frames
        first, last = moments[self.run.first], moments[self.run.end - 1]
        return self.people.spans(self.person_before, first, last).lengths

    @cached_property
    def scores(self) -> Values:
        return self.run.mean(self.clues.score)


def _is_uncounted(case: Alarms) -> Mask:
    return mostly(case.run, case.clues.uncounted >= OVERLAP)


def _uncounted(case: Alarms, index: int) -> str:
    overlap = case.clues.uncounted
    seen = mean_of_flagged(case.run, index, overlap, overlap >= OVERLAP)
    return f"overlaps a row of the ground truth that does not count by {seen}"


def _is_duplicate(case: Alarms) -> Mask:
    return mostly(case.run, case.clues.taken_overlap >= OVERLAP)


def _duplicate(case: Alarms, index: int) -> str:
    overlap = case.clues.taken_overlap
    seen = mean_of_flagged(case.run, index, overlap, overlap >= OVERLAP)
    return f"overlaps a person who has another id by {seen}"


def _is_off(case: Alarms) -> Mask:
    return mostly(case.run, case.clues.overlap >= NEAR)


def _off(case: Alarms, index: int) -> str:
    overlap = case.clues.overlap
    seen = mean_of_flagged(case.run, index, overlap, overlap >= NEAR)
    return f"overlaps a person who has no box by only {seen}"


def _is_early(case: Alarms) -> Mask:
    return (case.person_before < 0) & (case.person_after >= 0) & case.is_short


def _birth(case: Alarms, index: int) -> str:
    person = case.people.side.names[case.person_after[index]]
    return f"{frames(case.run.lengths[index])} before the id's first match, with person {person}"


def _is_late(case: Alarms) -> Mask:
    return (case.person_before >= 0) & (case.person_after < 0) & case.is_short


def _death(case: Alarms, index: int) -> str:
    person = case.people.side.names[case.person_before[index]]
    return f"{frames(case.run.lengths[index])} after the id's last match, with person {person}"


def _is_between(case: Alarms) -> Mask:
    return np.asarray((case.person_before >= 0) & (case.person_after >= 0))


def _is_absent(case: Alarms) -> Mask:
    """The id follows the same person before and after, and the truth has a gap."""
    same = _is_between(case) & (case.person_before == case.person_after)
    return np.asarray(same & (case.present <= case.run.lengths / 2))


def _absence(case: Alarms, index: int) -> str:
    person, length = case.people.side.names[case.person_before[index]], case.run.lengths[index]
    return (
        f"follows person {person} before and after, who is in the ground truth "
        f"in {case.present[index]} of {frames(length)}"
    )


def _drift(case: Alarms, index: int) -> str:
    before, after = (
        case.people.side.names[person[index]] for person in (case.person_before, case.person_after)
    )
    return f"{frames(case.run.lengths[index])} on its way from person {before} to person {after}"


def _is_weak(case: Alarms) -> Mask:
    return np.asarray(case.scores < case.clues.low_score)


def _weak(case: Alarms, index: int) -> str:
    return (
        f"score {case.scores[index]:.2f} on average; "
        f"nine in ten of the boxes have {case.clues.low_score:.2f} or more"
    )


def _background(case: Alarms, index: int) -> str:
    rows = slice(case.run.first[index], case.run.end[index])
    near = np.maximum(case.clues.overlap[rows], case.clues.taken_overlap[rows]).max()
    return f"overlaps nobody by over {near:.2f} for {frames(rows.stop - rows.start)}"


ALARMS: tuple[Rule[Alarms], ...] = (
    Rule("unscored", _is_uncounted, _uncounted),
    Rule("duplicate", _is_duplicate, _duplicate),
    Rule("localisation", _is_off, _off),
    Rule("birth", _is_early, _birth),
    Rule("death", _is_late, _death),
    Rule("absence", _is_absent, _absence),
    Rule("drift", _is_between, _drift),
    Rule("low score", _is_weak, _weak),
    Rule("background", lambda case: np.ones(len(case.run), np.bool_), _background),
)
