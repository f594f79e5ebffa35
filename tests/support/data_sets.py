"""Helpers of several tests: data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.load import DataSettings, load
from mot.settings import build_settings


def write_image(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def read(source: Path, **told: Any) -> DataSet:
    """A data set in which nothing is wrong."""
    data, problems = load(
        build_settings(DataSettings, {"annotations": str(source), **told}, "test")
    )
    assert list(problems.lines()) == []
    return data


def boxes_of(picture: ImageRecord) -> list[list[float]]:
    return picture.annotations.boxes.tolist()
