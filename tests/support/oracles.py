"""Independent tracking scorers (TrackEval, motmetrics) behind one interface."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trackeval
from trackeval.datasets import BDD100K, MotChallenge2DBox

from mot.evaluation.clear import ClearCounts
from mot.evaluation.hota import HotaCounts
from mot.evaluation.score import Score
from mot.evaluation.sequence_pairs import SequencePairs
from mot.motfile import MotRows

Families = dict[str, dict[str, Any]]  # TrackEval's metrics by family
Array = npt.NDArray[np.float64]

CLOSE = 1e-9
OURS = {  # TrackEval's name -> ours, where they differ
    "CLR_TP": "TP",
    "CLR_FN": "FN",
    "CLR_FP": "FP",
    "CLR_Re": "recall",
    "CLR_Pr": "precision",
    "CLR_F1": "F1",
    "FP_per_frame": "FAF",
}
NOT_SHOWN: dict[str, Callable[[ClearCounts], float]] = {
    "CLR_Frames": lambda clear: clear.frames,
    "MOTP_sum": lambda clear: clear.iou,
}
COUNTED: dict[str, Callable[[HotaCounts], Array]] = {
    "HOTA_TP": lambda hota: hota.tp,
    "HOTA_FN": lambda hota: hota.fn,
    "HOTA_FP": lambda hota: hota.fp,
}
# motmetrics' name -> ours, for metrics defined as in TrackEval if both match alike
MOTMETRICS = {
    "num_detections": "TP",
    "num_misses": "FN",
    "num_false_positives": "FP",
    "num_switches": "IDSW",
    "num_fragmentations": "Frag",
    "mostly_tracked": "MT",
    "partially_tracked": "PT",
    "mostly_lost": "ML",
    "mota": "MOTA",
    "recall": "recall",
    "precision": "precision",
    "idtp": "IDTP",
    "idfn": "IDFN",
    "idfp": "IDFP",
    "idf1": "IDF1",
    "idr": "IDR",
    "idp": "IDP",
    "motp": "MOTP",
}
# Class numbers of BDD100K; the protocol bdd100k reads them from the class column.
BDD_CLASSES = {
    1: "pedestrian",
    2: "rider",
    3: "other person",
    4: "car",
    5: "bus",
    6: "truck",
    7: "train",
    8: "trailer",
    9: "other vehicle",
    10: "motorcycle",
    11: "bicycle",
}
SUPER_CLASSES = {
    "HUMAN": ["pedestrian", "rider"],
    "VEHICLE": ["car", "truck", "bus", "train"],
    "BIKE": ["motorcycle", "bicycle"],
    "cls_comb_det_av": [name for number, name in BDD_CLASSES.items() if number not in (3, 8, 9)],
}


@dataclass(frozen=True, eq=False)
class World:
    """One sequence: ground truth, result, and its length in frames."""

    gt: MotRows
    result: MotRows
    length: int

    def __repr__(self) -> str:
        return f"World({as_text(self.gt)!r}, {as_text(self.result)!r}, {self.length})"


def as_rows(table: npt.ArrayLike) -> MotRows:
    """From (N, 8) numbers: frame, id, left, top, width, height, score or flag, class."""
    table = np.asarray(table, np.float64).reshape(-1, 8)
    integers = table.astype(np.int64)
    unknown = np.full(len(table), -1.0)
    return MotRows(
        integers[:, 0],
        integers[:, 1],
        table[:, 2:6].copy(),
        table[:, 6].copy(),
        integers[:, 7],
        unknown,
    )


def as_table(rows: MotRows) -> Array:
    return np.column_stack([rows.frames, rows.ids, rows.xywh, rows.scores, rows.classes])


def as_text(rows: MotRows) -> str:
    lines = (",".join(f"{value!r}" for value in row) for row in as_table(rows).tolist())
    return "".join(f"{line}\n" for line in lines).replace(".0,", ",").replace(".0\n", "\n")


@functools.cache
def _metrics() -> list[Any]:
    from trackeval import metrics

    quiet = {"PRINT_CONFIG": False}
    return [metrics.HOTA(), metrics.CLEAR(quiet), metrics.Identity(quiet), metrics.Count()]


def trackeval_in_memory(
    worlds: Sequence[World], benchmark: str = "MOT17", preprocess: bool = True
) -> tuple[list[Families], Families]:
    """The metrics of each world, and those of all combined."""
    dataset = _mot_dataset(benchmark, preprocess)
    found = [_evaluate(dataset, world) for world in worlds]
    return found, _combined("combine_sequences", dict(enumerate(found)))


@functools.cache
def _mot_dataset(benchmark: str, preprocess: bool) -> MotChallenge2DBox:
    """TrackEval's dataset of one sequence with empty files; `_evaluate` inserts the rows."""
    with tempfile.TemporaryDirectory() as home:
        for name in ("a/gt/gt.txt", "ours/data/a.txt"):
            (Path(home) / name).parent.mkdir(parents=True)
            (Path(home) / name).touch()
        config = {"GT_FOLDER": home, "TRACKERS_FOLDER": home, "TRACKERS_TO_EVAL": ["ours"]}
        config |= {"SKIP_SPLIT_FOL": True, "SEQ_INFO": {"a": 1}, "PRINT_CONFIG": False}
        return MotChallenge2DBox(config | {"BENCHMARK": benchmark, "DO_PREPROC": preprocess})


