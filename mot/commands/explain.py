"""`mot explain`: track up to a frame, then show how one track was matched there."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table

from mot import boxes
from mot.commands.console import notify, refuse_existing
from mot.commands.options import TrackingOptions
from mot.config import build_tracker
from mot.errors import MotError
from mot.pipeline import Pipeline
from mot.trackers.base import BaseTracker
from mot.trackers.explain import (
    Candidate,
    Verdict,
    explain_stages,
    find_detection,
    find_track,
    outcome,
)
from mot.trackers.stages import Trace
from mot.types import Detections, Frame, Image, Tracks
from mot.video.streams import StreamSource

if TYPE_CHECKING:
    from mot.reports.lineup import CardKind, CropCard, StageRow

_TEXT_COLUMNS = ("cost terms", "outcome")
_KEPT_CROPS = 12  # of a track's past
_CROPS_PER_STAGE = 4
_CANDIDATES_PER_STAGE = 6
_MEANING = {
    "appearance": "cosine distance to the track's embedding, 0 to 2",
    "motion": "squared Mahalanobis distance to the predicted box",
    "1 - IoU": "of the predicted box and this one",
}


@dataclass(frozen=True, slots=True)
class ExplainOptions(TrackingOptions):
    """The flags of `mot explain`, as given."""

    source: str
    number: int  # of the frame
    track_id: int
    plot: str | None
    overwrite: bool


class Moment(NamedTuple):
    """A frame, how its detections were matched, and the resulting tracks."""

    frame: Frame
    found: Detections
    trace: Trace
    tracks: Tracks


class Crop(NamedTuple):
    """A track as it was detected in a frame."""

    frame: int
    image: Image


class Past(NamedTuple):
    """A track's detections before the frame, since it has an id."""

    crops: tuple[Crop, ...]  # the last ones that have an image
    detections: int  # of all


def run(options: ExplainOptions) -> None:
    tracker = build_tracker(options.tracker, **options.overrides("tracker"))
    if not isinstance(tracker, BaseTracker):
        raise MotError(f"{options.tracker} keeps no trace of its matching")
    stream = _only_stream(options)
    if options.plot:
        _check_plot(stream, options)
    pipeline = options.pipeline(stream, tracker)
    options.check_inputs([stream], [pipeline], tracker, quiet=False)
    number, track_id = options.number, options.track_id
    moment, past = _replay(stream, pipeline, tracker, options)
    track = find_track(moment.trace, moment.tracks, track_id)
    if track is None:
        raise MotError(_missing_track(moment, number, track_id))
    row = find_detection(moment.trace, moment.tracks, track_id)
    matched = "got no detection" if row is None else f"got detection {row} (counted from 0)"
    title = f"Frame {number}, track {track_id}: {matched}"
    _show(title, [*explain_stages(moment.trace, track)])
    if options.plot:
        _plot(f"{stream.name}: {title}", moment, past, track, Path(options.plot))
        notify(f"  {options.plot}")


def _only_stream(options: ExplainOptions) -> StreamSource:
    streams = options.find_streams((options.source,))
    if len(streams) > 1:
        names = ", ".join(stream.name for stream in streams[:3])
        raise MotError(f"{options.source}: holds {len(streams)} streams ({names} ...): name one")
    return streams[0]


def _check_plot(stream: StreamSource, options: ExplainOptions) -> None:
    path = Path(options.plot or "")
    if path.suffix.lower() != ".png":
        raise MotError(f"--plot {path}: the plot is a PNG: give a name that ends in .png")
    if not stream.has_images:
        raise MotError(
            f"--plot: {stream.name} has no images to crop: name its video, and give "
            "--detections FILE"
        )
    refuse_existing([path], options.overwrite, [options.source])


def _missing_track(moment: Moment, number: int, track_id: int) -> str:
    if track_id in moment.tracks.ids:
        return f"track {track_id} starts in frame {number}: there was nothing to match yet"
    alive = sorted({int(i) for i in moment.trace.ids if i} | set(moment.tracks.ids.tolist()))
    ids = ", ".join(map(str, alive)) or "none"
    return f"track {track_id} is not alive in frame {number}; alive: {ids}"


def _replay(
    stream: StreamSource, pipeline: Pipeline, tracker: BaseTracker, options: ExplainOptions
) -> tuple[Moment, Past]:
    """The frame to explain, and the track's detections until then."""
    crops: deque[Crop] = deque(maxlen=_KEPT_CROPS)
    count = 0
    needs_images = options.plot is not None or pipeline.needs_images
    with closing(_moments(stream, pipeline, tracker, needs_images)) as moments:
        for moment in takewhile(lambda moment: moment.frame.index <= options.number, moments):
            if moment.frame.index == options.number:
                return moment, Past(tuple(crops), count)
            row = find_detection(moment.trace, moment.tracks, options.track_id)
            if row is not None:
                count += 1
                image, box = moment.frame.image, moment.found.boxes[row : row + 1]
                cut = boxes.crop_images(image, box) if image is not None else []
                crops.extend(Crop(moment.frame.index, crop.copy()) for crop in cut)
    raise MotError(
        f"{stream.name}: has no frame {options.number}, or --start, --end or --every leave it out"
    )


