"""What several test files need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project, with `data/` in it."""
    folder = ROOT / os.environ.get("MOT_SHARED", "../shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set MOT_SHARED")
    return folder
