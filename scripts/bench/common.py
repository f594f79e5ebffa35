"""What several benchmarks share: real data, scores by TrackEval, timers, loads."""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mot.camera_motion import MotionFile
from mot.commands.synth import writer_for
from mot.config import (
    build_detector,
    build_tracker,
)
from mot.formats.embedding_files import read_embeddings
from mot.motfile import (
    Sequence,
    detections_by_frame,
    find_sequences,
    format_mot_rows,
    read_detections,
    read_mot_rows,
)
from mot.reid.open import open_embedder
from mot.synthetic import SCENES, World, make_world
from mot.trackers import TRACKERS
from mot.trackers.postprocess import postprocess, to_frames, to_trajectories
from mot.types import Detections, Frame, Tracks


@dataclass(frozen=True)
class Truth:
    """The ground truth of a sequence: its rows as MOT text, its length and size."""

    rows: str
    length: int
    size: tuple[int, int] = (1920, 1080)


def score(truths: dict[str, Truth], results: dict[str, str]) -> dict[str, dict[str, float]]:
    """HOTA, DetA, AssA, MOTA, IDF1 (percent) and IDSW of each sequence and COMBINED_SEQ."""
    with tempfile.TemporaryDirectory() as home:
        _write(Path(home), truths, results)
        found = evaluate_by_trackeval(Path(home) / "gt", Path(home) / "trackers", list(results))
    return {name: _row(parts["pedestrian"]) for name, parts in found.items()}


