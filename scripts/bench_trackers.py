"""All trackers on the same detections: HOTA, MOTA, IDF1, switches (by trackeval), ms per frame.

    python scripts/bench_trackers.py [halfval deepsort scenes load]

halfval   MOT17 half-val with YOLOX detections, beside the peers' figures of ../shared/reference
deepsort  MOT17-05, FRCNN detections with DeepSORT's features, all frames
scenes    rendered worlds with their noisy detections and embeddings
load      500 people at once

One thread. MOT_SHARED names the folder with the real data (default ../shared).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scoring import Truth, score

from mot.camera_motion import MotionFile
from mot.config import build_tracker
from mot.formats.embeddings import read_embeddings
from mot.motfile import (
    Sequence,
    detections_by_frame,
    find_sequences,
    mot_lines,
    read_detections,
    read_rows_of,
)
from mot.synthetic import SCENES, make_world
from mot.trackers import TRACKERS
from mot.trackers.postprocess import collect, mend, spread
from mot.types import Detections, Frame, Tracks

SHARED = Path(os.environ.get("MOT_SHARED", "../shared"))
MOT17 = SHARED / "data/mot17"
NEEDS_EMBEDDINGS = ("deepsort", "strongsort", "fairmot")
MOTION_ONLY = [name for name in TRACKERS if name not in NEEDS_EMBEDDINGS]

Stream = list[tuple[Detections, Frame]]


@dataclass(frozen=True)
class Load:
    """What the trackers are run on: streams by name, and their truth."""

    streams: dict[str, Stream]
    truths: dict[str, Truth]


def run(load: Load, name: str, post: Iterable[str] = (), **settings: object) -> tuple[dict, float]:
    """The results as MOT text, and milliseconds a frame of `update` alone."""
    results, seconds, frames = {}, 0.0, 0
    for sequence, stream in load.streams.items():
        tracker = build_tracker(name, **settings)
        start = time.perf_counter()
        tracked = [tracker.update(detections, frame) for detections, frame in stream]
        seconds += time.perf_counter() - start
        frames += len(stream)
        numbers = [frame.index for _, frame in stream]
        results[sequence] = as_text(zip(numbers, tracked, strict=True), post)
    return results, seconds / frames * 1e3


def as_text(tracked: Iterable[tuple[int, Tracks]], post: Iterable[str]) -> str:
    result = mend(collect(tracked), post, {})
    return "".join(
        mot_lines(number, tracks.ids.tolist(), tracks.boxes, tracks.scores.tolist())
        for number, tracks in spread(result).items()
    )


def second_half(sequence: Sequence, with_camera: bool = False) -> tuple[Stream, Truth]:
    """Half-val: frames N // 2 + 2 to N, counted from 1, as a stream of its own."""
    first = sequence.length // 2 + 2
    table = read_detections(sequence.detections["yolox_x_ablation"])
    motion = MotionFile(sequence.folder / "gmc.txt") if with_camera else None
    nothing = Detections.empty()
    stream = []
    for number in range(first, sequence.length + 1):
        here = Frame(None, number, (number - first) / sequence.fps)
        affine = motion(here, nothing) if motion else None
        frame = Frame(None, number - first + 1, here.time, affine)
        stream.append((table.get(number, nothing), frame))
    return stream, truth_of(sequence, first)


def truth_of(sequence: Sequence, first: int = 1) -> Truth:
    assert sequence.ground_truth
    rows = read_rows_of(sequence.ground_truth)
    kept = rows.frames >= first
    table = np.column_stack(
        [rows.frames - first + 1, rows.ids, rows.xywh, rows.scores, rows.classes, rows.visibility]
    )[kept]
    text = "".join(",".join(f"{value:g}" for value in row) + "\n" for row in table.tolist())
    return Truth(text, sequence.length - first + 1, sequence.size or (1920, 1080))


def halfval_load(with_camera: bool = False) -> Load:
    halves = {s.name: second_half(s, with_camera) for s in find_sequences(MOT17)}
    return Load({n: h[0] for n, h in halves.items()}, {n: h[1] for n, h in halves.items()})


def show(name: str, load: Load, outcome: tuple[dict, float]) -> dict[str, float]:
    results, milliseconds = outcome
    scores = score(load.truths, results)
    total = scores.pop("COMBINED_SEQ")
    each = " ".join(f"{scores[sequence]['HOTA']:5.1f}" for sequence in sorted(scores))
    print(
        f"{name:22} {total['HOTA']:6.2f} {total['DetA']:6.2f} {total['AssA']:6.2f} "
        f"{total['MOTA']:6.2f} {total['IDF1']:6.2f} {total['IDSW']:5.0f} {milliseconds:8.3f}"
        f"   {each}",
        flush=True,
    )
    return total


