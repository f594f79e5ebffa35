"""What it is worth to know what people look like: trackers with and without, in one run.

    python scripts/bench/appearance.py [EMBEDDER ...] [--joint DETECTOR ...] [--scenes | --speed]

PETS09-S2L1 of MOT_SHARED (default ../shared) from its public detections and from the built-in
detector; with --scenes the rendered `crossing` and `crowd`, from the detections of the scene's own
imagined detector and from the built-in one. Looks: none, those of each EMBEDDER
(default: the built-in one and OSNet), those of each joint DETECTOR, which finds people itself.
Frames a second: of detecting, looking and tracking together, one after the other. With --speed
alone what a frame costs `person`, its embedder beside it, and `joint`, which take turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from common import MIN_SCORE, Find, Load, Seen, Stream, Truth, by_detector, run, score, seen

from mot import boxes
from mot.config import build_detector, build_tracker, score_range
from mot.detectors import DEFAULT_DETECTOR
from mot.motfile import find_sequences, read_detections, read_mot_rows
from mot.pipeline import resolve
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.open import open_embedder
from mot.synthetic import SCENES, World
from mot.types import Detections, Frame
from mot.video import open_source

SHARED = Path(os.environ.get("MOT_SHARED", "../shared")) / "data"
PETS = SHARED / "mot15/PETS09-S2L1"
OSNET = str(SHARED / "weights/osnet_x0_25_msmt17.onnx")
TRACKERS = ("best", "botsort", "deepsort", "strongsort")
NEEDS_LOOKS = ("deepsort", "strongsort")
OWN = "own"  # detections of a rendered scene
SEEDS = (11, 12, 13)


def _floor(tracker: str) -> float:
    """The least score that a detector tells it."""
    settings = resolve(build_tracker(tracker), DEFAULT_DETECTOR, {}).detector_settings
    return float(settings.get("conf", score_range(DEFAULT_DETECTOR, {}).conf or 0.0))


def _above(floor: float, seen: Seen) -> Stream:
    if not seen.by_detector:
        return seen.stream
    return [(found[found.scores >= floor], frame) for found, frame in seen.stream]


def from_file(path: Path) -> Find:
    table, nothing = read_detections(path), Detections.empty()
    return lambda frame: table.get(frame.index, nothing)


def compare(title: str, parts: dict[str, tuple[Truth, Seen]]) -> None:
    """Each tracker on all these streams together."""
    for tracker in TRACKERS:
        floor = _floor(tracker)
        streams = {name: _above(floor, each) for name, (_, each) in parts.items()}
        truths = {name: truth for name, (truth, _) in parts.items()}
        looks = any(found.embeddings is not None for s in streams.values() for found, _ in s)
        if tracker in NEEDS_LOOKS and not looks:
            continue
        load = Load(streams, truths)
        results, milliseconds = run(load, tracker)
        total = score(truths, results)["COMBINED_SEQ"]
        frames = sum(map(len, streams.values()))
        whole = sum(each.seconds for _, each in parts.values()) + frames * milliseconds / 1e3
        print(
            f"{title:44}{tracker:12}{total['HOTA']:7.1f}{total['MOTA']:7.1f}{total['IDF1']:7.1f}"
            f"{total['IDSW']:6.0f}{frames / whole:8.1f}",
            flush=True,
        )


def pets(embedders: list[str], joint: list[str]) -> None:
    (sequence,) = find_sequences(PETS)
    assert sequence.ground_truth
    rows = read_mot_rows(sequence.ground_truth)  # which tell no classes, but who does not count
    columns = (each[rows.scores > 0].tolist() for each in (rows.frames, rows.ids, rows.xywh))
    told = zip(*columns, strict=True)
    truth = Truth("".join(map(_row, told)), sequence.length)

    def frames() -> Iterable[Frame]:
        with open_source(next(PETS.glob("*.mp4"))) as source:
            yield from source

    def show(source: str, find: Find, looks: str | None) -> None:
        title = f"PETS, {source}, {Path(looks).stem if looks else 'no looks'}"
        made = seen(frames, find, looks)._replace(by_detector=source != "public")
        compare(title, {sequence.name: (truth, made)})

    public = from_file(next(iter(sequence.detections.values())))
    for source, find in (("public", public), ("person", by_detector("person"))):
        for looks in (None, *embedders):
            show(source, find, looks)
    for name in joint:
        show(Path(name).stem, by_detector(name), None)


def scenes(embedders: list[str], joint: list[str]) -> None:
    for scene in ("crossing", "crowd"):
        for name, looks in (
            *((name, looks) for name in (OWN, "person") for looks in (None, *embedders)),
            *((name, None) for name in joint),
        ):
            find = None if name == OWN else by_detector(name)
            parts = {f"{scene}-{seed}": _rendered(scene, seed, find, looks) for seed in SEEDS}
            title = f"{scene}, {Path(name).stem}, {Path(looks).stem if looks else 'no looks'}"
            compare(title, parts)


def _rendered(scene: str, seed: int, find: Find | None, looks: str | None) -> tuple[Truth, Seen]:
    """Without `find`, from the scene's own detections."""
    rows: list[str] = []
    told: dict[int, Detections] = {}

    def frames() -> Iterable[Frame]:
        for moment in World(SCENES[scene], seed=seed).moments(300):
            frame, own = moment.frame, moment.detections
            told[frame.index] = Detections(own.boxes, own.scores, own.labels)
            xywh = boxes.xyxy_to_xywh(moment.boxes).tolist()
            people = zip(moment.ids.tolist(), xywh, strict=True)
            rows.extend(_row((frame.index, number, box)) for number, box in people)
            yield frame

    found = seen(frames, find or (lambda frame: told[frame.index]), looks)
    found = found._replace(by_detector=find is not None)
    return Truth("".join(rows), len(found.stream)), found