def evaluate_by_trackeval(truth: Path, trackers: Path, names: list[str]) -> dict:
    """All numbers of `trackers/ours/data/NAME.txt`, by sequence, class and metric family."""
    import trackeval

    dataset = {
        "GT_FOLDER": str(truth),
        "TRACKERS_FOLDER": str(trackers),
        "TRACKERS_TO_EVAL": ["ours"],
        "SKIP_SPLIT_FOL": True,
        "SEQ_INFO": dict.fromkeys(names),
        "PRINT_CONFIG": False,
        "BENCHMARK": "MOT17",
    }
    quiet = {"USE_PARALLEL": False, "PRINT_RESULTS": False, "PRINT_CONFIG": False}
    quiet |= {"TIME_PROGRESS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False}
    metrics = [
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
        trackeval.metrics.Identity({"PRINT_CONFIG": False}),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = trackeval.Evaluator(quiet | {"PLOT_CURVES": False})
        found, _ = evaluator.evaluate([trackeval.datasets.MotChallenge2DBox(dataset)], metrics)
    return found["MotChallenge2DBox"]["ours"]


def _write(home: Path, truths: dict[str, Truth], results: dict[str, str]) -> None:
    (home / "trackers/ours/data").mkdir(parents=True)
    for name, rows in results.items():
        truth, folder = truths[name], home / "gt" / name
        (folder / "gt").mkdir(parents=True)
        (folder / "gt/gt.txt").write_text(truth.rows)
        (folder / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nseqLength={truth.length}\n"
            f"imWidth={truth.size[0]}\nimHeight={truth.size[1]}\n"
        )
        (home / f"trackers/ours/data/{name}.txt").write_text(rows)


def _row(parts: dict) -> dict[str, float]:
    hota = {name: 100 * float(np.mean(parts["HOTA"][name])) for name in ("HOTA", "DetA", "AssA")}
    clear, identity = parts["CLEAR"], parts["Identity"]
    rest = {"MOTA": 100 * clear["MOTA"], "IDF1": 100 * identity["IDF1"], "IDSW": clear["IDSW"]}
    return hota | rest


MIN_SCORE = 0.1


Frames = Callable[[], Iterable[Frame]]


Find = Callable[[Frame], Detections]


class Seen(NamedTuple):
    """A stream with its detections, and the seconds that it took to make them."""

    stream: Stream
    seconds: float
    by_detector: bool = True


def seen(frames: Frames, find: Find, embedder: str | None = None) -> Seen:
    look = open_embedder(embedder) if embedder else None
    stream, seconds = [], 0.0
    for frame in frames():
        began = time.perf_counter()
        found = find(frame)
        if look and len(found):
            vectors = look(frame.image, found.boxes)
            found = Detections(found.boxes, found.scores, found.labels, vectors)
        seconds += time.perf_counter() - began
        stream.append((found, Frame(None, frame.index, frame.time)))
    return Seen(stream, seconds)


def by_detector(name: str) -> Find:
    detector = build_detector(name, conf=MIN_SCORE)
    return lambda frame: detector([frame.image])[0]


Run = Callable[[], object]


Timer = Callable[[], float]  # seconds of one run


def timed(run: Run, is_alone: bool) -> Timer:
    """By the processor's time where the work is `is_alone`, on one thread."""
    clock = time.process_time if is_alone else time.perf_counter

    def seconds() -> float:
        start = clock()
        run()
        return clock() - start

    return seconds


def best(timers: dict[str, Timer], rounds: int) -> dict[str, float]:
    """Milliseconds; all take turns."""
    rows = [[timer() for timer in timers.values()] for _ in range(rounds)]
    return {
        name: 1000 * min(column)
        for name, column in zip(timers, zip(*rows, strict=True), strict=True)
    }


NEAR = replace(SCENES["easy"], field=35.0, size=(480, 288))  # people of 50 to 120 pixels


class Nobody:
    """Looks on at a training, and says nothing."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Any, told: Mapping[str, float]) -> None: ...

    def epoch(self, progress: Any, measured: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


def render(folder: Path, crowds: Mapping[str, range], frames: int) -> None:
    """So many of each crowd, as a sequence."""
    for part, seeds in crowds.items():
        for seed in seeds:
            world = World(NEAR, seed)
            with writer_for(folder / part / f"near-{seed}", f"near-{seed}", world, frames) as write:
                for moment in world.moments(frames):
                    write(moment)


def overrides_of(size: str, epochs: int, own: Mapping[str, object]) -> tuple[str, ...]:
    """As `--set` takes them. Norms and first stages have to learn too."""
    settings: dict[str, object] = {
        "model.weights": "",
        "model.frozen_stages": 0,
        "model.frozen_norm": False,
        "augment.mosaic": 0.0,
        "augment.zoom_out": 0.0,
        "augment.scale": [0.8, 1.25],
        "schedule.batch": 8,
        "schedule.sizes": [size],
        "schedule.val_size": size,
        "schedule.optimizer": "adamw",
        "schedule.lr": 2e-3,
        "schedule.lr_schedule": "cosine",
        "schedule.warmup": 50,
        "schedule.epochs": epochs,
        "schedule.val_interval": epochs,
        "schedule.ema": 0.98,
        "schedule.precision": "fp16",
        "schedule.workers": 0,
        **own,
    }
    return tuple(f"{key}={_toml(value)}" for key, value in settings.items())


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


DARKNET = ("yolo-fastest-1.1_body", "yolo-fastest-1.1-xl", "MobileNetV2-YOLOv3-Nano-coco")


SHARED = Path(os.environ.get("MOT_SHARED", "../shared"))


def shared(*parts: str) -> Path:
    """A file or folder of the real data; a message says what to set when it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        sys.exit(f"needs the real data at {path}: set MOT_SHARED to the folder that holds data/")
    return path


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
    result = postprocess(to_trajectories(tracked), post, {})
    return "".join(
        format_mot_rows(number, tracks.ids.tolist(), tracks.boxes, tracks.scores.tolist())
        for number, tracks in to_frames(result).items()
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
    rows = read_mot_rows(sequence.ground_truth)
    kept = rows.frames >= first
    table = np.column_stack(
        [rows.frames - first + 1, rows.ids, rows.xywh, rows.scores, rows.classes, rows.visibility]
    )[kept]
    text = "".join(",".join(f"{value:g}" for value in row) + "\n" for row in table.tolist())
    return Truth(text, sequence.length - first + 1, sequence.size or (1920, 1080))


def halfval_load(with_camera: bool = False) -> Load:
    halves = {s.name: second_half(s, with_camera) for s in find_sequences(MOT17)}
    return Load({n: h[0] for n, h in halves.items()}, {n: h[1] for n, h in halves.items()})


def featured(with_features: bool) -> Load:
    """MOT17-05, with the features that DeepSORT's authors made of its detections."""
    (sequence,) = (s for s in find_sequences(MOT17) if s.name == "MOT17-05")
    rows = read_mot_rows(sequence.detections["FRCNN"])
    features = sequence.folder / "det/FRCNN_deepsort_features.npy"
    looks = read_embeddings(features, rows) if with_features else None
    table, nothing = detections_by_frame(rows, looks), Detections.empty()
    stream = [
        (table.get(number, nothing), Frame(None, number, (number - 1) / sequence.fps))
        for number in range(1, rows.last_frame + 1)
    ]
    return Load({sequence.name: stream}, {sequence.name: truth_of(sequence)})


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
                format_mot_rows(moment.frame.index, moment.ids.tolist(), moment.boxes, ones, "1,1")
            )
        streams[f"{scene}-{seed}"] = stream
        truths[f"{scene}-{seed}"] = Truth("".join(rows), frames, SCENES[scene].size)
    return Load(streams, truths)


def crowd_speed() -> None:
    """Milliseconds per frame of each tracker with up to 500 people."""
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


def darknet_flops(network: Any, size: tuple[int, int]) -> float:
    """Of one picture of this size, in its convolutions."""
    grown = size[0] * size[1] / (network.net.width * network.net.height)
    return 2 * grown * sum(weights * places for weights, places in _convolutions(network))


def _convolutions(network: Any) -> Iterator[tuple[int, int]]:
    """Of each convolution: its weights, and at how many places they are used."""
    from mot.detectors.darknet.layers import Convolutional

    for index, layer in enumerate(network.layers):
        if isinstance(layer, Convolutional):
            weights = math.prod(layer.weight_shape(network.inputs(index)[0].channels))
            yield weights, math.prod(network.shapes[index][1:])
