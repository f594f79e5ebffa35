"""The work of `mot explain`."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from rich.console import Console
from rich.table import Table

from mot.cli.track import CAMERA_METHODS
from mot.config import build_tracker, parse_overrides
from mot.embeddings import read_looking_detections
from mot.errors import MotError
from mot.jobs import detections_file, find_jobs
from mot.pipeline import detections_of, follow, from_table, only
from mot.trackers.base import Tracker
from mot.trackers.explain import Verdict, track_index, verdicts
from mot.trackers.stages import Trace
from mot.types import Tracks
from mot.video.sources import Window


def run(source: str, number: int, track_id: int, **options: Any) -> None:
    overrides = parse_overrides(options["settings"], ("tracker",))["tracker"]
    tracker = build_tracker(options["tracker"], **overrides)
    if not isinstance(tracker, Tracker):
        raise MotError(f"{options['tracker']} keeps no trace of its matching")
    trace, tracks = _follow_to(source, number, tracker, options)
    track = track_index(trace, tracks, track_id)
    if track is None:
        raise MotError(_not_there(track_id, number, trace, tracks))
    console = Console()
    console.print(f"Frame {number}, track {track_id}: {_outcome(tracks, track_id)}")
    for verdict in verdicts(trace, track):
        _show(console, verdict)


def _follow_to(
    source: str, number: int, tracker: Tracker, options: dict[str, Any]
) -> tuple[Trace, Tracks]:
    """How the frame was matched, and what came of it."""
    (job,) = find_jobs((source,), Window(every=options["every"]))[:1]
    file = detections_file(job, options["detections"])
    if file is None:
        raise MotError(f"{job.name}: give --detections FILE: the matching is made again from them")
    table = read_looking_detections(file, options["embeddings"])
    detect = only(from_table(table), options["conf"], None)
    with job.open(options["camera"] in CAMERA_METHODS) as frames:
        wanted = takewhile(lambda frame: frame.index <= number, frames)
        detected = detections_of(wanted, detect)
        if options["camera"]:
            from mot.appearance.camera import open_camera, with_camera

            detected = with_camera(detected, open_camera(options["camera"], job.folder))
        for frame, tracks in follow(detected, tracker):
            if frame.index == number and tracker.trace:
                return tracker.trace[-1], tracks
            tracker.trace = []
    raise MotError(f"{job.name}: has no frame {number}, or it is the first, with nothing to match")


def _not_there(track_id: int, number: int, trace: Trace, tracks: Tracks) -> str:
    if track_id in tracks.ids:
        return f"track {track_id} is born in frame {number}: there was nothing to match yet"
    alive = sorted({int(i) for i in trace.ids if i} | set(tracks.ids.tolist()))
    return f"track {track_id} is not alive in frame {number}; alive: {', '.join(map(str, alive))}"


def _outcome(tracks: Tracks, track_id: int) -> str:
    rows = tracks.detections[tracks.ids == track_id]
    if len(rows) and rows[0] >= 0:
        return f"got detection {rows[0]} (counted from 0 in the frame)"
    return "got no detection"


def _show(console: Console, verdict: Verdict) -> None:
    title = f"{verdict.stage}: limit {verdict.limit:g}"
    table = Table("detection", "cost", "", title=title, title_justify="left", caption_style="")
    for candidate in verdict.candidates if verdict.took_part else []:
        owner = "" if candidate.owner is None else f"went to track {candidate.owner or '(new)'}"
        note = "not in this stage" if not candidate.took_part else owner
        note = "chosen" if candidate.chosen else note
        cost = "ruled out" if candidate.cost == float("inf") else f"{candidate.cost:.3f}"
        table.add_row(str(candidate.row), cost, note)
    if table.row_count:
        console.print(table)
    else:
        console.print(title)
    console.print(f"  {verdict.reason}\n")
