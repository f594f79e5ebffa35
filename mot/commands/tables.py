"""Scores of trackers, detectors and embedders: tables on the terminal, and CSV."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mot.errors import MotError, suggest
from mot.evaluation.compare import Comparison, Interval
from mot.evaluation.detection.scores import DetectionScores
from mot.evaluation.detection.splits import SplitScores
from mot.evaluation.score import Metrics
from mot.evaluation.summary import COUNTS, DEFAULT_COLUMNS, NOT_PERCENT, Summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH = 160  # if the output is no terminal
_COMBINED = "COMBINED"
_GROUPS = {
    "hota": (
        *("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA"),
        *("HOTA(0)", "LocA(0)", "HOTALocA(0)"),
    ),
    "clear": (
        *("MOTA", "MOTP", "sMOTA", "MODA", "MOTAL", "recall", "precision", "F1", "FAF"),
        *("TP", "FN", "FP", "IDSW", "Frag", "MT", "PT", "ML", "MTR", "PTR", "MLR"),
    ),
    "identity": ("IDF1", "IDP", "IDR", "IDTP", "IDFP", "IDFN"),
    "counts": ("Dets", "GT_Dets", "IDs", "GT_IDs", "Frames"),
}
_ALL = tuple(name for names in _GROUPS.values() for name in names)
_DETECTION_COLUMNS = {  # heading: metric
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


def parse_columns(text: str | None) -> tuple[str, ...]:
    """Names of tracking metrics, and of groups of them, separated by commas; in any case."""
    if text is None:
        return DEFAULT_COLUMNS
    groups = _GROUPS | {"all": _ALL}
    known = groups | {name.lower(): (name,) for name in _ALL}
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in groups and word.lower() not in known:
            raise MotError(f"--columns {word}: {suggest(word, [*_ALL, *groups])}")
    chosen = [name for word in words for name in ((word,) if word in _ALL else known[word.lower()])]
    return tuple(dict.fromkeys(chosen))


def show_tracking_scores(summaries: Mapping[str, Summary], columns: tuple[str, ...]) -> None:
    """One tracker: a row per sequence, or per class. Several: a row each. Combined in all cases."""
    if len(summaries) > 1:
        combined = {name: each.combined for name, each in summaries.items()}
        _show_metrics("tracker", columns, combined, has_total=False)
        return
    ((name, summary),) = summaries.items()
    total = {_COMBINED: summary.combined}
    if summary.classes:
        rows = {label: part.combined for label, part in summary.classes.items()}
        _show_metrics("class", columns, rows | {"class average": summary.class_average} | total)
    else:
        _show_metrics(name, columns, summary.sequences | total)


def _show_metrics(
    title: str, columns: tuple[str, ...], rows: Mapping[str, Metrics], has_total: bool = True
) -> None:
    """In several tables if the terminal is too narrow for one."""
    texts = {
        name: {column: _format_metric(column, metrics[column]) for column in columns}
        for name, metrics in rows.items()
    }
    console = _make_console()
    available = console.width - max(len(name) for name in (title, *rows)) - 4
    for part in _split_columns(columns, texts, available):
        values = {name: [row[column] for column in part] for name, row in texts.items()}
        console.print(_make_table(title, part, values, has_total))


def _split_columns(
    columns: Sequence[str], texts: Mapping[str, Mapping[str, str]], available: int
) -> Iterator[list[str]]:
    """The columns in parts that fit into the available width."""
    part: list[str] = []
    used = 0
    for column in columns:
        width = max(map(len, [column, *(row[column] for row in texts.values())])) + 3
        if part and used + width > available:
            yield part
            part, used = [], 0
        part.append(column)
        used += width
    yield part


def _format_metric(name: str, value: float) -> str:
    """Counts as they are, rates in percent."""
    if name in COUNTS:
        return str(value)
    return f"{value:.3f}" if name in NOT_PERCENT else f"{100 * value:.2f}"


def show_comparison(comparison: Comparison, seconds: float) -> None:
    """Differences of each tracker to the first one, and whether they are significant."""
    first = next(iter(comparison.metrics))
    for name, differences in comparison.differences.items():
        print(f"{name} against {first}:")
        for metric, interval in differences.items():
            values = (100 * part for part in (interval.value, interval.low, interval.high))
            value, low, high = (f"{points:+6.2f}" for points in values)
            print(f"  {metric:5} {value} [{low}, {high}]: {_verdict(interval)}")
    print(
        f"(points, and 95 % intervals of a paired bootstrap: {comparison.draws} draws of blocks of "
        f"{seconds:g} s and of people within each sequence)"
    )


def _verdict(interval: Interval) -> str:
    if interval.value == interval.low == interval.high == 0:
        return "no difference at all"
    if interval.excludes_zero:
        return "better, significantly" if interval.value > 0 else "worse, significantly"
    return "NOT significant: the interval holds 0"


def scores_as_csv(summaries: Mapping[str, Summary]) -> str:
    """All tracking metrics: a row per tracker and sequence, and the combined ones."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tracker", "sequence", *_ALL])
    for name, summary in summaries.items():
        rows = {**summary.sequences, _COMBINED: summary.combined}
        rows |= {f"{_COMBINED} {label}": part.combined for label, part in summary.classes.items()}
        if summary.class_average:
            rows[f"{_COMBINED} class average"] = summary.class_average
        for sequence, metrics in rows.items():
            writer.writerow([name, sequence, *(repr(metrics[column]) for column in _ALL)])
    return text.getvalue()


def show_detection_scores(scores: Mapping[str, DetectionScores]) -> None:
    """A row per detector."""
    rows = {}
    for name, each in scores.items():
        values = each.as_dict()
        rows[name] = [
            format_score(metric, values[metric]) for metric in _DETECTION_COLUMNS.values()
        ]
    show_table("percent", list(_DETECTION_COLUMNS), rows)


def show_detection_splits(splits: Mapping[str, Mapping[str, SplitScores]]) -> None:
    """A table per detector, a row per split."""
    for name, by_split in splits.items():
        rows = {}
        for split, each in by_split.items():
            rates = {"AP50": each.ap50, "MR-2": each.miss_rate, "recall": each.recall}
            texts = [format_score(metric, value) for metric, value in rates.items()]
            rows[split] = [str(each.objects), *texts]
        show_table(name, ["objects", "AP50", "MR-2", "recall"], rows)


def format_score(name: str, value: float) -> str:
    """A rate in percent, a threshold as it is, NaN as a dash."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if name == "threshold" else f"{100 * value:.1f}"


def show_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    _make_console().print(_make_table(title, columns, rows))


def _make_console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


def _make_table(
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    has_total: bool = False,
) -> Table:
    """`has_total`: the last row is separate."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for number, (name, values) in enumerate(rows.items(), 1):
        is_total = has_total and number == len(rows)
        if is_total:
            table.add_section()
        table.add_row(name, *values, style="bold" if is_total else None)
    return table
