"""How well detectors find people: AP at an IoU of 0.5, side by side, in one run.

    python scripts/bench/built_in.py [DETECTOR ...] [--sizes 640x384,960x544]

On the person images of MOT_SHARED (default ../shared) at 416x416, every 25th frame of PETS09-S2L1,
and the first 30 frames of four MOT17 sequences, at each size. Detections from a score of 0.001 on.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from common import DARKNET

from mot.config import build_detector
from mot.datasets.config import DataSettings
from mot.datasets.dataset import DataSet
from mot.datasets.images import read_image
from mot.datasets.load import load
from mot.evaluation.detection.scores import evaluate

SHARED = Path(os.environ.get("MOT_SHARED", "../shared")) / "data"
PETS = SHARED / "mot15/PETS09-S2L1"
MOT17 = [SHARED / f"mot17/MOT17-{number}" for number in ("02", "05", "10", "13")]


def average_precision(name: str, size: tuple[int, int], data: DataSet) -> float:
    detector = build_detector(name, width=size[0], height=size[1], conf=0.001)
    found = [detector([read_image(picture)])[0] for picture in data]
    return 100 * evaluate(data, found).coco.ap50


def read(source: Path, every: int = 1) -> DataSet:
    """Frames alone that there are pictures of."""
    return load(DataSettings(annotations=str(source), every=every)).data


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [str(SHARED / f"weights/{name}.cfg") for name in DARKNET]
    parser.add_argument("detectors", nargs="*", default=["person", *known])
    parser.add_argument("--sizes", default="640x384,960x544")
    given = parser.parse_args(words)
    sizes = [tuple(map(int, size.split("x"))) for size in given.sizes.split(",")]
    print(" " * 34 + "".join(f"{Path(name).stem[:22]:>24}" for name in given.detectors))
    person = ("person images", read(SHARED / "person/val.json"), [(416, 416)])
    pets = ("PETS09-S2L1, every 25th", read(PETS, 25), sizes)
    clips = [(each.name, read(each), sizes) for each in MOT17]
    for title, data, wanted in (person, pets, *clips):
        for size in wanted:
            scores = [average_precision(name, size, data) for name in given.detectors]
            told = "".join(f"{score:24.1f}" for score in scores)
            print(f"{title:24}{'x'.join(map(str, size)):>10}{told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
