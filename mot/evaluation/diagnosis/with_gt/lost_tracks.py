"""Why people are missed, lost for a while, or followed on under another id.

What the files say for certain comes first, then what usually loses people (they are hidden, come or
go, the camera is shaken, ids are exchanged), then what is more of a symptom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import Spans, TruthClues
from mot.evaluation.diagnosis.with_gt.id_swaps import Exchanges
from mot.evaluation.diagnosis.with_gt.rules import NEAR, SOON, Rule, frames, mean_of_flagged, mostly
from mot.evaluation.scene import Mask, Values
from mot.types import IntArray

VISIBLE = 0.5  # who shows less is hidden: a detector sees another, smaller box, or nothing
JUST_BEFORE = 0.25  # seconds in which scores sink and people overlap before one is lost
AT_ONCE = 0.1  # seconds: a jolt misleads a motion model for the next few frames alone
# The camera is shaken where the people move by 0.1 heights in a frame, a quarter of their width,
# which alone makes an overlap of 1 one of 0.6, and three times as far as they usually do.
SHAKE, TIMES_USUAL = 0.1, 3.0


@dataclass(frozen=True, eq=False)
class Losses:
    """Gaps in the matches of people."""

    clues: TruthClues
    gap: Spans  # the rows without a match; none where two matches follow each other
    before: IntArray  # (S,) the row of the match before the gap; -1: none
    after: IntArray  # (S,) the row of the match after it; -1: none

    @cached_property
    def first(self) -> IntArray:
        """(S,) the frame of the last match or, without one, that of the first miss."""
        return self.clues.lives.frames[np.where(self.before >= 0, self.before, self.gap.first)]

    @cached_property
    def last(self) -> IntArray:
        """(S,) the frame of the next match or, without one, that of the last miss."""
        return self.clues.lives.frames[np.where(self.after >= 0, self.after, self.gap.end - 1)]

    @cached_property
    def age(self) -> IntArray:
        """(S,) of the person at the last frame."""
        lives = self.clues.lives
        return self.last - lives.frames[lives.begins[self.gap.first]] + 1

    @cached_property
    def left(self) -> IntArray:
        """(S,) frames from the first one to the end of the person's life."""
        lives = self.clues.lives
        return lives.frames[lives.ends[self.gap.first] - 1] - self.first + 1

    @cached_property
    def absent(self) -> IntArray:
        """(S,) the frames between two matches in which the ground truth has no box."""
        between = (self.before >= 0) & (self.after >= 0)
        return np.where(between, self.last - self.first - 1 - self.gap.lengths, 0)

    @cached_property
    def onset(self) -> Spans:
        """Up to the gap's first row or, where it has none, the match after it."""
        first = np.minimum(self._rows_before(AT_ONCE) + 1, self.gap.first)
        return Spans(first, self.gap.first + 1)

    @cached_property
    def around(self) -> Spans:
        """From just before the gap to the match after it."""
        end = np.where(self.after >= 0, self.after + 1, self.gap.end)
        return Spans(self._rows_before(JUST_BEFORE), end)

    def _rows_before(self, seconds: float) -> IntArray:
        """(S,) the row so long before the gap, one at least, within the person's life."""
        rows = max(1, round(seconds * self.clues.fps))
        return np.maximum(self.gap.first - rows, self.clues.lives.begins[self.gap.first])

    @cached_property
    def scores(self) -> Values:
        """(S,) of the matches around the gap; NaN where there are none."""
        return self.around.mean(self.clues.score)

    @cached_property
    def hidden(self) -> Mask:
        """(rows,)"""
        return self.clues.visible < VISIBLE

    @cached_property
    def usual_jolt(self) -> float:
        return float(np.median(self.clues.jolt)) if len(self.clues.jolt) else 0.0

    @property
    def soon(self) -> float:
        return SOON * self.clues.fps


@dataclass(frozen=True, eq=False)
class Switches(Losses):
    """Gaps, some of them of no row, after which the person has another id."""

    exchanges: Exchanges

    @cached_property
    def partners(self) -> Spans:
        """The rows, around each switch, of who gave the new id or got the old one."""
        giver, heir = self.exchanges.giver, self.exchanges.heir
        partner = np.where(giver >= 0, giver, heir)
        return self.clues.lives.spans(partner, self.first, self.last)


def _is_absent(case: Losses) -> Mask:
    return np.asarray((case.absent > 0) & (case.absent >= case.gap.lengths))


def _absence(case: Losses, index: int) -> str:
    return f"the ground truth leaves the person out for {frames(case.absent[index])} in between"


