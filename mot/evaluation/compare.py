"""Whether one tracker is better than another: a paired bootstrap over time blocks and tracks.

Errors of successive frames are correlated, so blocks of some seconds are drawn instead of frames,
with replacement, within each sequence (Kuensch, 1989). Errors of one gt track are correlated over
many blocks, so tracks are drawn as well; a count is weighted by how often both its block and its
track were drawn (the pigeonhole bootstrap of Owen, 2007). All trackers get the same draws, so that
what is difficult for all of them cancels in their differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.breakdown import COLUMNS, METRICS, compute_metrics
from mot.evaluation.sequence_pairs import Values

Parts = Mapping[str, Values]  # sequence -> (blocks, gt tracks + 1, COLUMNS)
_MAX_NUMBERS = 1 << 21  # temporary numbers per step


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the 95 % interval of its bootstrap distribution."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The metrics of several trackers, and the differences of each to the first."""

    metrics: dict[str, dict[str, Interval]]  # tracker -> metric
    differences: dict[str, dict[str, Interval]]  # tracker, without the first -> metric
    draws: int


def compare(trackers: Mapping[str, Parts], draws: int = 2000, seed: int = 0) -> Comparison:
    """Compare trackers on the same sequences, from their `breakdown.by_block_and_track`."""
    drawn = {name: compute_metrics(_draw(parts, draws, seed)) for name, parts in trackers.items()}
    found = {name: compute_metrics(_total(parts)) for name, parts in trackers.items()}
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
    """(draws, COLUMNS) counts; equal seeds draw the same blocks and tracks of each sequence."""
    rng = np.random.default_rng(seed)
    total = np.zeros((draws, COLUMNS))
    for table in parts.values():
        blocks, tracks = table.shape[0], table.shape[1] - 1
        block_weights = _draw_weights(rng, draws, blocks)
        # Boxes without a gt track always count.
        track_weights = np.concatenate(
            [_draw_weights(rng, draws, tracks), np.ones((draws, 1))], axis=1
        )
        step = max(1, _MAX_NUMBERS // (draws * COLUMNS))  # tracks per step
        for start in range(0, tracks + 1, step):
            some = slice(start, start + step)
            counts = np.tensordot(block_weights, table[:, some], axes=1)  # (draws, step, COLUMNS)
            total += np.einsum("dp,dpc->dc", track_weights[:, some], counts)
    return total


def _draw_weights(rng: np.random.Generator, draws: int, count: int) -> Values:
    """(draws, count) how often each of `count` items is drawn in `count` draws."""
    if not count:
        return np.zeros((draws, 0))
    probabilities = np.full(count, 1 / count)
    return rng.multinomial(count, probabilities, draws).astype(np.float64)
