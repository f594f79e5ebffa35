"""OC-SORT equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_ocsort import OcSortOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.ocsort import OcSort, OcSortSettings

STILL = WorldSettings()
MOVING = WorldSettings(camera=True)
VARIANTS = [
    pytest.param({}, STILL, range(10), id="paper"),
    pytest.param({}, MOVING, range(10, 14), id="camera motion"),
    pytest.param({"use_low_scores": True}, STILL, range(14, 17), id="low scores"),
]
CHANGES = {
    "min_score": 0.65,
    "min_iou": 0.4,
    "min_hits": 2,
    "max_age": 29,
    "delta_t": 1,
    "inertia": 0.0,
}


@pytest.mark.parametrize(("settings", "world", "seeds"), VARIANTS)
def test_equals_the_oracle(
    settings: dict[str, bool], world: WorldSettings, seeds: Iterable[int]
) -> None:
    tracker = partial(OcSort, OcSortSettings(**settings))
    oracle = partial(OcSortOracle, **settings)
    assert first_difference(tracker, oracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(OcSortOracle, **{constant: value})
    assert first_difference(OcSort, oracle, streams(range(10), STILL)) is not None
