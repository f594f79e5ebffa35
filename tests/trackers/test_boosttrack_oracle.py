"""BoostTrack equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_boosttrack import BoostTrackOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.boosttrack import BoostTrack

STILL = WorldSettings()
MOVING = WorldSettings(camera=True)
VARIANTS = [
    pytest.param(STILL, range(10), id="paper"),
    pytest.param(MOVING, range(10, 14), id="camera motion"),
]
CHANGES = {
    "low_score": 0.55,
    "min_score": 0.65,
    "boost": 0.7,
    "min_iou": 0.4,
    "lambda_iou": 0.0,
    "lambda_mahalanobis": 0.0,
    "lambda_shape": 0.0,
    "min_hits": 2,
    "max_age": 29,
}


@pytest.mark.parametrize(("world", "seeds"), VARIANTS)
def test_equals_the_oracle(world: WorldSettings, seeds: Iterable[int]) -> None:
    assert first_difference(BoostTrack, BoostTrackOracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(BoostTrackOracle, **{constant: value})
    assert first_difference(BoostTrack, oracle, streams(range(10), STILL)) is not None
