"""Every mistake of a result, one by one: where it is, whom it is about and what likely caused it.

The mistakes are those that CLEAR MOT counts: as many switches as IDSW and fragments as Frag, and
runs of misses and of false alarms that have FN and FP frames together.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.diagnosis.with_gt.false_positives import ALARMS, Alarms
from mot.evaluation.diagnosis.with_gt.features import (
    Lives,
    ResultClues,
    Spans,
    TruthClues,
    result_clues,
    truth_clues,
)
from mot.evaluation.diagnosis.with_gt.id_swaps import find_exchanges
from mot.evaluation.diagnosis.with_gt.lost_tracks import LOSSES, SWITCHES, Losses, Switches
from mot.evaluation.diagnosis.with_gt.rules import NEAR, SOON, decide
from mot.evaluation.loading import Loaded
from mot.evaluation.scene import BoxTable, Mask
from mot.evaluation.score import Matches
from mot.motfile import MotRows
from mot.types import IntArray

KINDS = {
    "switch": "a person goes on under another id",
    "fragment": "a person is followed again after some frames without a match",
    "miss": "a person has no box",
    "false_alarm": "a box is on nobody",
}
Box = tuple[float, float, float, float]  # left, top, width, height
_SIDES = ("left", "top", "width", "height")
_COLUMNS = (
    *("sequence", "kind", "cause", "first_frame", "last_frame", "frames"),
    *("truth_id", "result_id", "other_id"),
    *(f"{side}_{name}" for side in ("truth", "result") for name in _SIDES),
    "evidence",
)


@dataclass(frozen=True, slots=True)
class Event:
    """A mistake; ids are those of the files, frames those of the split, from 1.

    Of a switch or a fragment, `first_frame` has the match before it and `last_frame` the match
    after it, with the boxes of the latter. A miss or a false alarm is a whole run, with the boxes
    of its first frame; the other side's box is the one that overlaps it most, from 0.2 on.
    """

    kind: str
    first_frame: int
    last_frame: int
    frames: int  # of the run; of a switch or a fragment, those in between that are missed
    truth_id: int | None
    result_id: int | None
    other_id: int | None  # the id that the person had before; of a false alarm, the id he has
    truth_box: Box | None
    result_box: Box | None
    cause: str
    evidence: str

    @property
    def frame(self) -> int:
        """In which it happens, or begins; that of the boxes."""
        return self.last_frame if self.kind in ("switch", "fragment") else self.first_frame


def diagnose(loaded: Loaded, matches: Matches) -> list[Event]:
    """In the order of their frames."""
    scribe = _Scribe(loaded, matches, truth_clues(loaded, matches), result_clues(loaded, matches))
    events = [*scribe.switches(), *scribe.fragments(), *scribe.misses(), *scribe.false_alarms()]
    return sorted(events, key=lambda event: event.frame)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """The boxes that events show; of each side by number, -1: none."""

    truth: IntArray
    result: IntArray
    other: IntArray  # of the result, where the other id is


@dataclass(frozen=True, slots=True, eq=False)
class _Scribe:
    """Gathers the mistakes of each kind, has their causes decided and writes them down."""

    loaded: Loaded
    matches: Matches
    truth: TruthClues
    result: ResultClues

    def switches(self) -> list[Event]:
        clear, soon = self.matches.clear, SOON * self.truth.fps
        exchanges = find_exchanges(self.matches.scene, clear, soon)
        case = Switches(self.truth, *self._gaps_before(clear.is_switch), exchanges)
        causes = [
            (cause, "; ".join(filter(None, (evidence, exchanges.describe(index)))))
            for index, (cause, evidence) in enumerate(decide(SWITCHES, case))
        ]
        return self._ends_of_gaps("switch", case, causes)

    def fragments(self) -> list[Event]:
        case = Losses(self.truth, *self._gaps_before(self.matches.clear.is_fragment))
        return self._ends_of_gaps("fragment", case, decide(LOSSES, case))

    def misses(self) -> list[Event]:
        lives, match = self.truth.lives, self.truth.match
        gap = lives.runs(match < 0)
        before, after = _neighbours(lives, gap)
        case = Losses(self.truth, gap, before, after)
        places = _Places(
            truth=lives.order[gap.first],
            result=np.where(self.truth.overlap >= NEAR, self.truth.nearest, -1)[gap.first],
            other=np.append(match, -1)[before],
        )
        frames = lives.frames[gap.first], lives.frames[gap.end - 1]
        return self._events("miss", frames, gap.lengths, places, decide(LOSSES, case))

    def false_alarms(self) -> list[Event]:
        clues, lives = self.result, self.result.lives
        run = lives.runs(clues.match < 0)
        people = np.append(self.matches.scene.truth.ids, -1)[np.append(clues.match, -1)]
        before, after = (people[rows] for rows in _neighbours(lives, run))
        nearest = np.where(clues.taken_overlap > clues.overlap, clues.taken, clues.nearest)
        nearest[np.maximum(clues.taken_overlap, clues.overlap) < NEAR] = -1
        truth = nearest[run.first]
        their_row = np.append(self.truth.lives.place, -1)[truth]
        their_match = np.append(self.truth.match, -1)[their_row]
        places = _Places(truth, lives.order[run.first], their_match)
        causes = decide(ALARMS, Alarms(clues, self.truth.lives, run, before, after))
        frames = lives.frames[run.first], lives.frames[run.end - 1]
        return self._events("false_alarm", frames, run.lengths, places, causes)

    def _gaps_before(self, chosen: Mask) -> tuple[Spans, IntArray, IntArray]:
        """What lies between each chosen match and the same person's match before it."""
        scene, clear = self.matches.scene, self.matches.clear
        rows = self.truth.lives.place[scene.pairs.truth[clear.pairs]]
        after, before = rows[chosen], rows[clear.before[chosen]]
        return Spans(before + 1, after), before, after

    def _ends_of_gaps(self, kind: str, case: Losses, causes: list[tuple[str, str]]) -> list[Event]:
        match = self.truth.match
        places = _Places(self.truth.lives.order[case.after], match[case.after], match[case.before])
        return self._events(kind, (case.first, case.last), case.gap.lengths, places, causes)

    def _events(
        self,
        kind: str,
        frames: tuple[IntArray, IntArray],
        lengths: IntArray,
        places: _Places,
        causes: list[tuple[str, str]],
    ) -> list[Event]:
        scene, loaded = self.matches.scene, self.loaded
        columns = zip(
            (frames[0] + 1).tolist(),
            (frames[1] + 1).tolist(),
            lengths.tolist(),
            _names(scene.truth, places.truth),
            _names(scene.result, places.result),
            _names(scene.result, places.other),
            _boxes(scene.truth, loaded.truth, places.truth),
            _boxes(scene.result, loaded.result, places.result),
            causes,
            strict=True,
        )
        return [Event(kind, *values, *cause) for *values, cause in columns]


