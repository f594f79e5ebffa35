"""What a sample of training costs: read from a JPEG, augmented, at 416 x 416, in one thread.

    python scripts/bench/augment.py [folder of pictures] [rounds]

Without a folder it paints pictures of 480 x 360. Figures are milliseconds of processor time, of
settings taken in turns: the mean, and the 95th percentile.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from mot.datasets.dataset import Annotations, ImageRecord
from mot.datasets.images import read_image
from mot.runtime.preprocess import InputSpec
from mot.training.augment.settings import AugmentSettings
from mot.training.data.batches import EpochData
from mot.training.data.sampling import Draw

SIZE = (416, 416)
OFF = AugmentSettings(
    **dict.fromkeys(("flip", "crop", "zoom_out", "mosaic", "brightness", "contrast"), 0.0),
    **dict.fromkeys(("saturation", "hue", "grey", "blur", "jpeg", "noise", "erase"), 0.0),
    scale=(1.0, 1.0),
)
COLORS = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.4}
KINDS = {
    "as a detector sees it": None,
    "all off": OFF,
    "crop": replace(OFF, crop=1.0),
    "scale": replace(OFF, scale=(0.7, 1.4)),
    "flip": replace(OFF, flip=1.0),
    "brightness, contrast, saturation": replace(OFF, **COLORS),
    "hue": replace(OFF, hue=0.02),
    "grey": replace(OFF, grey=1.0),
    "blur": replace(OFF, blur=1.0),
    "noise": replace(OFF, noise=1.0),
    "jpeg": replace(OFF, jpeg=1.0),
    "erase": replace(OFF, erase=1.0),
    "mosaic": replace(OFF, mosaic=1.0),
    "as by default": AugmentSettings(),
    "as by default, without mosaics": AugmentSettings(mosaic=0.0),
    "as by default, all mosaics": AugmentSettings(mosaic=1.0),
}


def painted(folder: Path, count: int = 16) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 256, (36, 48, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(small, (480, 360)))


def records_of(folder: Path, most: int = 200) -> list[ImageRecord]:
    rng = np.random.default_rng(1)
    paths = sorted(folder.glob("*.jpg"))[:most]
    corners = rng.uniform(0, 300, (len(paths), 8, 2))
    people = np.concatenate([corners, corners + rng.uniform(10, 150, corners.shape)], axis=2)
    return [
        ImageRecord(path, path.name, number, (0, 0), Annotations.of(people[number]))
        for number, path in enumerate(paths)
    ]


def measure(pictures: list[ImageRecord], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each sample of each kind."""
    spec = InputSpec(size=SIZE)
    kinds = {name: EpochData(pictures, spec, wanted) for name, wanted in KINDS.items()}
    taken: dict[str, list[float]] = {"reading alone": [], **{name: [] for name in kinds}}
    for number in range(rounds):
        picture = number % len(pictures)
        taken["reading alone"].append(timed(lambda picture=picture: read_image(pictures[picture])))
        for name, data in kinds.items():
            draw = Draw(picture, SIZE, number)
            taken[name].append(timed(lambda data=data, draw=draw: data[draw]))
    return taken


def timed(work) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def main(folder: str = "", rounds: str = "100") -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        if not folder:
            painted(Path(scratch))
        pictures = records_of(Path(folder or scratch))
        measure(pictures, 2)
        for name, milliseconds in measure(pictures, int(rounds)).items():
            mean, late = np.mean(milliseconds), np.percentile(milliseconds, 95)
            print(f"  {name:36} {mean:6.2f} {late:6.2f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