def _evaluate(dataset: MotChallenge2DBox, world: World) -> Families:
    dataset.seq_lengths = {"a": world.length}

    def rows_of_file(file: str, **_: object) -> tuple[dict[str, list[list[float]]], dict]:
        is_gt = file.endswith("gt.txt")
        rows = world.gt if is_gt else world.result
        table = as_table(rows)
        if not is_gt:
            table[:, 7] = -1
        return {str(frame): table[index].tolist() for frame, index in rows.by_frame()}, {}

    dataset._load_simple_text_file = rows_of_file
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", "a"), "pedestrian")
    return {metric.get_name(): metric.eval_sequence(data) for metric in _metrics()}


def _combined(how: str, parts: dict[Any, Families]) -> Families:
    return {
        name: getattr(metric, how)({key: part[name] for key, part in parts.items()})
        for metric in _metrics()
        for name in [metric.get_name()]
    }


def trackeval_of_files(home: Path, worlds: dict[str, World], benchmark: str) -> dict[str, Families]:
    """Files written under `home`, scored by TrackEval's evaluator."""
    for name, world in worlds.items():
        (home / name / "gt").mkdir(parents=True)
        (home / name / "gt/gt.txt").write_text(as_text(world.gt))
        results = home / f"ours/data/{name}.txt"
        results.parent.mkdir(parents=True, exist_ok=True)
        table = as_table(world.result)
        table[:, 7] = -1
        results.write_text(as_text(as_rows(table)))
    config = {"GT_FOLDER": str(home), "TRACKERS_FOLDER": str(home), "TRACKERS_TO_EVAL": ["ours"]}
    config |= {"SEQ_INFO": {name: world.length for name, world in worlds.items()}}
    config |= {"SKIP_SPLIT_FOL": True, "BENCHMARK": benchmark, "PRINT_CONFIG": False}
    found = _run_evaluator(MotChallenge2DBox(config))["MotChallenge2DBox"]["ours"]
    return {name: classes["pedestrian"] for name, classes in found.items()}


def trackeval_of_bdd(worlds: Sequence[World]) -> dict[str, dict[str, Families]]:
    """By sequence ("000", "001", ..., "COMBINED_SEQ") and class, or combination of classes."""
    with tempfile.TemporaryDirectory() as folder:
        gts, trackers = Path(folder) / "gt", Path(folder) / "trackers"
        results = trackers / "ours/data"
        gts.mkdir()
        results.mkdir(parents=True)
        for index, world in enumerate(worlds):
            name = f"{index:03}.json"
            (gts / name).write_text(json.dumps(_bdd_frames(world.gt, world.length, True)))
            (results / name).write_text(json.dumps(_bdd_frames(world.result, world.length, False)))
        config = {"GT_FOLDER": str(gts), "TRACKERS_FOLDER": str(trackers)}
        found = _run_evaluator(BDD100K(config | {"PRINT_CONFIG": False}))
    return found["BDD100K"]["ours"]


