"""Figures of the core: start-up, reading, Kalman step, SORT per frame, memory of a long stream.

    python scripts/bench/core.py [startup reading kalman sort memory]

Ratios are of things timed in turns in the same run; figures are medians. MOT_SHARED names the
folder with the real data (default ../shared).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from mot.config import build_tracker
from mot.motfile import find_sequences, read_detections, read_mot_rows
from mot.synthetic import make_world
from mot.trackers.kalman import XYAH_MODEL, KalmanFilter
from mot.types import Detections, Frame

DATA = Path(os.environ.get("MOT_SHARED", "../shared")) / "data" / "mot17"


def medians(*works: Callable[[], object], rounds: int = 15) -> list[float]:
    """Seconds of each, taken in turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [median(taken) for taken in times]


def startup() -> None:
    mot = [sys.executable, "-m", "mot", "--help"]
    bare = [sys.executable, "-c", "pass"]
    seconds, python = medians(
        lambda: subprocess.run(mot, capture_output=True, check=True),
        lambda: subprocess.run(bare, capture_output=True, check=True),
        rounds=9,
    )
    print(f"mot --help: {seconds:.3f} s, of which Python itself {python:.3f} s")


def reading() -> None:
    files = sorted(DATA.glob("*/gt/gt.txt"))
    rows = sum(len(read_mot_rows(file)) for file in files)
    ours, numpy = medians(
        lambda: [read_mot_rows(file) for file in files],
        lambda: [np.loadtxt(file, delimiter=",") for file in files],
    )
    print(
        f"reading and checking {rows} rows of ground truth: {ours * 1e3:.1f} ms, "
        f"numpy.loadtxt alone {numpy * 1e3:.1f} ms: {numpy / ours:.2f} times as fast"
    )


def kalman() -> None:
    from filterpy.kalman import KalmanFilter as Filterpy

    for count in (10, 100, 300):
        ours = KalmanFilter(XYAH_MODEL)
        boxes = np.random.default_rng(0).uniform(50, 500, (4, count))
        state = ours.initiate(boxes)
        plain = [Filterpy(dim_x=8, dim_z=4) for _ in range(count)]
        for one, box in zip(plain, boxes.T, strict=True):
            one.x[:4, 0] = box
            one.F[:4, 4:] = np.eye(4)
            one.H[:, :4] = np.eye(4)

        def step_ours(ours=ours, state=state, boxes=boxes) -> None:
            ours.predict(state)
            ours.update(state, boxes)

        def step_plain(plain=plain, boxes=boxes) -> None:
            for one, box in zip(plain, boxes.T, strict=True):
                one.predict()
                one.update(box[:, None])

        fast, slow = medians(lambda: [step_ours() for _ in range(20)], step_plain)
        fast /= 20
        print(
            f"Kalman step, {count} tracks: {fast * 1e3:.4f} ms, filterpy {slow * 1e3:.2f} ms: "
            f"{slow / fast:.0f} times as fast"
        )


def sort() -> None:
    halves = [_second_half(sequence) for sequence in find_sequences(DATA)]
    frames = sum(len(half) for half in halves)

    def run() -> None:
        for half in halves:
            tracker = build_tracker("sort")
            for detections, frame in half:
                tracker.update(detections, frame)

    (seconds,) = medians(run, rounds=9)
    print(f"SORT, MOT17 half-val, YOLOX detections: {seconds / frames * 1e3:.4f} ms a frame")


def _second_half(sequence) -> list[tuple[Detections, Frame]]:
    """MOT17 half-val: frames N // 2 + 2 to N, counted from 1, as a stream of its own."""
    table = read_detections(sequence.detections["yolox_x_ablation"])
    nothing = Detections.empty()
    first = sequence.length // 2 + 2
    return [
        (table.get(number, nothing), Frame(None, index + 1, index / sequence.fps))
        for index, number in enumerate(range(first, sequence.length + 1))
    ]


def memory() -> None:
    tracker = build_tracker("sort")
    world = make_world("easy", seed=0, render=False)
    for moment in world.moments(100_000):
        tracker.update(moment.detections, moment.frame)
        if moment.frame.index in (1_000, 10_000, 50_000, 100_000):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"memory after {moment.frame.index} frames: {peak:.0f} MB at most so far")


BENCHMARKS = {work.__name__: work for work in (startup, reading, kalman, sort, memory)}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
