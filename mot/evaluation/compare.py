"""Is one tracker better than another? A paired bootstrap over blocks of time and people.

Frames that follow each other fail together, so not frames but blocks of some seconds are drawn,
with replacement, within each sequence (Kuensch, 1989). An identity that is lost stays lost for many
blocks, so the people are drawn as well, and what counts is how often both a block and a person were
drawn (the pigeonhole bootstrap of Owen, 2007). The same blocks and people are drawn for all
trackers: what makes a scene hard for all of them cancels out in their differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.scene import Values
from mot.evaluation.series import COLUMNS, METRICS, metrics_of

Parts = Mapping[str, Values]  # of each sequence, (blocks, people and nobody, COLUMNS)
_AT_ONCE = 1 << 21  # numbers of a sequence to hold at a time, beside its parts


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and the interval that holds 95 % of what the draws give."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of several trackers: each one's metrics, and what each has more than the first."""

    metrics: dict[str, dict[str, Interval]]  # tracker -> metric
    differences: dict[str, dict[str, Interval]]  # tracker, without the first -> metric
    draws: int


def compare(trackers: Mapping[str, Parts], draws: int = 2000, seed: int = 0) -> Comparison:
    """Of the same sequences by several trackers."""
    drawn = {name: metrics_of(_draw(parts, draws, seed)) for name, parts in trackers.items()}
    found = {name: metrics_of(_total(parts)) for name, parts in trackers.items()}
    first, *others = trackers
    return Comparison(
        {
            name: {m: _interval(found[name][m], drawn[name][m]) for m in METRICS}
            for name in trackers
        },
        {
            name: {
                m: _interval(found[name][m] - found[first][m], drawn[name][m] - drawn[first][m])
                for m in METRICS
            }
            for name in others
        },
        draws,
    )


def _interval(value: Values, drawn: Values) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def _total(parts: Parts) -> Values:
    total = np.zeros(COLUMNS)
    for table in parts.values():
        total += table.sum((0, 1))
    return total


def _draw(parts: Parts, draws: int, seed: int) -> Values:
    """(draws, COLUMNS) sums; the same seed draws the same blocks and people of each sequence."""
    chance = np.random.default_rng(seed)
    total = np.zeros((draws, COLUMNS))
    for table in parts.values():
        blocks, people = table.shape[0], table.shape[1] - 1
        of_blocks = _times(chance, draws, blocks)
        of_people = np.concatenate([_times(chance, draws, people), np.ones((draws, 1))], axis=1)
        step = max(1, _AT_ONCE // (draws * COLUMNS))  # people at a time
        for start in range(0, people + 1, step):
            some = slice(start, start + step)
            each = np.tensordot(of_blocks, table[:, some], axes=1)  # (draws, some people, COLUMNS)
            total += np.einsum("dp,dpc->dc", of_people[:, some], each)
    return total


def _times(chance: np.random.Generator, draws: int, count: int) -> Values:
    """(draws, count) how often each is drawn among as many as there are."""
    if not count:
        return np.zeros((draws, 0))
    shares = np.full(count, 1 / count)
    return chance.multinomial(count, shares, draws).astype(np.float64)
