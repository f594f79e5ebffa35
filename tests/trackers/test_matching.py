"""The assignment equals lap's; with infinite costs, which lap lacks, it equals brute force."""

from __future__ import annotations

import lap
import numpy as np
import numpy.typing as npt
import pytest

from mot.trackers.matching import match

Costs = npt.NDArray[np.floating]
SHAPES = [(1, 1), (1, 6), (6, 1), (2, 3), (5, 5), (9, 4), (4, 9), (30, 31), (60, 20)]
DTYPES = [np.float32, np.float64]


def total(cost: Costs, pairs: tuple[npt.NDArray, npt.NDArray], limit: float) -> float:
    """The cost of an assignment, relative to unmatched pairs at `limit` each."""
    rows, columns = pairs
    return float((cost[rows, columns].astype(np.float64) - limit).sum())


def best_total(cost: Costs, limit: float) -> float:
    """The lowest total of all assignments."""
    if not len(cost):
        return 0.0
    best = best_total(cost[1:], limit)
    for column, value in enumerate(cost[0].tolist()):
        if np.isfinite(value):
            rest = best_total(np.delete(cost[1:], column, axis=1), limit)
            best = min(best, value - limit + rest)
    return best


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_lap(shape, dtype) -> None:
    rng = np.random.default_rng(shape)
    for _ in range(40):
        cost, limit = rng.random(shape).astype(dtype), float(rng.uniform(0.05, 1.1))
        before = cost.copy()
        rows, columns = match(cost, limit)
        _, theirs, _ = lap.lapjv(cost.astype(np.float64), extend_cost=True, cost_limit=limit)
        matched = np.flatnonzero(theirs >= 0)
        assert total(cost, (rows, columns), limit) == pytest.approx(
            total(cost, (matched, theirs[matched]), limit), abs=1e-6
        )
        assert list(zip(rows, columns, strict=True)) == list(
            zip(matched, theirs[matched], strict=True)
        )
        np.testing.assert_array_equal(cost, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 3), (3, 3), (4, 5), (5, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gated_pairs_are_never_matched_and_the_rest_is_optimal(shape, dtype) -> None:
    rng = np.random.default_rng(shape)
    for _ in range(30):
        cost, limit = rng.random(shape).astype(dtype), float(rng.uniform(0.2, 1))
        cost[rng.random(shape) < rng.choice([0.2, 0.6, 0.95])] = np.inf
        rows, columns = match(cost, limit)
        assert np.isfinite(cost[rows, columns]).all()
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        assert total(cost, (rows, columns), limit) == pytest.approx(
            best_total(cost, limit), abs=1e-6
        )


def test_a_gate_does_not_push_a_pair_over_the_limit() -> None:
    """With a large number instead of `inf`, both rows would be matched, or none."""
    cost = np.array([[0.1, np.inf], [0.05, np.inf]])
    rows, columns = match(cost, 0.5)
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_a_cost_at_the_limit_is_no_match() -> None:
    rows, columns = match(np.array([[0.5, 0.75], [0.75, 0.25]]), 0.5)
    assert (rows.tolist(), columns.tolist()) == ([1], [1])


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_nothing_to_match(shape) -> None:
    rows, columns = match(np.zeros(shape, np.float32), 0.5)
    assert len(rows) == len(columns) == 0
    assert rows.dtype.kind == columns.dtype.kind == "i"


def test_everything_gated() -> None:
    rows, columns = match(np.full((3, 4), np.inf, np.float32), 0.5)
    assert len(rows) == len(columns) == 0