def _moments(
    stream: StreamSource, pipeline: Pipeline, tracker: BaseTracker, needs_images: bool
) -> Generator[Moment, None, None]:
    with stream.open(needs_images) as source, closing(pipeline.steps(source)) as steps:
        tracker.trace = []
        for frame, found, tracks in steps:
            yield Moment(frame, found, tracker.trace[0], tracks)
            tracker.trace = []


def _show(title: str, stages: list[Verdict]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(title)
    for verdict in stages:
        name = f"{verdict.stage}: limit {verdict.limit:g}"
        candidates = verdict.candidates if verdict.took_part else []
        console.print(_table(name, candidates) if candidates else name)
        more = f"; {verdict.omitted} more not shown" if candidates and verdict.omitted else ""
        console.print(f"  {verdict.reason}{more}\n")


def _table(title: str, candidates: list[Candidate]) -> Table:
    """A row per candidate; columns that the tracker has no values for are left out."""
    rows = [_cells(candidate) for candidate in candidates]
    table = Table(title=title, title_justify="left")
    known = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in known:
        table.add_column(name, justify="left" if name in _TEXT_COLUMNS else "right")
    for row in rows:
        table.add_row(*(row[name] for name in known))
    return table


def _cells(candidate: Candidate) -> dict[str, str]:
    """By column; empty where nothing is known."""
    is_gated, basis = candidate.cost == float("inf"), candidate.basis
    cells = {"detection": str(candidate.row), "cost": "" if is_gated else f"{candidate.cost:.3f}"}
    if basis:
        cells["cost terms"] = "" if is_gated or basis.appearance is None else basis.rule
        cells |= basis.texts()
    return cells | {"outcome": outcome(candidate)}


def _plot(title: str, moment: Moment, past: Past, track: int, path: Path) -> None:
    """The crops of the track, and of its candidates in each stage."""
    from mot.reports.lineup import Lineup, plot_lineup

    image = moment.frame.image
    if image is None:
        raise MotError(f"--plot: frame {moment.frame.index} has no image: choose another one")
    stages = [v for v in explain_stages(moment.trace, track, _CANDIDATES_PER_STAGE) if v.took_part]
    rows = [_plot_row(verdict, moment, image) for verdict in stages]
    shown = past.crops[-_CROPS_PER_STAGE * len(rows) :]
    cards = [_card(crop.image, f"frame {crop.frame}") for crop in shown]
    starts = range(0, _CROPS_PER_STAGE * len(rows), _CROPS_PER_STAGE)
    memory = [cards[start : start + _CROPS_PER_STAGE] for start in starts]
    last = f"the last {len(shown)} of {past.detections}" if shown else "no image"
    heading = f"The track, as detected before: {last}"
    plot_lineup(Lineup(title, _legend(stages), heading, memory, rows), path)


def _legend(stages: list[Verdict]) -> str:
    """The meaning of the distances that are shown."""
    candidates = [candidate for verdict in stages for candidate in verdict.candidates]
    texts = [candidate.basis.texts() for candidate in candidates if candidate.basis]
    names = [name for name in _MEANING if any(text[name] for text in texts)]
    parts = [f"{name}: {_MEANING[name]}" for name in names]
    return ".  ".join([*parts, "pale: ruled out, or not in this stage"])


def _plot_row(verdict: Verdict, moment: Moment, image: Image) -> StageRow:
    from mot.reports.lineup import StageRow

    crops = boxes.crop_images(image, moment.found.boxes)
    cards = [
        _card(crops[each.row], f"detection {each.row}", _kind(each), _lines(each))
        for each in verdict.candidates
    ]
    within = sum(candidate.cost < verdict.limit for candidate in verdict.candidates)
    more = f" {verdict.omitted} more not shown." if verdict.omitted else ""
    reason = f"{verdict.reason[:1].upper()}{verdict.reason[1:]}.{more}"
    return StageRow(f"Stage: {verdict.stage}", reason, cards, f"limit {verdict.limit:g}", within)


def _card(
    crop: Image, name: str, kind: CardKind = "track", lines: tuple[str, ...] = ()
) -> CropCard:
    from mot.reports.lineup import CropCard

    size = f"{crop.shape[1]} x {crop.shape[0]} px" if crop.size else "outside the image"
    return CropCard(crop, name, (*lines, size), kind)


def _kind(candidate: Candidate) -> CardKind:
    if candidate.chosen:
        return "chosen"
    is_out = candidate.cost == float("inf") or not candidate.took_part
    return "rejected" if is_out else "other"


def _lines(candidate: Candidate) -> tuple[str, ...]:
    """The cost, the outcome, then the cost's terms."""
    is_gated, basis = candidate.cost == float("inf"), candidate.basis
    first = "ruled out" if is_gated else f"cost {candidate.cost:.3f}"
    lines = [first, outcome(candidate).removeprefix("ruled out").removeprefix(": ")]
    if basis:
        lines += [f"= {basis.rule}"] if basis.appearance is not None and not is_gated else []
        lines += [f"{name} {text}" for name, text in basis.texts().items() if text]
    return tuple(line for line in lines if line)
