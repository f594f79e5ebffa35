"""C-BIoU equals the oracle, which is written from the paper, on random streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from support.oracle_cbiou import CBIoUOracle
from support.oracle_worlds import WorldSettings, first_difference, streams

from mot.trackers.cbiou import CBIoU

STILL = WorldSettings()
MOVING = WorldSettings(camera=True)
VARIANTS = [
    pytest.param(STILL, range(10), id="paper"),
    pytest.param(MOVING, range(10, 14), id="camera motion"),
]
CHANGES = {
    "min_score": 0.65,
    "buffers": (0.3, 0.4),
    "min_iou": 0.35,
    "memory": 4,
    "max_age": 29,
}


@pytest.mark.parametrize(("world", "seeds"), VARIANTS)
def test_equals_the_oracle(world: WorldSettings, seeds: Iterable[int]) -> None:
    assert first_difference(CBIoU, CBIoUOracle, streams(seeds, world)) is None


@pytest.mark.parametrize(("constant", "value"), CHANGES.items())
def test_another_value_of_a_constant_is_noticed(constant: str, value: object) -> None:
    oracle = partial(CBIoUOracle, **{constant: value})
    assert first_difference(CBIoU, oracle, streams(range(10), STILL)) is not None