def head(load: Load) -> None:
    names = " ".join(sorted(load.truths))
    columns = f"{'HOTA':>6} {'DetA':>6} {'AssA':>6} {'MOTA':>6} {'IDF1':>6} {'IDSW':>5} {'ms':>8}"
    print(f"\n{'':22} {columns}   HOTA of {names}")


def halfval() -> None:
    load = halfval_load()
    head(load)
    for name in MOTION_ONLY:
        show(name, load, run(load, name))
    show("best, post", load, run(load, "best", post=("merge", "linear", "gsi")))
    camera = halfval_load(with_camera=True)
    show("best, camera", camera, run(camera, "best"))
    show("best, camera, post", camera, run(camera, "best", post=("merge", "linear", "gsi")))
    show("botsort, camera", camera, run(camera, "botsort"))
    reference = SHARED / "reference/halfval_peers.json"
    print("peers:")
    for name, peer in json.loads(reference.read_text()).items():
        total = peer["COMBINED_SEQ"]
        each = " ".join(f"{peer[s]['HOTA']:5.1f}" for s in sorted(load.truths))
        values = " ".join(f"{total[key]:6.2f}" for key in ("HOTA", "DetA", "AssA", "MOTA", "IDF1"))
        print(f"{name:22} {values} {total['IDSW']:5.0f} {peer['ms_per_frame']:8.3f}   {each}")


def deepsort() -> None:
    plain, looking = featured(False), featured(True)
    head(plain)
    for name in TRACKERS:
        uses = name in (*NEEDS_EMBEDDINGS, "botsort", "best")
        load = looking if uses else plain
        show(name + (", features" if uses else ""), load, run(load, name))


def featured(with_features: bool) -> Load:
    """MOT17-05, with the features that DeepSORT's authors made of its detections."""
    (sequence,) = (s for s in find_sequences(MOT17) if s.name == "MOT17-05")
    rows = read_rows_of(sequence.detections["FRCNN"])
    features = sequence.folder / "det/FRCNN_deepsort_features.npy"
    looks = read_embeddings(features, rows) if with_features else None
    table, nothing = detections_by_frame(rows, looks), Detections.empty()
    stream = [
        (table.get(number, nothing), Frame(None, number, (number - 1) / sequence.fps))
        for number in range(1, rows.last_frame + 1)
    ]
    return Load({sequence.name: stream}, {sequence.name: truth_of(sequence)})


def scenes() -> None:
    for scene in ("crowd", "crossing", "camera"):
        load, blind = rendered(scene, True), rendered(scene, False)
        head(load)
        for name in TRACKERS:
            show(name, load, run(load if name in NEEDS_EMBEDDINGS else blind, name))
        for name in ("botsort", "best"):
            show(f"{name}, embeddings", load, run(load, name))


def rendered(scene: str, with_embeddings: bool, seeds: int = 4, frames: int = 600) -> Load:
    streams, truths = {}, {}
    for seed in range(seeds):
        world = make_world(scene, seed, render=False)
        stream, rows = [], []
        for moment in world.moments(frames):
            seen = moment.detections
            if not with_embeddings:
                seen = Detections(seen.boxes, seen.scores, seen.labels)
            stream.append((seen, moment.frame))
            ones = [1.0] * len(moment.ids)
            rows.append(
                mot_lines(moment.frame.index, moment.ids.tolist(), moment.boxes, ones, "1,1")
            )
        streams[f"{scene}-{seed}"] = stream
        truths[f"{scene}-{seed}"] = Truth("".join(rows), frames, SCENES[scene].size)
    return Load(streams, truths)


def load() -> None:
    print("\nmilliseconds a frame")
    for count in (30, 100, 250, 500):
        stream = _marching(count)
        times = []
        for name in MOTION_ONLY:
            tracker = build_tracker(name)
            start = time.perf_counter()
            for detections, frame in stream:
                tracker.update(detections, frame)
            times.append(f"{name} {(time.perf_counter() - start) / len(stream) * 1e3:.2f}")
        print(f"{count:4} people: {', '.join(times)}")


def _marching(count: int, frames: int = 60) -> Stream:
    """People in a wide street, each on a way of their own, their boxes a little off."""
    chance = np.random.default_rng(0)
    corner = chance.uniform(0, [1880, 980], (count, 2))
    speed = chance.normal(0, 2, (count, 2))
    stream = []
    for index in range(frames):
        left_top = corner + speed * index + chance.normal(0, 1, (count, 2))
        xyxy = np.concatenate([left_top, left_top + [40, 100]], axis=1)
        scores = chance.uniform(0.5, 1, count)
        stream.append((Detections.from_boxes(xyxy, scores), Frame(None, index + 1, index / 30)))
    return stream


BENCHMARKS: dict[str, Callable[[], None]] = {
    work.__name__: work for work in (halfval, deepsort, scenes, load)
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
