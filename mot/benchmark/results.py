"""Finished results: TRACKER/SEQUENCE.txt, with a record of the task beside each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from mot.benchmark.plan import Record, TrackTask
from mot.benchmark.work import Outcome
from mot.files import write_text


def result_path(folder: Path, task: TrackTask) -> Path:
    return folder / task.tracker.name / f"{task.sequence.sequence.name}.txt"


def record_path(folder: Path, task: TrackTask) -> Path:
    return result_path(folder, task).with_suffix(".json")


def results_of(folder: Path, plan: Record) -> list[Path]:
    """The existing result files of a plan, given its record."""
    paths = [folder / t / f"{s}.txt" for t in plan["trackers"] for s in plan["sequences"]]
    return [path for path in paths if path.exists()]


def save_result(folder: Path, task: TrackTask, outcome: Outcome) -> None:
    """Write the result, then its record: a record exists only beside a complete result."""
    write_text(result_path(folder, task), outcome.text)
    record = asdict(outcome) | {"signature": task.signature, "sha256": _digest(outcome.text)}
    del record["text"]
    write_text(record_path(folder, task), json.dumps(record, indent=1) + "\n")


def finished_record(folder: Path, task: TrackTask) -> Record | None:
    """The record of a complete result of this task; None if it is still to be tracked."""
    try:
        record = json.loads(record_path(folder, task).read_text("utf-8"))
        text = result_path(folder, task).read_bytes().decode("utf-8")
    except (OSError, ValueError):
        return None
    wanted = {"signature": task.signature, "sha256": _digest(text)}
    same = isinstance(record, dict) and wanted.items() <= record.items()
    return record if same else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
