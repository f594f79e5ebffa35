"""DeepSORT equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_deepsort import DeepSortOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.deepsort import DeepSort, DeepSortSettings

STILL = WorldSettings(embeddings=True)
VARIANTS = [
    pytest.param({}, STILL, range(10), id="paper"),
    pytest.param({"budget": 3}, STILL, range(10, 13), id="small galleries"),
]
CHANGES = {
    "max_appearance_distance": 0.15,
    "budget": 5,
    "max_iou_distance": 0.6,
    "hits_to_confirm": 2,
    "max_age": 31,
    "max_reported_age": 0,
}


@pytest.mark.parametrize(("settings", "world", "seeds"), VARIANTS)
def test_equals_the_oracle(
    settings: dict[str, int], world: WorldSettings, seeds: Iterable[int]
) -> None:
    tracker = partial(DeepSort, DeepSortSettings(**settings))
    oracle = partial(DeepSortOracle, **settings)
    assert first_difference(tracker, oracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(DeepSortOracle, **{constant: value})
    assert first_difference(DeepSort, oracle, streams(range(10), STILL)) is not None
