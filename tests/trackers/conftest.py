"""Fixtures of the tests of trackers."""

from __future__ import annotations

import pytest

from mot.trackers import TRACKERS


@pytest.fixture(params=TRACKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)
