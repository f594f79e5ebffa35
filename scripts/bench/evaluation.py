"""HOTA, CLEAR and identity with preprocessing, from text files to the numbers: ours beside
TrackEval's and roboflow trackers', in one run, on one thread; processor time.

    python scripts/bench/evaluation.py [mot17 1000x50 10000x100] [--peak]

mot17      the four sequences of ../shared, full length, tracked by SORT from FRCNN detections
FxP        F frames with P people each, a rendered walk with misses, false alarms and switches
--peak     ours alone, and the peak of the memory

TrackEval and roboflow's package are left out where they are not installed. Checks that the numbers
are equal to 1e-9 before any time is shown. MOT_SHARED names the real data (default ../shared).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import evaluate_by_trackeval

from mot.config import build_tracker
from mot.evaluation.protocols import PROTOCOLS
from mot.evaluation.score import combine_scores, score_rows
from mot.motfile import find_sequences, format_mot_rows, read_detections, read_mot_rows
from mot.types import Detections, Frame

SHARED = Path(os.environ.get("MOT_SHARED", "../shared"))
REPEATS = 3


def ours(truth: Path, results: Path) -> dict[str, float]:
    parts = []
    for sequence in find_sequences(truth):
        assert sequence.ground_truth
        rows = read_mot_rows(sequence.ground_truth), read_mot_rows(results / f"{sequence.name}.txt")
        parts.append(score_rows(*rows, sequence.length, PROTOCOLS["mot17"])["pedestrian"])
    return combine_scores(parts).combined()


def trackeval_s(truth: Path, results: Path) -> dict[str, float]:
    names = [sequence.name for sequence in find_sequences(truth)]
    combined = evaluate_by_trackeval(truth, results.parents[1], names)["COMBINED_SEQ"]
    families = combined["pedestrian"]
    return {"HOTA": float(np.mean(families["HOTA"]["HOTA"]))} | {
        name: float(families[family][name])
        for family, name in (("CLEAR", "MOTA"), ("CLEAR", "IDSW"), ("Identity", "IDF1"))
    }


def roboflow_s(truth: Path, results: Path) -> dict[str, float]:
    from trackers.eval import evaluate_mot_sequences

    with contextlib.redirect_stdout(io.StringIO()):
        found = evaluate_mot_sequences(
            gt_dir=truth, tracker_dir=results, metrics=["CLEAR", "HOTA", "Identity"]
        )
    total = found.aggregate
    return {
        "HOTA": total.HOTA.HOTA,
        "MOTA": total.CLEAR.MOTA,
        "IDSW": total.CLEAR.IDSW,
        "IDF1": total.Identity.IDF1,
    }


def write_mot17(home: Path) -> tuple[Path, Path]:
    results = home / "trackers/ours/data"
    results.mkdir(parents=True)
    for sequence in find_sequences(SHARED / "data/mot17"):
        tracker, table = build_tracker("sort"), read_detections(sequence.detections["FRCNN"])
        with (results / f"{sequence.name}.txt").open("w") as file:
            for index in range(1, sequence.length + 1):
                frame = Frame(None, index, (index - 1) / sequence.fps)
                tracks = tracker.update(table.get(index, Detections.empty()), frame)
                file.write(
                    format_mot_rows(
                        index, tracks.ids.tolist(), tracks.boxes, tracks.scores.tolist()
                    )
                )
    return SHARED / "data/mot17", results


def write_crowd(home: Path, frames: int, people: int) -> tuple[Path, Path]:
    """People on straight ways; each place is taken by a new person now and then."""
    chance = np.random.default_rng(0)
    truth, results = home / "gt/CROWD-01/gt", home / "trackers/ours/data"
    truth.mkdir(parents=True)
    results.mkdir(parents=True)
    (truth.parent / "seqinfo.ini").write_text(
        f"[Sequence]\nname=CROWD-01\nseqLength={frames}\nimWidth=1920\nimHeight=1080\n"
    )
    corner = chance.uniform(0, [1860, 960], (people, 2))
    speed = chance.normal(0, 1.5, (people, 2))
    size = np.column_stack([width := chance.uniform(25, 60, people), width * 2.6])
    ids, tracked = np.arange(1, people + 1), np.arange(1, people + 1)
    with (truth / "gt.txt").open("w") as gt, (results / "CROWD-01.txt").open("w") as result:
        for frame in range(1, frames + 1):
            corner = (corner + speed) % [1860, 960]
            ids = np.where(chance.random(people) < 0.002, ids + people, ids)
            new = chance.random(people) < 0.004
            tracked = np.where(new, tracked.max() + 1 + np.arange(people), tracked)
            boxes = np.concatenate([corner, size], axis=1)
            gt.write(_rows(frame, ids, boxes, "1,1,1.0"))
            seen = chance.random(people) < 0.9
            noisy = boxes + chance.normal(0, 3, boxes.shape) * [1, 1, 0.5, 1]
            false = chance.random(people) < 0.05
            noisy[false, :2] = chance.uniform(0, [1860, 960], (false.sum(), 2))
            result.write(_rows(frame, tracked[seen], noisy[seen], "1,-1,-1,-1"))
    return home / "gt", results


def _rows(frame: int, ids: np.ndarray, xywh: np.ndarray, tail: str) -> str:
    return "".join(
        f"{frame},{number},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{tail}\n"
        for number, (x, y, w, h) in zip(ids.tolist(), xywh.tolist(), strict=True)
    )


def compare(load: str, truth: Path, results: Path, repeats: int) -> None:
    times = {}
    reference = ours(truth, results)
    for work in (ours, trackeval_s, roboflow_s):
        seconds = []
        try:
            for _ in range(repeats if work is not ours else 2 * repeats):
                start = time.process_time()
                found = work(truth, results)
                seconds.append(time.process_time() - start)
        except ImportError:
            print(f"{load:12} {work.__name__:12} not installed")
            continue
        off = max(abs(reference[name] - value) for name, value in found.items())
        assert off < (1e-9 if work is not roboflow_s else 1.0), (work.__name__, off)
        times[work.__name__] = float(np.median(seconds))
        ratio = times[work.__name__] / times["ours"]
        note = f"largest difference {off:.1e}"
        print(f"{load:12} {work.__name__:12} {times[work.__name__]:8.3f} s {ratio:6.1f}x  {note}")


def main(words: list[str]) -> None:
    peak = "--peak" in words
    for load in [word for word in words if word != "--peak"] or ["mot17", "1000x50", "10000x100"]:
        with tempfile.TemporaryDirectory() as folder:
            write: Callable[[Path], tuple[Path, Path]] = write_mot17
            size = [int(part) for part in load.split("x")] if "x" in load else []
            files = write(Path(folder)) if not size else write_crowd(Path(folder), *size)
            if peak:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                ours(*files)
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                print(f"{load:12} peak memory {after} MB (before scoring {before} MB)")
            else:
                compare(load, *files, repeats=1 if size and size[0] > 1000 else REPEATS)


if __name__ == "__main__":
    main(sys.argv[1:])