def _is_hidden(case: Losses) -> Mask:
    return mostly(case.gap, case.hidden)


def _hidden(case: Losses, index: int) -> str:
    seen = mean_of_flagged(case.gap, index, case.clues.visible, case.hidden)
    return f"{case.clues.measure} {seen}"


def _was_hidden(case: Switches) -> Mask:
    """At any time around the switch: the person, or the other one."""
    return (case.around.count(case.hidden) > 0) | (case.partners.count(case.hidden) > 0)


def _had_been_hidden(case: Switches, index: int) -> str:
    rows, whose = case.around, ""
    if not rows.count(case.hidden)[index]:
        rows = case.partners
        whose = f"person {case.clues.lives.names[rows.first[index]]}: "
    seen = mean_of_flagged(rows, index, case.clues.visible, case.hidden)
    return f"{whose}{case.clues.measure} {seen}"


def _is_new(case: Losses) -> Mask:
    return np.asarray(case.age <= case.soon)


def _birth(case: Losses, index: int) -> str:
    return f"within the person's first {frames(case.age[index])}"


def _is_going(case: Losses) -> Mask:
    return np.asarray(case.left <= case.soon)


def _death(case: Losses, index: int) -> str:
    return f"within the person's last {frames(case.left[index])}"


def _is_shaken(case: Losses) -> Mask:
    shaken = case.clues.jolt > max(SHAKE, TIMES_USUAL * case.usual_jolt)
    return np.asarray(case.onset.count(shaken) > 0)


def _shaken(case: Losses, index: int) -> str:
    jolt = case.clues.jolt[case.onset.first[index] : case.onset.end[index]].max()
    return (
        f"everybody moves by {jolt:.2f} heights from one frame to the next; "
        f"usual is {case.usual_jolt:.2f}"
    )


def _is_exchanged(case: Switches) -> Mask:
    return np.asarray((case.exchanges.giver >= 0) | (case.exchanges.heir >= 0))


def _is_off(case: Losses) -> Mask:
    return mostly(case.gap, case.clues.overlap >= NEAR)


def _off(case: Losses, index: int) -> str:
    overlap = case.clues.overlap
    return f"a box overlaps by only {mean_of_flagged(case.gap, index, overlap, overlap >= NEAR)}"


def _is_weak(case: Losses) -> Mask:
    return np.asarray(case.scores < case.clues.low_score)


def _weak(case: Losses, index: int) -> str:
    return (
        f"score {case.scores[index]:.2f} around it; "
        f"nine in ten of the boxes have {case.clues.low_score:.2f} or more"
    )


def _unexplained(case: Losses, index: int) -> str:
    rows = slice(case.gap.first[index], case.gap.end[index])
    visible, near = case.clues.visible[rows].mean(), case.clues.overlap[rows].max()
    near = (
        f"in which a free box overlaps by {near:.2f} at most" if near else "with no free box near"
    )
    return f"{case.clues.measure} {visible:.2f} for {frames(rows.stop - rows.start)} {near}"


def _from_match_to_match(case: Switches, index: int) -> str:
    if case.gap.lengths[index]:
        return _unexplained(case, index)
    visible = case.clues.visible[case.after[index]]
    return f"from one match to the next, {case.clues.measure} {visible:.2f}"


def _always(case: Losses) -> Mask:
    return np.ones(len(case.gap), np.bool_)


ABSENCE = Rule("absence", _is_absent, _absence)
BIRTH = Rule("birth", _is_new, _birth)
DEATH = Rule("death", _is_going, _death)
CAMERA_MOTION = Rule("camera motion", _is_shaken, _shaken)
LOCALISATION = Rule("localisation", _is_off, _off)
LOW_SCORE = Rule("low score", _is_weak, _weak)
LOSSES: tuple[Rule[Losses], ...] = (
    ABSENCE,
    Rule("occlusion", _is_hidden, _hidden),
    BIRTH,
    DEATH,
    CAMERA_MOTION,
    LOCALISATION,
    LOW_SCORE,
    Rule("unexplained", _always, _unexplained),
)
SWITCHES: tuple[Rule[Switches], ...] = (
    ABSENCE,
    Rule("occlusion", _was_hidden, _had_been_hidden),
    BIRTH,
    DEATH,
    CAMERA_MOTION,
    Rule("exchange", _is_exchanged, lambda case, index: ""),
    LOCALISATION,
    LOW_SCORE,
    Rule("unexplained", _always, _from_match_to_match),
)
