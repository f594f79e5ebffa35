"""Add to a COCO file of people those whom nobody drew, but several detectors see.

    python scripts/make/complete_labels.py train.json images/ complete.json [--detectors A.cfg]

Photographs of data sets have people in the background that were left out; a network that is trained
on them learns to overlook such. Detections of the known small networks of Darknet that agree with
each other and with no box, and are no part of somebody who was drawn, are taken: as a person where
all detectors are sure of it, else to be ignored.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import DARKNET
from rich.progress import track

from mot import boxes
from mot.config import build_detector
from mot.datasets.images import decode
from mot.files import atomic_writer
from mot.model_zoo import installed_file
from mot.types import Detector, FloatArray, Image

SIZE = (640, 512)
PERSON = 0  # the label, of one class and of COCO's
LEAST = 0.25  # score of which a detector is asked
SURE = 0.5
SAME = 0.5  # IoU of boxes of one person
PART = 0.5  # share of a box that lies in another's

Row = dict[str, Any]  # as COCO has it


class Agreed(NamedTuple):
    xyxy: FloatArray  # (N, 4)
    votes: FloatArray  # (N,) how many detectors
    score: FloatArray  # (N,) the least of them


def agreed(found: list[tuple[FloatArray, FloatArray]]) -> Agreed:
    """People whom at least two of the detectors see, each once: the mean of their boxes."""
    owner = np.concatenate([np.full(len(each), row) for row, (each, _) in enumerate(found)])
    xyxy = np.concatenate([each for each, _ in found])
    scores = np.concatenate([each for _, each in found])
    open_, means = np.ones(len(xyxy), bool), []
    for best in np.argsort(-scores):
        if open_[best]:
            near = np.flatnonzero(open_ & (boxes.iou(xyxy[[best]], xyxy)[0] > SAME))
            open_[near] = False
            first = near[np.unique(owner[near], return_index=True)[1]]  # of each its surest
            means.append((*xyxy[first].mean(0), len(first), scores[first].min()))
    table = np.array(means, np.float32).reshape(-1, 6)
    table = table[table[:, 4] > 1]
    return Agreed(table[:, :4], table[:, 4], table[:, 5])


def found_by(detector: Detector, image: Image) -> tuple[FloatArray, FloatArray]:
    """Boxes of people, and scores."""
    [found] = detector([image])
    is_person = found.labels == PERSON
    return found.boxes[is_person], found.scores[is_person]


def overlooked(people: Agreed, drawn: FloatArray, detectors: int) -> list[tuple[FloatArray, int]]:
    """Boxes that were not drawn, and whether each is to be ignored."""
    shared = boxes.iou(people.xyxy, drawn).max(1, initial=0)
    part = boxes.containment(people.xyxy, drawn).max(1, initial=0)
    is_person = (people.votes == detectors) & (people.score > SURE)
    rows = np.flatnonzero((shared < SAME) & (part < PART))
    return [(people.xyxy[row], int(not is_person[row])) for row in rows]


def annotation(number: int, picture: int, category: int, xyxy: FloatArray, ignore: int) -> Row:
    left, top, width, height = boxes.xyxy_to_xywh(xyxy[None])[0].astype(float).round(1).tolist()
    row: Row = {"id": number, "image_id": picture, "category_id": category}
    row |= {"bbox": [left, top, width, height], "area": width * height}
    return row | {"iscrowd": 0, "ignore": ignore}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--detectors", nargs="+", default=DARKNET)
    given = parser.parse_args()
    detectors = [
        build_detector(str(installed_file(each) or each), conf=LEAST, width=SIZE[0], height=SIZE[1])
        for each in given.detectors
    ]
    told: Row = json.loads(given.annotations.read_text("utf-8"))
    rows, category = told["annotations"], told["categories"][0]["id"]
    drawn = defaultdict(list)
    for row in rows:
        drawn[row["image_id"]].append(row["bbox"])
    number, before = max(row["id"] for row in rows), len(rows)
    for picture in track(told["images"], "looking"):
        path, which = given.images / picture["file_name"], picture["id"]
        image = decode(path.read_bytes(), path)
        people = agreed([found_by(detector, image) for detector in detectors])
        theirs = boxes.xywh_to_xyxy(np.array(drawn[which], np.float32).reshape(-1, 4))
        for xyxy, ignore in overlooked(people, theirs, len(detectors)):
            number += 1
            rows.append(annotation(number, which, category, xyxy, ignore))
    with atomic_writer(given.out) as file:
        json.dump(told, file)
    ignored = sum(row["ignore"] for row in rows[before:])
    print(f"{given.out}: {len(rows) - before - ignored} people more, and {ignored} to be ignored")


if __name__ == "__main__":
    main()
