"""The work of `mot eval --no-gt`: what looks wrong in results, where, and how often."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from mot.cli.eval import Options
from mot.commands.console import refuse_existing, tell
from mot.errors import MotError
from mot.evaluation.diagnosis.without_gt.quality import KINDS, QualityReport, inspect
from mot.evaluation.entries import find_results
from mot.files import write_text
from mot.formats.embeddings import read_embeddings
from mot.motfile import DEFAULT_FPS, read_rows_of
from mot.types import IntArray

_BARS = " ▁▂▃▄▅▆▇█"
_MOST_SHOWN = 10  # suspicions of each result, the gravest


def inspect_results(options: Options) -> None:
    files = _files(options)
    if options.embeddings and len(files) > 1:
        raise MotError("--embeddings goes with one result")
    if options.fps is None:
        tell(f"taken for {DEFAULT_FPS:g} frames a second (--fps for another)", options.quiet)
    reports = [_inspect(name, path, options) for name, path in files.items()]
    _show(reports)
    _write(reports, options)


def _files(options: Options) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for result in options.results:
        for name, path in find_results(Path(result).expanduser()).items():
            found[name if name not in found else str(path)] = path
    return found


def _inspect(name: str, path: Path, options: Options) -> QualityReport:
    rows = read_rows_of(path)
    looks = read_embeddings(options.embeddings, rows) if options.embeddings else None
    return inspect(rows, options.fps or DEFAULT_FPS, options.length, looks, name=name)


def _show(reports: list[QualityReport]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("minutes", "people", "tracks", *KINDS):
        table.add_column(column, justify="right")
    for report in reports:
        found = (f"{report.counts[kind]} ({report.per_minute[kind]:.1f}/min)" for kind in KINDS)
        minutes, people = f"{report.seconds / 60:.1f}", f"{report.people:g}"
        table.add_row(report.name, minutes, people, str(report.tracks), *found)
    console.print(table)
    for kind, meaning in KINDS.items():
        print(f"  {kind:9} {meaning}")
    for report in reports:
        _show_places(report)


def _show_places(report: QualityReport) -> None:
    print(f"\n{report.name}: each column is {report.bin_seconds:g} s")
    for line in timeline_lines(report.timeline):
        print(f"  {line}")
    gravity = {kind: rank for rank, kind in enumerate(KINDS)}
    strongest = sorted(report.suspicions, key=lambda each: (gravity[each.kind], -each.value))
    strongest = strongest[:_MOST_SHOWN]
    for found in sorted(strongest, key=lambda suspicion: suspicion.frame):
        ids = ", ".join(map(str, found.ids))
        print(f"  frame {found.frame}: {found.kind} of {ids}: {found.note}")
    more = len(report.suspicions) - len(strongest)
    if more > 0:
        print(f"  and {more} more (--csv FILE for all)")


def timeline_lines(timeline: Mapping[str, IntArray]) -> list[str]:
    """A row of bars for each kind that was found."""
    most = max((int(counts.max(initial=0)) for counts in timeline.values()), default=0)
    step = len(_BARS) - 1
    return [
        f"{kind:9} |{''.join(_BARS[-(-int(count) * step // most)] for count in counts)}|"
        for kind, counts in timeline.items()
        if counts.any()
    ]


def _write(reports: list[QualityReport], options: Options) -> None:
    if options.json:
        found = {report.name: report.as_dict() for report in reports}
        write_text(Path(options.json), json.dumps(found, indent=1) + "\n")
    if options.csv:
        write_text(Path(options.csv), suspicions_as_csv(reports))
    if options.errors:
        _write_folder(reports, Path(options.errors), options)


def _write_folder(reports: list[QualityReport], folder: Path, options: Options) -> None:
    from mot.reports.plots import plot_timeline

    places = folder / "suspicions.csv"
    plots = {report.name: folder / f"{Path(report.name).stem}-timeline.png" for report in reports}
    refuse_existing([places, *plots.values()], options.overwrite)
    write_text(places, suspicions_as_csv(reports))
    for report in reports:
        plot_timeline(report.timeline, report.bin_seconds, plots[report.name])
    tell(f"  {folder}", options.quiet)


def suspicions_as_csv(reports: list[QualityReport]) -> str:
    """A line for each suspicion; up to two ids and boxes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    box = ("left", "top", "width", "height")
    boxes = [f"{which}_{side}" for which in ("first", "second") for side in box]
    writer.writerow(["sequence", "kind", "frame", "id", "other_id", *boxes, "value", "note"])
    for report in reports:
        for found in report.suspicions:
            ids = [*found.ids, "", ""][:2]
            sides: list[object] = [side for box in found.boxes[:2] for side in box]
            sides += [""] * (len(boxes) - len(sides))
            value = f"{found.value:.3f}"
            writer.writerow([report.name, found.kind, found.frame, *ids, *sides, value, found.note])
    return text.getvalue()
