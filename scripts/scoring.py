"""Scoring by trackeval, for the benchmarks: ground truth and results as MOT text, sequence by
sequence."""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np


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