def _neighbours(lives: Lives, spans: Spans) -> tuple[IntArray, IntArray]:
    """The rows of the same life before and after; -1: none."""
    before = np.where(spans.first > lives.begins[spans.first], spans.first - 1, -1)
    after = np.where(spans.end < lives.ends[spans.first], spans.end, -1)
    return before, after


def _names(side: BoxTable, numbers: IntArray) -> list[int | None]:
    """What the file calls who is in these boxes."""
    names = side.names[side.ids]
    return [int(names[number]) if number >= 0 else None for number in numbers.tolist()]


def _boxes(side: BoxTable, rows: MotRows, numbers: IntArray) -> list[Box | None]:
    xywh = rows.xywh[side.rows]
    return [tuple(xywh[number].tolist()) if number >= 0 else None for number in numbers.tolist()]


def causes(events: Iterable[Event]) -> dict[str, dict[str, int]]:
    """How many there are of each kind and cause, the most frequent cause first."""
    found = Counter((event.kind, event.cause) for event in events)
    return {
        kind: {cause: count for (of_kind, cause), count in found.most_common() if of_kind == kind}
        for kind in KINDS
    }


def as_csv(events: Mapping[str, Iterable[Event]]) -> str:
    """Those of each sequence, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for sequence, found in events.items():
        writer.writerows([sequence, *_cells(event)] for event in found)
    return text.getvalue()


def _cells(event: Event) -> list[object]:
    return [
        *(event.kind, event.cause, event.first_frame, event.last_frame, event.frames),
        *("" if i is None else i for i in (event.truth_id, event.result_id, event.other_id)),
        *_box_cells(event.truth_box),
        *_box_cells(event.result_box),
        event.evidence,
    ]


def _box_cells(box: Box | None) -> list[str]:
    return [f"{side:.2f}" for side in box] if box else [""] * len(_SIDES)
