"""Record what `mot` computes on real data, and compare two recordings byte for byte.

    python scripts/make/behaviour.py record before/ [--mot PATH] [--only tracks detect ...]
    python scripts/make/behaviour.py compare before/ after/

Only the command line is used, so that the same script runs on an old and a new version. MOT_SHARED
names the folder with the real data (default ../shared).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SHARED = Path(os.environ.get("MOT_SHARED", "../shared")).resolve()
MOT17 = SHARED / "data/mot17"
PETS = SHARED / "data/mot15/PETS09-S2L1"
MOTION_TRACKERS = "best,boosttrack,botsort,bytetrack,cbiou,ocsort,sort"
EMBEDDING_TRACKERS = ("best", "botsort", "deepsort", "fairmot", "strongsort")
FEATURES = "FRCNN_deepsort_features.npy"
RECIPES = ("yolov3-mobilenetv2", "retinanet-mobilenetv2", "fasterrcnn-mobilenetv2")
STEPS = 20
Run = Callable[..., Any]


def record_tracks(out: Path, run: Run) -> None:
    """Every tracker on four MOT17 sequences: YOLOX on the second halves, FRCNN in full."""
    for name, detections, split in (
        ("halfval", "yolox_x_ablation", "val-half"),
        ("frcnn", "FRCNN", "all"),
    ):
        folder = out / name
        run(
            *("benchmark", MOT17, "--detections", detections, "--split", split, "--tracker"),
            *(MOTION_TRACKERS, "--embedder", "none", "-o", folder, "-q"),
        )
        scores = json.loads((folder / "scores.json").read_text())
        (folder / "scores.json").write_text(json.dumps(scores, indent=1))
        for path in [*folder.glob("*/*.json"), folder / "run.json", folder / "benchmark.json"]:
            path.unlink()  # timings and versions
    sequence = MOT17 / "MOT17-05"
    for tracker in EMBEDDING_TRACKERS:
        folder, features = out / "embeddings" / tracker, sequence / "det" / FEATURES
        inputs = ("--detections", "FRCNN", "--embeddings", features)
        run("track", sequence, *inputs, "--tracker", tracker, "--no-video", "-o", folder, "-q")
        (folder / "run.json").unlink()
        run("eval", folder, "--gt", MOT17, "--json", folder / "scores.json", "-q")


def record_detections(out: Path, run: Run) -> None:
    """`mot detect` and `mot track` with the built-in networks, and their scores."""
    truth = out / "gt"
    truth.mkdir(parents=True)
    shutil.copytree(PETS / "gt", truth / "PETS09-S2L1/gt")
    for detector in ("person", "joint"):
        folder = out / detector
        run("detect", PETS, "--detector", detector, "-o", folder / "detections.txt", "-q")
        run("track", PETS, "--detector", detector, "--no-video", "-o", folder / "track", "-q")
        (folder / "track/run.json").unlink()
        result = folder / "track/PETS09-S2L1.txt"
        run("eval", result, "--gt", PETS, "--json", folder / "scores.json", "-q")


def record_training(out: Path, run: Run) -> None:
    """Losses of the first steps on four images."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "crowd"
        run("synth", "--scene", "crowd", "--size", "320x192", "--frames", "8", "-o", data)
        recipe = Path(scratch) / "data.toml"
        recipe.write_text(
            f'[[data.train]]\nannotations = "{data}"\n[[data.val]]\nannotations = "{data}"\n'
        )
        for name in RECIPES:
            folder = Path(scratch) / name
            size = ("model.width=160", "model.height=96", "schedule.seed=3", "schedule.workers=0")
            more = ("schedule.epochs=2", "schedule.batch=2", "schedule.precision=fp32")
            sets = [word for value in (*size, *more) for word in ("--set", value)]
            words = ("train", name, recipe, *sets, "--overfit", "4", "-o", folder, "-q")
            train_until(STEPS, folder / "log.jsonl", run(*words, "--device", "cpu", wait=False))
            (out / name).mkdir(parents=True)
            lines = (folder / "log.jsonl").read_text().splitlines(keepends=True)
            (out / name / "losses.jsonl").write_text("".join(lines[:STEPS]))


def train_until(steps: int, log: Path, process: subprocess.Popen[str]) -> None:
    """Interrupt a training when so many steps are logged."""
    while process.poll() is None:
        if log.exists() and len(log.read_text().splitlines()) > steps:
            process.send_signal(signal.SIGINT)
            process.wait()
        time.sleep(0.2)
    if not log.exists():
        sys.exit(process.communicate()[1])


