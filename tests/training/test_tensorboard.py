"""TensorBoard files can be read back, and a full disk is an error of one line."""

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
TensorBoardWriter = importlib.import_module("mot.training.tensorboard").TensorBoardWriter


def test_scalars_and_images_can_be_read_back(tmp_path: Path) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[..., 0] = 255  # blue
    writer = TensorBoardWriter(tmp_path)
    writer.add_scalars("train", {"loss": 2.5}, 3)
    writer.add_images("val", lambda: [image], 4)
    writer.close()
    events = accumulators.EventAccumulator(str(tmp_path)).Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [(3, 2.5)]
    (shown,) = events.Images("val/0")
    cv2 = importlib.import_module("cv2")
    seen = cv2.imdecode(np.frombuffer(shown.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(seen, image)


def test_a_full_disk_is_an_error_of_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk can be mounted by root on Linux only")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    capfd.readouterr()
    writer = TensorBoardWriter(tmp_path)
    try:
        with pytest.raises(MotError, match="disk full"):
            for step in range(100):
                writer.add_images("val", lambda: [noise], step)
        with pytest.raises(MotError, match="disk full"):
            writer.close()
    finally:
        del writer
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert capfd.readouterr() == ("", "")


def test_errors_of_other_threads_reach_the_earlier_hook(tmp_path, monkeypatch) -> None:
    errors: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda error: errors.append(error.exc_type))
    earlier = threading.excepthook
    writer = TensorBoardWriter(tmp_path)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    writer.close()
    assert errors == [ZeroDivisionError]
    assert threading.excepthook is earlier
