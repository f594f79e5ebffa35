"""`mot render`: draw tracks on the video they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mot.commands.console import notify, progress, refuse_existing
from mot.motfile import read_tracks
from mot.render import Renderer, RenderSettings
from mot.types import Tracks
from mot.video import open_source, open_writer


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """The flags of `mot render`, as given."""

    source: str
    tracks: Path
    out: Path | None
    trail: float
    labels: bool
    overwrite: bool
    quiet: bool


def run(options: RenderOptions) -> None:
    table, nothing = read_tracks(options.tracks), Tracks.empty()
    renderer = Renderer(RenderSettings(trail=options.trail, labels=options.labels))
    last = 0
    with open_source(options.source) as frames:
        out = options.out or Path("runs/render") / f"{frames.name}.mp4"
        refuse_existing([out], options.overwrite, [options.source, options.tracks])
        with (
            open_writer(out, frames.fps, options.overwrite) as writer,
            progress(frames.name, frames.expected, options.quiet) as advance,
        ):
            for frame in frames:
                last, tracks = frame.index, table.get(frame.index, nothing)
                renderer.draw(frame, tracks)
                writer.write(frame)
                advance(len(tracks))
    if max(table, default=0) > last:
        notify(
            f"warning: {options.tracks} has tracks up to frame {max(table)}, but "
            f"{options.source} ends at frame {last}"
        )
    for warning in frames.warnings:
        notify(f"warning: {warning}")
    notify(str(out), options.quiet)
