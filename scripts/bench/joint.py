"""Networks that find people and tell what they look like, trained on rendered sequences: how well
are others followed by them?

    python scripts/bench/joint.py [VARIANT ...] [--epochs 12] [--scenes 200] [--size 480x288]
                                  [--keep DIR] [--start FILE]

FairMOT with the identities of the sequences, FairMOT on single pictures of which each box is
somebody else, and JDE with identities, each on five pictures of each of 200 sequences, and
measured on five of other people: AP at an IoU of 0.5, the tracker `fairmot` (trackeval's figures in
percent), how often the right person of a frame a second later is the most alike, and HOTA of the
tracker `best`. With --keep the runs stay, for `mot train plot` to draw the losses of both tasks;
--start goes on from weights of an earlier one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from common import Load, Nobody, Stream, Truth, overrides_of, render, run, score, seen

from mot import boxes
from mot.config import build_detector
from mot.embeddings import cosine_distance
from mot.motfile import Sequence, find_sequences, read_mot_rows
from mot.training.recipe import load_recipe
from mot.training.run import TrainingRun, train
from mot.types import Frame
from mot.video import open_source

DATA = """
[[data.train]]
annotations = "train"
every = 10
min_visibility = 0.3
identities = "{identities}"
[[data.val]]
annotations = "val"
every = 10
min_visibility = 0.3
"""
SMALL = {"model.backbone": "mobilenetv2_100", "model.neck_width": 48, "model.dims": 64}
VARIANTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "FairMOT, identities": ("fairmot-mobilenetv2", "told", {"model.head_width": 48}),
    "FairMOT, boxes": ("fairmot-mobilenetv2", "boxes", {"model.head_width": 48}),
    "JDE, identities": ("jde-yolov3", "told", {"model.hidden": 64, "model.neck_width": 128}),
}
SECOND = 25  # frames
SAME = 0.5  # IoU from which a detection is a person


def weights_of(
    name: str, folder: Path, runs: Path, size: str, epochs: int, start: str
) -> tuple[Path, float]:
    """Of a training, and its AP."""
    recipe, identities, own = VARIANTS[name]
    data = folder / f"{identities}.toml"
    data.write_text(DATA.format(identities=identities))
    own = {"schedule.lr": 2e-3, "schedule.ema": 0.99, "model.weights": start, **SMALL, **own}
    settings = overrides_of(size, epochs, own)
    plan = TrainingRun(load_recipe([recipe, str(data)], settings, str(folder)), runs / name)
    finished = train(plan, Nobody(), lambda line: None)
    return runs / name / "best.safetensors", finished.progress.best


def found_by(weights: Path, size: str, sequence: Sequence) -> Stream:
    width, height = map(int, size.split("x"))
    detector = build_detector(str(weights), conf=0.1, width=width, height=height)

    def frames() -> Iterable[Frame]:
        with open_source(sequence.folder / "img1") as source:
            yield from source

    return seen(frames, lambda frame: detector([frame.image])[0]).stream


def again(stream: Stream, sequence: Sequence) -> tuple[int, int]:
    """How many people are found a second later, and to how many of them the right one is the most
    alike of all who are found then."""
    assert sequence.ground_truth
    truth = read_mot_rows(sequence.ground_truth)
    people = {}
    for found, frame in stream:
        here = truth.frames == frame.index
        shared = boxes.iou(found.boxes, boxes.xywh_to_xyxy(truth.xywh[here]))
        ids = np.where(shared.max(1) >= SAME, truth.ids[here][shared.argmax(1)], -1)
        people[frame.index] = found.embeddings, ids
    met, right = 0, 0
    for index, (looks, ids) in people.items():
        later_looks, later_ids = people.get(index + SECOND, (None, ids[:0]))
        asked = np.isin(ids, later_ids[later_ids > 0])
        if asked.any():
            nearest = cosine_distance(looks[asked], later_looks).argmin(1)
            met, right = met + asked.sum(), right + (later_ids[nearest] == ids[asked]).sum()
    return int(met), int(right)


def measure(weights: Path, size: str, sequences: list[Sequence]) -> str:
    streams = {each.name: found_by(weights, size, each) for each in sequences}
    truths = {each.name: Truth(each.ground_truth.read_text(), each.length) for each in sequences}
    total, other = (
        score(truths, run(Load(streams, truths), tracker)[0])["COMBINED_SEQ"]
        for tracker in ("fairmot", "best")
    )
    met, right = np.sum([again(streams[each.name], each) for each in sequences], axis=0)
    figures = "".join(f"{total[name]:8.1f}" for name in ("HOTA", "DetA", "AssA", "MOTA", "IDF1"))
    return f"{figures}{total['IDSW']:6.0f}{100 * right / met:8.1f}{other['HOTA']:8.1f}"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--size", default="480x288")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--start", default="")
    given = parser.parse_args(words)
    columns = ("AP50", "HOTA", "DetA", "AssA", "MOTA", "IDF1")
    print(f"{'':22}{''.join(f'{each:>8}' for each in columns)}{'IDSW':>6}{'rank-1':>8}{'best':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render(folder, {"train": range(given.scenes)}, 50)
        render(folder, {"val": range(1000, 1005)}, 100)
        sequences = find_sequences(folder / "val")
        for each in given.variants:
            runs = given.keep or folder
            weights, ap = weights_of(each, folder, runs, given.size, given.epochs, given.start)
            print(f"{each:22}{100 * ap:8.1f}{measure(weights, given.size, sequences)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
