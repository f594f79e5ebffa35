"""`mot eval --no-gt`: suspected errors of results, where and how often."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from mot.commands.console import notify, refuse_existing
from mot.commands.eval import EvalOptions, check_options
from mot.commands.tables import parse_columns
from mot.errors import MotError
from mot.evaluation.diagnosis.without_gt.quality import KINDS, QualityReport, inspect_tracks
from mot.evaluation.entries import find_results
from mot.files import write_text
from mot.formats.embedding_files import read_embeddings
from mot.motfile import DEFAULT_FPS, read_mot_rows
from mot.types import IntArray

_BARS = " ▁▂▃▄▅▆▇█"
_MAX_SHOWN = 10  # suspected errors per result


def run(options: EvalOptions) -> None:
    parse_columns(options.columns)
    check_options(options)
    files = _result_files(options)
    if options.embeddings and len(files) > 1:
        raise MotError("--embeddings takes one result")
    if options.fps is None:
        notify(f"assuming {DEFAULT_FPS:g} frames per second (see --fps)", options.quiet)
    reports = [_inspect(name, path, options) for name, path in files.items()]
    _show(reports)
    if options.json:
        found = {report.name: report.as_dict() for report in reports}
        write_text(Path(options.json), json.dumps(found, indent=1) + "\n")
    if options.csv:
        write_text(Path(options.csv), errors_as_csv(reports))
    if options.errors:
        _write_folder(reports, Path(options.errors), options)


def _result_files(options: EvalOptions) -> dict[str, Path]:
    """By sequence name, or by path if a name occurs again."""
    found: dict[str, Path] = {}
    for result in options.results:
        for name, path in find_results(Path(result).expanduser()).items():
            found[name if name not in found else str(path)] = path
    return found


def _inspect(name: str, path: Path, options: EvalOptions) -> QualityReport:
    rows = read_mot_rows(path)
    embeddings = read_embeddings(options.embeddings, rows) if options.embeddings else None
    fps = options.fps or DEFAULT_FPS
    return inspect_tracks(rows, fps, options.length, embeddings, name=name)


def _show(reports: list[QualityReport]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("minutes", "boxes", "tracks", *KINDS):
        table.add_column(column, justify="right")
    for report in reports:
        found = (f"{report.counts[kind]} ({report.per_minute[kind]:.1f}/min)" for kind in KINDS)
        minutes, boxes = f"{report.seconds / 60:.1f}", f"{report.boxes_per_frame:g}"
        table.add_row(report.name, minutes, boxes, str(report.tracks), *found)
    console.print(table)
    print("  boxes     median per frame")
    for kind, meaning in KINDS.items():
        print(f"  {kind:9} {meaning}")
    for report in reports:
        _show_errors(report)


def _show_errors(report: QualityReport) -> None:
    """A timeline and the strongest errors, ordered by kind."""
    print(f"\n{report.name}: each column is {report.bin_seconds:g} s")
    for line in timeline_lines(report.timeline):
        print(f"  {line}")
    rank = {kind: index for index, kind in enumerate(KINDS)}
    strongest = sorted(report.errors, key=lambda error: (rank[error.kind], -error.strength))
    strongest = strongest[:_MAX_SHOWN]
    for error in sorted(strongest, key=lambda error: error.frame):
        ids = ", ".join(map(str, error.ids))
        print(f"  frame {error.frame}: {error.kind} of {ids}: {error.note}")
    more = len(report.errors) - len(strongest)
    if more > 0:
        print(f"  and {more} more (--csv FILE for all)")


def timeline_lines(timeline: Mapping[str, IntArray]) -> list[str]:
    """A row of bars for each kind that occurs."""
    highest = max((int(counts.max(initial=0)) for counts in timeline.values()), default=0)
    step = len(_BARS) - 1
    return [
        f"{kind:9} |{''.join(_BARS[-(-int(count) * step // highest)] for count in counts)}|"
        for kind, counts in timeline.items()
        if counts.any()
    ]


def _write_folder(reports: list[QualityReport], folder: Path, options: EvalOptions) -> None:
    from mot.reports.plots import plot_timeline

    table = folder / "suspected_errors.csv"
    plots = {report.name: folder / f"{Path(report.name).stem}-timeline.png" for report in reports}
    refuse_existing([table, *plots.values()], options.overwrite)
    write_text(table, errors_as_csv(reports))
    for report in reports:
        plot_timeline(report.timeline, report.bin_seconds, plots[report.name])
    notify(f"  {folder}", options.quiet)


def errors_as_csv(reports: list[QualityReport]) -> str:
    """One line per suspected error, with up to two ids and boxes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    sides = ("left", "top", "width", "height")
    boxes = [f"{which}_{side}" for which in ("first", "second") for side in sides]
    writer.writerow(["sequence", "kind", "frame", "id", "other_id", *boxes, "strength", "note"])
    for report in reports:
        for error in report.errors:
            ids = [*error.ids, "", ""][:2]
            cells: list[object] = [side for box in error.boxes[:2] for side in box]
            cells += [""] * (len(boxes) - len(cells))
            row = [report.name, error.kind, error.frame, *ids, *cells]
            writer.writerow([*row, f"{error.strength:.3f}", error.note])
    return text.getvalue()
