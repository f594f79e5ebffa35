"""Finding the likely cause of errors: the first rule of a list that applies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from mot.evaluation.diagnosis.with_gt.features import Spans
from mot.evaluation.sequence_pairs import Mask, Values

MATCH_IOU = 0.5  # a match in MOTA
NEAR_IOU = 0.2  # from here to MATCH_IOU a box is badly localized; below, it is on another object
SOON = 1.0  # seconds: about the time to walk into or out of the image
_MAJORITY = 0.5  # of the frames of a span

Errors = TypeVar("Errors", contravariant=True)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Errors]):
    """A cause, the errors that it applies to, and the evidence for one of them."""

    cause: str
    applies: Callable[[Errors], Mask]  # (S,) per error
    evidence: Callable[[Errors, int], str]


def find_causes(rules: Sequence[Rule[Errors]], errors: Errors) -> list[tuple[str, str]]:
    """(cause, evidence) of each error. The last rule must apply to all."""
    chosen = np.argmax([rule.applies(errors) for rule in rules], axis=0)
    return [
        (rules[number].cause, rules[number].evidence(errors, index))
        for index, number in enumerate(chosen.tolist())
    ]


def in_most_rows(spans: Spans, flags: Mask) -> Mask:
    """(S,) whether at least half of the rows of each span are flagged, and at least one."""
    found = spans.count(flags)
    return np.asarray((found > 0) & (found >= _MAJORITY * spans.lengths))


def describe_flagged(spans: Spans, index: int, values: Values, flags: Mask) -> str:
    """The mean value of the flagged rows of one span, and how many of its frames they are."""
    rows = slice(spans.first[index], spans.end[index])
    found = values[rows][flags[rows]]
    length = count_frames(rows.stop - rows.start)
    return f"{found.mean():.2f} " + (
        f"for {length}" if flags[rows].all() else f"in {len(found)} of {length}"
    )


def count_frames(count: float) -> str:
    return f"{count:.0f} frame{'' if count == 1 else 's'}"
