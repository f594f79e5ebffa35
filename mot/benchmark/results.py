"""What is finished: TRACKER/SEQUENCE.txt, and beside it what it is the result of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from mot.benchmark.plan import Record, Task
from mot.benchmark.work import Outcome
from mot.files import write_text


def result_path(folder: Path, task: Task) -> Path:
    return folder / task.tracker.name / f"{task.stream.sequence.name}.txt"


def record_path(folder: Path, task: Task) -> Path:
    return result_path(folder, task).with_suffix(".json")


def results_of(folder: Path, plan: Record) -> list[Path]:
    """Those that are there of a plan, by its record."""
    paths = [folder / t / f"{s}.txt" for t in plan["trackers"] for s in plan["sequences"]]
    return [path for path in paths if path.exists()]


def keep(folder: Path, task: Task, outcome: Outcome) -> None:
    """The result first: a record stands only beside a complete one."""
    write_text(result_path(folder, task), outcome.text)
    record = asdict(outcome) | {"signature": task.signature, "sha256": _digest(outcome.text)}
    del record["text"]
    write_text(record_path(folder, task), json.dumps(record, indent=1) + "\n")


def finished(folder: Path, task: Task) -> Record | None:
    """The record of a result that is whole and of this task; None: it is still to be done."""
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
