"""How the likely cause of a mistake is decided: by the first rule of a list that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import Spans
from mot.evaluation.scene import Mask, Values

OVERLAP = 0.5  # from here on a box is on somebody, as MOTA has it
NEAR = 0.2  # from here up to OVERLAP a box is badly placed; with less it is a neighbour's
SOON = 1.0  # seconds: about what it takes to walk into the picture, or out of it
MOSTLY = 0.5  # of the frames of a run

Case = TypeVar("Case", contravariant=True)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Case]):
    """For which mistakes of a case it holds, and the evidence for one of them."""

    cause: str
    holds: Callable[[Case], Mask]
    evidence: Callable[[Case, int], str]


def decide(rules: Sequence[Rule[Case]], case: Case) -> list[tuple[str, str]]:
    """The cause of each mistake and the evidence; the last rule holds for all."""
    chosen = np.argmax([rule.holds(case) for rule in rules], axis=0)
    return [
        (rules[number].cause, rules[number].evidence(case, index))
        for index, number in enumerate(chosen.tolist())
    ]


def mostly(spans: Spans, flags: Mask) -> Mask:
    found = spans.count(flags)
    return np.asarray((found > 0) & (found >= MOSTLY * spans.lengths))


def mean_of_flagged(spans: Spans, index: int, values: Values, flags: Mask) -> str:
    """In one span; and how many of its frames they are."""
    rows = slice(spans.first[index], spans.end[index])
    found = values[rows][flags[rows]]
    length = frames(rows.stop - rows.start)
    return f"{found.mean():.2f} " + (
        f"for {length}" if flags[rows].all() else f"in {len(found)} of {length}"
    )


def frames(count: float) -> str:
    return f"{count:.0f} frame{'' if count == 1 else 's'}"
