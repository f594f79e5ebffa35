"""`mot render`: draw tracks on the video they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    help="Output video, or a folder for images. [default: runs/render/NAME.mp4]",
)
@click.option("--trail", type=float, default=2.0, show_default=True, help="Seconds of trail.")
@click.option("--labels/--no-labels", default=True, help="Draw the ids.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier video.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def render(**options: Any) -> None:
    """Draw TRACKS, any MOTChallenge text file, on SOURCE, any video, folder or sequence."""
    from mot.commands.render import RenderOptions, run

    run(RenderOptions(**options))
