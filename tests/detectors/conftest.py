"""Fixtures of the tests of detectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.darknet import PlainDarknet, efficient, images, parsed

from mot.detectors.darknet.cfg import Network


@pytest.fixture
def body(tmp_path) -> tuple[Network, Path, PlainDarknet]:
    """A small network, its weights on disk, and what it should compute."""
    plain = PlainDarknet(efficient()).run(images(3, 64, 64))
    path = tmp_path / "net.weights"
    path.write_bytes(plain.file)
    return parsed(tmp_path, efficient()), path, plain
