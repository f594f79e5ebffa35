"""The work of `mot explain`."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mot.cli.explain import Options
from mot.commands.console import refuse_existing, tell
from mot.commands.explain_replay import Moment, replay
from mot.commands.track import Plan, check_senses, choose_detections, choose_embedder
from mot.config import build_tracker
from mot.errors import MotError
from mot.trackers.base import Tracker
from mot.trackers.explain import Candidate, Verdict, fate, row_of, track_index, verdicts
from mot.video.sources import Window
from mot.video.streams import StreamSource, find_streams

_WORDS = ("made of", "outcome")  # columns that are not numbers


def run(options: Options) -> None:
    tracker = build_tracker(options.tracker, **options.overrides("tracker"))
    if not isinstance(tracker, Tracker):
        raise MotError(f"{options.tracker} keeps no trace of its matching")
    plan = _plan(tracker, options)
    check_senses(tracker, [plan], options, quiet=False)
    number, track_id = options.number, options.track_id
    moment, past = replay(plan, tracker, options, number, track_id, options.plot is not None)
    track = track_index(moment.trace, moment.tracks, track_id)
    if track is None:
        raise MotError(_not_there(options, moment))
    title = f"Frame {number}, track {track_id}: {_outcome(moment, track_id)}"
    _show(title, [*verdicts(moment.trace, track)])
    if options.plot:
        from mot.commands.explain_plot import draw

        draw(f"{plan.job.name}: {title}", moment, past, track, Path(options.plot))
        tell(f"  {options.plot}")


def _plan(tracker: Tracker, options: Options) -> Plan:
    jobs = find_streams((options.source,), Window(options.start, options.end, options.every))
    if len(jobs) > 1:
        names = ", ".join(job.name for job in jobs[:3])
        raise MotError(f"{options.source}: holds {len(jobs)} streams ({names} ...): name one")
    job = jobs[0]
    if options.plot:
        _check_plot(job, options)
    detections = choose_detections(job, options)
    return Plan(job, detections, {}, None, choose_embedder(job, detections, tracker, options))


def _check_plot(job: StreamSource, options: Options) -> None:
    path = Path(options.plot or "")
    if path.suffix.lower() != ".png":
        raise MotError(f"--plot {path}: a picture is written: give a name that ends in .png")
    if not job.has_pictures:
        raise MotError(
            f"--plot: {job.name} has no pictures to cut people from: "
            "name its video, and give --detections FILE"
        )
    refuse_existing([path], options.overwrite, [options.source])


def _not_there(options: Options, moment: Moment) -> str:
    number, track_id = options.number, options.track_id
    if track_id in moment.tracks.ids:
        return f"track {track_id} is born in frame {number}: there was nothing to match yet"
    alive = sorted({int(i) for i in moment.trace.ids if i} | set(moment.tracks.ids.tolist()))
    names = ", ".join(map(str, alive)) or "none"
    return f"track {track_id} is not alive in frame {number}; alive: {names}"


def _outcome(moment: Moment, track_id: int) -> str:
    row = row_of(moment.trace, moment.tracks, track_id)
    return "got no detection" if row is None else f"got detection {row} (counted from 0)"


def _show(title: str, told: list[Verdict]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(title)
    for verdict in told:
        name = f"{verdict.stage}: limit {verdict.limit:g}"
        candidates = verdict.candidates if verdict.took_part else []
        console.print(_table(name, candidates) if candidates else name)
        more = f"; {verdict.hidden} more not shown" if candidates and verdict.hidden else ""
        console.print(f"  {verdict.reason}{more}\n")


def _table(title: str, candidates: list[Candidate]) -> Table:
    """Without columns of what the tracker does not know."""
    rows = [_row(candidate) for candidate in candidates]
    table = Table(title=title, title_justify="left")
    known = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in known:
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for row in rows:
        table.add_row(*(row[name] for name in known))
    return table


def _row(candidate: Candidate) -> dict[str, str]:
    """By column; empty where nothing is known."""
    is_out, basis = candidate.cost == float("inf"), candidate.basis
    row = {"detection": str(candidate.row), "cost": "" if is_out else f"{candidate.cost:.3f}"}
    if basis:
        row["made of"] = "" if is_out or basis.looks is None else basis.rule
        row |= basis.texts()
    return row | {"outcome": fate(candidate)}
