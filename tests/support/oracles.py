"""Independent packages that score tracking, behind one shape: our rows in, numbers out."""

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
from mot.evaluation.scene import SequencePairs
from mot.evaluation.score import Score
from mot.motfile import MotRows

Families = dict[str, dict[str, Any]]  # TrackEval's numbers by metric family
Array = npt.NDArray[np.float64]

CLOSE = 1e-9
OURS = {  # what is called otherwise in TrackEval
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
# motmetrics' names of what it defines as TrackEval does, where both match alike
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
# Class numbers of BDD100K; `score(..., bdd100k)` takes them from the class column.
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

    truth: MotRows
    result: MotRows
    length: int

    def __repr__(self) -> str:
        return f"World({as_text(self.truth)!r}, {as_text(self.result)!r}, {self.length})"


def as_rows(table: npt.ArrayLike) -> MotRows:
    """From (N, 8) numbers: frame, id, left, top, width, height, score or flag, class."""
    table = np.asarray(table, np.float64).reshape(-1, 8)
    whole = table.astype(np.int64)
    unknown = np.full(len(table), -1.0)
    return MotRows(
        whole[:, 0], whole[:, 1], table[:, 2:6].copy(), table[:, 6].copy(), whole[:, 7], unknown
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
    """Each world's numbers, and those of all together."""
    dataset = _mot_dataset(benchmark, preprocess)
    found = [_evaluate(dataset, world) for world in worlds]
    return found, _combined("combine_sequences", dict(enumerate(found)))


@functools.cache
def _mot_dataset(benchmark: str, preprocess: bool) -> MotChallenge2DBox:
    """TrackEval's own, of one sequence with empty files; its rows are put in by `_evaluate`."""
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
        is_truth = file.endswith("gt.txt")
        rows = world.truth if is_truth else world.result
        table = as_table(rows)
        if not is_truth:
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
    """The whole way: files written under `home`, scored by TrackEval's own evaluator."""
    for name, world in worlds.items():
        (home / name / "gt").mkdir(parents=True)
        (home / name / "gt/gt.txt").write_text(as_text(world.truth))
        results = home / f"ours/data/{name}.txt"
        results.parent.mkdir(parents=True, exist_ok=True)
        table = as_table(world.result)
        table[:, 7] = -1
        results.write_text(as_text(as_rows(table)))
    config = {"GT_FOLDER": str(home), "TRACKERS_FOLDER": str(home), "TRACKERS_TO_EVAL": ["ours"]}
    config |= {"SEQ_INFO": {name: world.length for name, world in worlds.items()}}
    config |= {"SKIP_SPLIT_FOL": True, "BENCHMARK": benchmark, "PRINT_CONFIG": False}
    found = _evaluator_s(MotChallenge2DBox(config))["MotChallenge2DBox"]["ours"]
    return {name: classes["pedestrian"] for name, classes in found.items()}


def trackeval_of_bdd(worlds: Sequence[World]) -> dict[str, dict[str, Families]]:
    """By sequence ("000", "001", ..., "COMBINED_SEQ") and class, or combination of classes."""
    with tempfile.TemporaryDirectory() as folder:
        truths, trackers = Path(folder) / "gt", Path(folder) / "trackers"
        results = trackers / "ours/data"
        truths.mkdir()
        results.mkdir(parents=True)
        for index, world in enumerate(worlds):
            name = f"{index:03}.json"
            (truths / name).write_text(json.dumps(_bdd_frames(world.truth, world.length, True)))
            (results / name).write_text(json.dumps(_bdd_frames(world.result, world.length, False)))
        config = {"GT_FOLDER": str(truths), "TRACKERS_FOLDER": str(trackers)}
        found = _evaluator_s(BDD100K(config | {"PRINT_CONFIG": False}))
    return found["BDD100K"]["ours"]


def _bdd_frames(rows: MotRows, length: int, is_truth: bool) -> list[dict[str, Any]]:
    """Rows with flag 0 are crowds."""
    frames: list[dict[str, Any]] = [{"index": index, "labels": []} for index in range(length)]
    for frame, number, x, y, w, h, flag, kind in as_table(rows).tolist():
        label: dict[str, Any] = {"id": str(int(number)), "category": BDD_CLASSES[int(kind)]}
        label["box2d"] = {"x1": x, "y1": y, "x2": x + w, "y2": y + h}
        if is_truth:
            label["attributes"] = {"Crowd": int(flag) == 0}
        frames[int(frame) - 1]["labels"].append(label)
    return frames


def _evaluator_s(dataset: Any) -> dict[str, Any]:
    quiet = {"USE_PARALLEL": False, "PRINT_RESULTS": False, "PRINT_CONFIG": False}
    quiet |= {"TIME_PROGRESS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False}
    quiet |= {"PLOT_CURVES": False, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None}
    with contextlib.redirect_stdout(io.StringIO()):
        found, _ = trackeval.Evaluator(quiet).evaluate([dataset], _metrics()[:-1])
    return found


def assert_equal(ours: Score, theirs: Families, combined: bool = False) -> None:
    """Every number of every family, and no name on one side alone."""
    numbers = ours.combined() if combined else ours.of_sequence()
    curves = ours.hota.curves()
    unseen = set(numbers)
    for name, value in ((name, value) for part in theirs.values() for name, value in part.items()):
        if name in COUNTED:
            np.testing.assert_array_equal(COUNTED[name](ours.hota), value, name)
        elif name in NOT_SHOWN:
            assert abs(NOT_SHOWN[name](ours.clear) - value) <= CLOSE, name
        else:
            unseen.remove(OURS.get(name, name))
            assert_close(name, numbers[OURS.get(name, name)], value)
            if np.ndim(value):
                np.testing.assert_allclose(curves[name], value, 0, CLOSE, err_msg=name)
    assert unseen <= {"Frames"}, unseen  # which TrackEval does not add up


def assert_close(name: str, ours: float, theirs: Array | float) -> None:
    mean = float(np.mean(theirs))
    assert abs(ours - mean) <= CLOSE, f"{name}: {ours!r}, TrackEval's: {mean!r}"


def motmetrics_of(scene: SequencePairs) -> dict[str, float]:
    """All of motmetrics' numbers of a prepared scene, by its own names."""
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in range(scene.length):
        ids = [
            side.ids[side.starts[frame] : side.starts[frame + 1]]
            for side in (scene.truth, scene.result)
        ]
        accumulator.update(*ids, _distances(scene, frame))
    metrics = motmetrics.metrics.create()
    return metrics.compute(accumulator, metrics=list(MOTMETRICS), return_dataframe=False)


def _distances(scene: SequencePairs, frame: int) -> Array:
    """1 - overlap; motmetrics pairs nothing that is NaN."""
    here = np.flatnonzero(scene.pair_frames == frame)
    truth = scene.pairs.truth[here] - scene.truth.starts[frame]
    result = scene.pairs.result[here] - scene.result.starts[frame]
    overlaps = np.zeros((scene.truth.per_frame[frame], scene.result.per_frame[frame]))
    overlaps[truth, result] = scene.pairs.iou[here]
    return np.where(overlaps >= 0.5, 1 - overlaps, np.nan)
