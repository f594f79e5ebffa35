"""What several test files need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _home_of_its_own(tmp_path_factory) -> Iterator[None]:
    """What is kept between runs (`MOT_HOME`) is not the person's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are the fastest on one, and the same on any machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project, with `data/` in it."""
    folder = ROOT / os.environ.get("MOT_SHARED", "../shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set MOT_SHARED")
    return folder
