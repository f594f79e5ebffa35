"""`mot render`: draw tracks on the video they belong to."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    short_help="Draw tracks on the video they belong to.",
    epilog="""\b
Examples:
  mot render video.mp4 tracks.txt -o out.mp4
  mot render MOT17-02-FRCNN gt/gt.txt -o truth.mp4
""",
)
@click.argument("source", metavar="SOURCE")
@click.argument("tracks", type=click.Path(path_type=Path), metavar="TRACKS")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The video, or a folder for pictures. [default: runs/render/NAME.mp4]",
)
@click.option("--trail", type=float, default=2.0, show_default=True, help="Seconds of path behind.")
@click.option("--labels/--no-labels", default=True, help="Write the ids.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier video.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def render(
    source: str, tracks: Path, out: Path | None, quiet: bool, overwrite: bool, **look: float
) -> None:
    """Draw TRACKS, any MOTChallenge text file, on SOURCE, any video, folder or sequence."""
    from mot.commands.console import progress, refuse_existing, tell
    from mot.motfile import read_tracks
    from mot.render import Renderer, RenderSettings
    from mot.types import Tracks
    from mot.video import open_source, open_writer

    table, nobody = read_tracks(tracks), Tracks.empty()
    renderer = Renderer(RenderSettings(trail=look["trail"], labels=bool(look["labels"])))
    last = 0
    with open_source(source) as frames:
        out = out or Path("runs/render") / f"{frames.name}.mp4"
        refuse_existing([out], overwrite, [source, tracks])
        with (
            open_writer(out, frames.fps, overwrite) as writer,
            progress(frames.name, frames.expected, quiet) as tick,
        ):
            for frame in frames:
                last, shown = frame.index, table.get(frame.index, nobody)
                renderer.draw(frame, shown)
                writer.write(frame)
                tick(len(shown))
    if max(table, default=0) > last:
        tell(f"warning: {tracks} goes on to frame {max(table)}, {source} ends at {last}")
    for warning in frames.warnings:
        tell(f"warning: {warning}")
    tell(str(out), quiet)