def record_exports(out: Path, run: Run) -> None:
    """Outputs of exported networks for a fixed random image."""
    body = SHARED / "data/weights/yolo-fastest-1.1_body.cfg"
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("person", "joint", body):
            exported = Path(scratch) / "network.onnx"
            run("export", name, "-o", exported, "-q", "--overwrite")
            np.savez(out / f"{Path(name).stem}.npz", *outputs_of(exported))


def outputs_of(path: Path) -> Iterator[np.ndarray]:
    """The network's outputs for a fixed random image."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in given.shape]
    shape[2:] = [96, 160] if not isinstance(given.shape[2], int) else shape[2:]
    image = np.random.default_rng(0).random(shape, np.float32)
    yield from session.run(None, {given.name: image})


PARTS = {
    "tracks": record_tracks,
    "detect": record_detections,
    "train": record_training,
    "export": record_exports,
}


def record(out: Path, mot: str, only: list[str]) -> None:
    if not (SHARED / "data").is_dir():
        sys.exit(f"no real data at {SHARED}: set MOT_SHARED")
    for part in only or PARTS:
        started = time.perf_counter()
        shutil.rmtree(out / part, ignore_errors=True)
        (out / part).mkdir(parents=True)
        with tempfile.TemporaryDirectory() as home:
            PARTS[part](out.resolve() / part, runner(mot, home))
        print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)


def runner(mot: str, home: str) -> Run:
    environment = {**os.environ, "MOT_HOME": home, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def run(*words: object, wait: bool = True) -> Any:
        command = [*mot.split(), *map(str, words)]
        if not wait:
            return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return None

    return run


def compare(before: Path, after: Path) -> bool:
    """Print a line per file; whether all are the same."""
    names = sorted(
        {p.relative_to(root) for root in (before, after) for p in root.rglob("*") if p.is_file()}
    )
    is_same = bool(names)
    for name in names:
        fault = difference(before / name, after / name)
        is_same &= fault is None
        print(f"{'same' if fault is None else 'DIFFERENT':9} {name}{f': {fault}' if fault else ''}")
    return is_same


def difference(one: Path, other: Path) -> str | None:
    if not (one.exists() and other.exists()):
        return f"missing in {(one if not one.exists() else other).parent}"
    if one.suffix == ".npz":
        first, second = np.load(one), np.load(other)
        pairs = [(first[key], second[key]) for key in first.files]
        bad = [key for key, (a, b) in zip(first.files, pairs, strict=True) if not same_bytes(a, b)]
        return f"arrays {', '.join(bad)}" if bad or len(second.files) != len(pairs) else None
    if one.name == "losses.jsonl":
        return difference_of_losses(numbers_in(one), numbers_in(other))
    if one.read_bytes() == other.read_bytes():
        return None
    lines = zip(one.read_text().splitlines(), other.read_text().splitlines(), strict=False)
    first_line = next((f"{a!r} -> {b!r}" for a, b in lines if a != b), "another length")
    return first_line[:200]


def same_bytes(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def numbers_in(path: Path) -> list[dict[str, float]]:
    """Of each logged step the numbers, by name, without timings."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {key: value for key, value in row.items() if isinstance(value, int | float)}
        for row in rows
        if "step" in row
    ]


def difference_of_losses(
    before: list[dict[str, float]], after: list[dict[str, float]]
) -> str | None:
    """Values in order, since names may change; seconds and rates are not compared."""
    skipped = ("second", "time", "per_", "eta", "memory", "wait", "images")
    if len(before) != len(after):
        return f"{len(before)} and {len(after)} rows"
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        values = [
            [v for key, v in row.items() if not any(word in key for word in skipped)]
            for row in (one, other)
        ]
        if len(values[0]) != len(values[1]) or not np.allclose(*values, rtol=1e-6, atol=1e-6):
            return f"row {number}: {one} -> {other}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run the command line and keep its results")
    recording.add_argument("out", type=Path)
    recording.add_argument("--mot", default=f"{sys.executable} -m mot", help="the command to run")
    recording.add_argument("--only", nargs="+", choices=list(PARTS), default=[])
    comparing = verbs.add_parser("compare", help="compare two recordings")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "record":
        record(arguments.out, arguments.mot, arguments.only)
    else:
        sys.exit(not compare(arguments.before, arguments.after))


if __name__ == "__main__":
    main()