def _bdd_frames(rows: MotRows, length: int, is_gt: bool) -> list[dict[str, Any]]:
    """Rows with flag 0 are crowds."""
    frames: list[dict[str, Any]] = [{"index": index, "labels": []} for index in range(length)]
    for frame, number, x, y, w, h, flag, kind in as_table(rows).tolist():
        label: dict[str, Any] = {"id": str(int(number)), "category": BDD_CLASSES[int(kind)]}
        label["box2d"] = {"x1": x, "y1": y, "x2": x + w, "y2": y + h}
        if is_gt:
            label["attributes"] = {"Crowd": int(flag) == 0}
        frames[int(frame) - 1]["labels"].append(label)
    return frames


def _run_evaluator(dataset: Any) -> dict[str, Any]:
    quiet = {"USE_PARALLEL": False, "PRINT_RESULTS": False, "PRINT_CONFIG": False}
    quiet |= {"TIME_PROGRESS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False}
    quiet |= {"PLOT_CURVES": False, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None}
    with contextlib.redirect_stdout(io.StringIO()):
        found, _ = trackeval.Evaluator(quiet).evaluate([dataset], _metrics()[:-1])
    return found


def assert_equal(ours: Score, theirs: Families, combined: bool = False) -> None:
    """Every metric of every family is equal, and no name is missing on either side."""
    numbers = ours.combined() if combined else ours.of_sequence()
    curves = ours.hota.curves()
    unchecked = set(numbers)
    for name, value in ((name, value) for part in theirs.values() for name, value in part.items()):
        if name in COUNTED:
            np.testing.assert_array_equal(COUNTED[name](ours.hota), value, name)
        elif name in NOT_SHOWN:
            assert abs(NOT_SHOWN[name](ours.clear) - value) <= CLOSE, name
        else:
            unchecked.remove(OURS.get(name, name))
            assert_close(name, numbers[OURS.get(name, name)], value)
            if np.ndim(value):
                np.testing.assert_allclose(curves[name], value, 0, CLOSE, err_msg=name)
    assert unchecked <= {"Frames"}, unchecked  # which TrackEval does not combine


def assert_close(name: str, ours: float, theirs: Array | float) -> None:
    mean = float(np.mean(theirs))
    assert abs(ours - mean) <= CLOSE, f"{name}: {ours!r}, TrackEval's: {mean!r}"


def motmetrics_of(seq: SequencePairs) -> dict[str, float]:
    """All motmetrics metrics of a sequence, by motmetrics' names."""
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in range(seq.length):
        ids = [
            table.ids[table.starts[frame] : table.starts[frame + 1]]
            for table in (seq.gt, seq.result)
        ]
        accumulator.update(*ids, _distances(seq, frame))
    metrics = motmetrics.metrics.create()
    return metrics.compute(accumulator, metrics=list(MOTMETRICS), return_dataframe=False)


def _distances(seq: SequencePairs, frame: int) -> Array:
    """(gt boxes, result boxes) 1 - IoU; NaN, which motmetrics never matches, below 0.5."""
    here = np.flatnonzero(seq.pair_frames == frame)
    gt = seq.pairs.gt[here] - seq.gt.starts[frame]
    result = seq.pairs.result[here] - seq.result.starts[frame]
    overlaps = np.zeros((seq.gt.boxes_per_frame[frame], seq.result.boxes_per_frame[frame]))
    overlaps[gt, result] = seq.pairs.iou[here]
    return np.where(overlaps >= 0.5, 1 - overlaps, np.nan)
