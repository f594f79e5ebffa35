"""Scores as tables for a person, and as files."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mot.errors import MotError, suggest
from mot.evaluation.compare import Comparison, Interval
from mot.evaluation.score import Metrics
from mot.evaluation.summary import COUNTS, DEFAULT_COLUMNS, NOT_PERCENT, Summary

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 160  # where the output is no terminal
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


def parse_columns(text: str | None) -> tuple[str, ...]:
    """Metrics and groups of them, with commas between; in any case."""
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


def show_scores(summaries: Mapping[str, Summary], columns: tuple[str, ...]) -> None:
    """One tracker: a line a sequence. Several: a line each; the combined numbers in both."""
    if len(summaries) > 1:
        _show("tracker", columns, {name: each.combined for name, each in summaries.items()}, False)
        return
    ((name, summary),) = summaries.items()
    total = {_COMBINED: summary.combined}
    if summary.classes:
        rows = {label: part.combined for label, part in summary.classes.items()}
        _show("class", columns, rows | {"class average": summary.class_average} | total)
    else:
        _show(name, columns, summary.sequences | total)


def _show(
    title: str, columns: tuple[str, ...], rows: Mapping[str, Metrics], has_total: bool = True
) -> None:
    """In as many tables as the screen is too narrow."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    room = console.width - max(len(name) for name in (title, *rows)) - 4
    for part in _parts(columns, rows, room):
        console.print(_table(title, part, rows, has_total))


def _parts(
    columns: tuple[str, ...], rows: Mapping[str, Metrics], room: int
) -> Iterable[tuple[str, ...]]:
    part: list[str] = []
    used = 0
    for column in columns:
        texts = [column, *(format_metric(column, metrics[column]) for metrics in rows.values())]
        width = max(map(len, texts)) + 3
        if part and used + width > room:
            yield tuple(part)
            part, used = [], 0
        part.append(column)
        used += width
    yield tuple(part)


def _table(
    title: str, columns: tuple[str, ...], rows: Mapping[str, Metrics], has_total: bool
) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for number, (name, metrics) in enumerate(rows.items(), 1):
        is_total = has_total and number == len(rows)
        if is_total:
            table.add_section()
        shown = [format_metric(column, metrics[column]) for column in columns]
        table.add_row(name, *shown, style="bold" if is_total else None)
    return table


def format_metric(name: str, value: float) -> str:
    """Counts as they are, shares in percent."""
    if name in COUNTS:
        return str(value)
    return f"{value:.3f}" if name in NOT_PERCENT else f"{100 * value:.2f}"


def show_comparison(comparison: Comparison, seconds: float) -> None:
    """What each tracker has more than the first, and whether one may believe it."""
    first = next(iter(comparison.metrics))
    for name, differences in comparison.differences.items():
        print(f"{name} against {first}:")
        for metric, interval in differences.items():
            print(f"  {metric:5} {_points(interval)}: {verdict(interval)}")
    print(
        f"(points, and 95 % intervals of a paired bootstrap: {comparison.draws} draws of blocks of "
        f"{seconds:g} s and of people within each sequence)"
    )


def _points(interval: Interval) -> str:
    value, low, high = (100 * part for part in (interval.value, interval.low, interval.high))
    return f"{value:+6.2f} [{low:+6.2f}, {high:+6.2f}]"


def verdict(interval: Interval) -> str:
    if interval.value == interval.low == interval.high == 0:
        return "no difference at all"
    if interval.excludes_zero:
        return "better, significantly" if interval.value > 0 else "worse, significantly"
    return "NOT significant: the interval holds 0"


def scores_as_csv(summaries: Mapping[str, Summary]) -> str:
    """A line for each tracker and sequence, and COMBINED; all metrics."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tracker", "sequence", *_ALL])
    for name, summary in summaries.items():
        for row in _rows_of(summary):
            writer.writerow([name, row[0], *(repr(row[1][column]) for column in _ALL)])
    return text.getvalue()


def _rows_of(summary: Summary) -> Iterable[tuple[str, Metrics]]:
    yield from summary.sequences.items()
    yield _COMBINED, summary.combined
    for name, part in summary.classes.items():
        yield f"{_COMBINED} {name}", part.combined
    if summary.class_average:
        yield f"{_COMBINED} class average", summary.class_average
