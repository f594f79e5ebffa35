"""StrongSORT equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_strongsort import StrongSortOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.strongsort import StrongSort

STILL = WorldSettings(embeddings=True)
MOVING = WorldSettings(embeddings=True, camera=True)
VARIANTS = [
    pytest.param(STILL, range(10), id="paper"),
    pytest.param(MOVING, range(10, 14), id="camera motion"),
]
CHANGES = {
    "min_score": 0.65,
    "max_cost": 0.45,
    "appearance_weight": 0.96,
    "momentum": 0.8,
    "max_iou_distance": 0.4,
    "hits_to_confirm": 2,
    "max_age": 29,
    "max_reported_age": 0,
}


@pytest.mark.parametrize(("world", "seeds"), VARIANTS)
def test_equals_the_oracle(world: WorldSettings, seeds: Iterable[int]) -> None:
    assert first_difference(StrongSort, StrongSortOracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(StrongSortOracle, **{constant: value})
    assert first_difference(StrongSort, oracle, streams(range(10), STILL)) is not None
