"""Do the intervals of `mot eval` hold what they promise?

    python scripts/bench/check_intervals.py [worlds] [seconds]

Two trackers are compared in many rendered crowds of one kind. Their true difference is the mean
over all crowds; of the 95 % intervals, each from one crowd alone, 95 in 100 should hold it. Printed
are the share that does, with people drawn as well as blocks of time and with blocks alone, and the
spread that the intervals claim beside the one there is.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys

import numpy as np

from mot import boxes
from mot.config import build_tracker
from mot.evaluation.breakdown import METRICS, by_block_and_track, compute_metrics
from mot.evaluation.compare import Interval, compare
from mot.evaluation.protocols import PROTOCOLS, apply_protocol
from mot.evaluation.score import Matches, match_boxes
from mot.motfile import MotRows
from mot.synthetic import make_world
from mot.types import Detections

FRAMES, FPS = 600, 30
PAIRS = (("bytetrack", "sort"), ("bytetrack", "ocsort"))


def rows_of(parts: list[tuple[int, np.ndarray, np.ndarray]]) -> MotRows:
    frames = np.concatenate([np.full(len(ids), frame) for frame, ids, _ in parts])
    ids = np.concatenate([ids for _, ids, _ in parts])
    xywh = boxes.xyxy_to_xywh(np.concatenate([xyxy for *_, xyxy in parts]).astype(np.float64))
    ones = np.ones(len(ids))
    return MotRows(frames, ids, xywh, ones, ones.astype(np.int64), -ones)


def run(seed: int, names: list[str]) -> dict[str, Matches]:
    world = make_world("crowd", seed, render=False)
    trackers = {name: build_tracker(name) for name in names}
    truth, found = [], {name: [] for name in names}
    for moment in world.moments(FRAMES):
        truth.append((moment.frame.index, moment.ids, moment.boxes))
        seen = moment.detections
        blind = Detections(seen.boxes, seen.scores, seen.labels)
        for name, tracker in trackers.items():
            tracks = tracker.update(blind, moment.frame)
            found[name].append((moment.frame.index, tracks.ids, tracks.boxes))
    plain = PROTOCOLS["plain"]
    return {
        name: match_boxes(
            apply_protocol(rows_of(truth), rows_of(parts), FRAMES, plain)["pedestrian"]
        )
        for name, parts in found.items()
    }


def intervals(worlds: list[dict[str, Matches]], pair: tuple[str, str], **how: object) -> list:
    found = []
    for world in worlds:
        parts = {name: {"crowd": parts_of(world[name], **how)} for name in pair}
        found.append(compare(parts, draws=1000).differences[pair[1]])
    return found


def parts_of(matches: Matches, block: int, with_people: bool) -> np.ndarray:
    table = by_block_and_track(matches, block)
    return table if with_people else table.sum(1, keepdims=True)


def main(worlds: int = 24, seconds: float = 2.0) -> None:
    names = sorted({name for pair in PAIRS for name in pair})
    ran = [run(seed, names) for seed in range(worlds)]
    block = round(seconds * FPS)
    for pair in PAIRS:
        truth = {m: differences_of(ran, pair, m) for m in METRICS}
        print(f"\n{pair[1]} against {pair[0]}, {worlds} crowds of {FRAMES / FPS:g} s")
        for label, with_people in (("blocks and people", True), ("blocks alone", False)):
            found = intervals(ran, pair, block=block, with_people=with_people)
            print(f"  {label}:")
            for metric in METRICS:
                print(f"    {metric:5} {line(truth[metric], [each[metric] for each in found])}")


def differences_of(ran: list, pair: tuple[str, str], metric: str) -> np.ndarray:
    tables = [[by_block_and_track(world[name], 1).sum((0, 1)) for name in pair] for world in ran]
    return np.array(
        [float(compute_metrics(b)[metric] - compute_metrics(a)[metric]) for a, b in tables]
    )


def line(differences: np.ndarray, found: list[Interval]) -> str:
    mean = differences.mean()
    holds = np.mean([each.low <= mean <= each.high for each in found])
    claimed = np.mean([each.high - each.low for each in found]) / (2 * 1.96)
    return (
        f"difference {100 * mean:+6.2f}; {100 * holds:3.0f} % hold it; spread claimed "
        f"{100 * claimed:.2f}, there is {100 * differences.std(ddof=1):.2f}"
    )


if __name__ == "__main__":
    main(*(int(sys.argv[1]), *(float(word) for word in sys.argv[2:3])) if sys.argv[1:] else ())
