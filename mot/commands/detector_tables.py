"""Scores of detectors as tables for a person, and as values for a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from mot.evaluation.detection.scores import Scores
from mot.evaluation.detection.splits import SplitScores

_COLUMNS = {  # of the table, and what they hold
    "AP50": "AP50",
    "AP": "AP",
    "AP75": "AP75",
    "VOC": "VOC AP",
    "CH AP": "CrowdHuman AP",
    "MR-2": "MR-2",
    "JI": "JI",
    "F1": "F1",
    "at": "threshold",
    "precision": "precision",
    "recall": "recall",
}
_WIDE = 160  # where the output is no terminal
_NOT_SHARES = ("threshold",)
_INTEGERS = ("images", "objects", "detections")


def show_scores(scores: Mapping[str, Scores]) -> None:
    """A row for each detector; shares in percent."""
    rows = {
        name: [format_value(column, each.as_dict()[column]) for column in _COLUMNS.values()]
        for name, each in scores.items()
    }
    show_table("percent", list(_COLUMNS), rows)


def show_splits(splits: Mapping[str, Mapping[str, SplitScores]]) -> None:
    """A table for each detector, a row for each split."""
    for name, each in splits.items():
        rows = {
            split: [
                str(scores.objects),
                *(
                    format_value("rate", rate)
                    for rate in (scores.ap50, scores.miss_rate, scores.recall)
                ),
            ]
            for split, scores in each.items()
        }
        show_table(name, ["objects", "AP50", "MR-2", "recall"], rows)


def format_value(name: str, value: float) -> str:
    """Shares in percent, scores as they are."""
    if math.isnan(value):
        return "-"
    if name in _INTEGERS:
        return str(int(value))
    return f"{value:.3f}" if name in _NOT_SHARES else f"{100 * value:.1f}"


def show_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, values in rows.items():
        table.add_row(name, *values)
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False).print(table)
