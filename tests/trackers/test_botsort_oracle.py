"""BoT-SORT equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_botsort import BotSortOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.botsort import BotSort

STILL = WorldSettings(embeddings=True)
MOVING = WorldSettings(embeddings=True, camera=True)
NO_EMBEDDINGS = WorldSettings(camera=True)
VARIANTS = [
    pytest.param(STILL, range(10), id="paper"),
    pytest.param(MOVING, range(10, 14), id="camera motion"),
    pytest.param(NO_EMBEDDINGS, range(14, 17), id="no embeddings"),
]
CHANGES = {
    "high_score": 0.65,
    "low_score": 0.3,
    "new_score": 0.75,
    "max_cost": 0.75,
    "max_low_cost": 0.2,
    "max_unconfirmed_cost": 0.5,
    "max_iou_distance": 0.3,
    "max_appearance_distance": 0.0,
    "momentum": 0.0,
    "max_age": 29,
    "duplicate_iou": 0.5,
}


@pytest.mark.parametrize(("world", "seeds"), VARIANTS)
def test_equals_the_oracle(world: WorldSettings, seeds: Iterable[int]) -> None:
    assert first_difference(BotSort, BotSortOracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(BotSortOracle, **{constant: value})
    assert first_difference(BotSort, oracle, streams(range(10), STILL)) is not None