def speed() -> None:
    """On one thread; medians over frames."""
    person, joint = (build_detector(name, conf=MIN_SCORE) for name in ("person", "joint"))
    look = open_embedder(DEFAULT_EMBEDDER, 1)
    print(
        f"{'':12}{'people':>8}{'person':>8}{'looking':>8}{'joint':>8}   joint to person, with looks"
    )
    for scene in ("easy", "crossing", "crowd"):
        taken = []
        for moment in islice(World(SCENES[scene], seed=SEEDS[0]).moments(200), 0, None, 4):
            image, times = moment.frame.image, [time.perf_counter()]
            (found,) = person([image])
            times.append(time.perf_counter())
            look(image, found.boxes)
            times.append(time.perf_counter())
            joint([image])
            times.append(time.perf_counter())
            taken.append([len(found), *np.diff(times)])
        people, alone, looking, both = np.array(taken).T
        ratios = np.median(both / alone), np.median(both / (alone + looking))
        costs = "".join(f"{1e3 * np.median(each):8.1f}" for each in (alone, looking, both))
        print(
            f"{scene:12}{people.mean():8.1f}{costs}   {ratios[0]:.2f}, {ratios[1]:.2f}", flush=True
        )


def _row(told: tuple[int, int, list[float]]) -> str:
    """Of a ground truth."""
    frame, number, xywh = told
    return f"{frame},{number},{','.join(f'{side:g}' for side in xywh)},1,1,1\n"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embedders", nargs="*", default=[DEFAULT_EMBEDDER, OSNET])
    parser.add_argument("--joint", nargs="*", default=[], metavar="DETECTOR")
    parser.add_argument("--scenes", action="store_true")
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args(words)
    if given.speed:
        speed()
        return
    columns = f"{'HOTA':>7}{'MOTA':>7}{'IDF1':>7}{'IDSW':>6}{'frames/s':>8}"
    print(f"{'':44}{'':12}{columns}")
    (scenes if given.scenes else pets)(given.embedders, given.joint)


if __name__ == "__main__":
    main(sys.argv[1:])
