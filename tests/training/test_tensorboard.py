"""TensorBoard's files hold what it is to show, and a full disk is one line."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mot.errors import MotError

pytest.importorskip("torch", reason="PyTorch is not installed")
accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is not installed"
)
Board = importlib.import_module("mot.training.tensorboard").Board


def test_what_is_told_can_be_read_again(tmp_path: Path) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[..., 0] = 255  # blue
    board = Board(tmp_path)
    board.numbers("train", {"loss": 2.5}, 3)
    board.pictures("val", lambda: [image], 4)
    board.close()
    told = accumulators.EventAccumulator(str(tmp_path)).Reload()
    assert [(each.step, each.value) for each in told.Scalars("train/loss")] == [(3, 2.5)]
    (shown,) = told.Images("val/0")
    cv2 = importlib.import_module("cv2")
    seen = cv2.imdecode(np.frombuffer(shown.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(seen, image)


def test_a_full_disk_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk can be mounted by root on Linux only")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    capfd.readouterr()
    board = Board(tmp_path)
    try:
        with pytest.raises(MotError, match="disk full"):
            for step in range(100):
                board.pictures("val", lambda: [noise], step)
        with pytest.raises(MotError, match="disk full"):
            board.close()
    finally:
        del board
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert capfd.readouterr() == ("", "")


def test_errors_of_other_threads_are_told_as_before(tmp_path, monkeypatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda error: told.append(error.exc_type))
    earlier = threading.excepthook
    board = Board(tmp_path)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    board.close()
    assert told == [ZeroDivisionError]
    assert threading.excepthook is earlier
