"""`mot explain`: why a track got the detection that it got, or got none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from mot.cli.track import FollowOptions, follow_flags


@dataclass(frozen=True, slots=True)
class Options(FollowOptions):
    """The flags of `mot explain`, as given."""

    source: str
    number: int
    track_id: int
    plot: str | None
    overwrite: bool


@click.command(
    short_help="Say why a track was matched as it was.",
    epilog="""\b
Examples:
  mot explain MOT17-05 --detections FRCNN --frame 120 --id 7
  mot explain video.mp4 --tracker bytetrack --frame 31 --id 2
  mot explain video.mp4 --embedder osnet.onnx --frame 31 --id 2 --plot why.png
""",
)
@click.argument("source", metavar="SOURCE")
@click.option("--frame", "number", type=click.IntRange(1), required=True, help="Its number.")
@click.option("--id", "track_id", type=click.IntRange(1), required=True, help="Of the track.")
@click.option(
    "--plot",
    metavar="FILE.png",
    help="Show what the track looked like and what it could have had, side by side.",
)
@follow_flags
@click.option("--overwrite", is_flag=True, help="Replace an earlier picture.")
def explain(**options: Any) -> None:
    """Track SOURCE up to a frame, and show there how one track was matched: the detections it
    could have had, what each cost in each stage, the limit, and what would have had to differ.
    Beside each cost stands what it rests on: 1 - IoU, how far the looks differ (the cosine
    distance, from 0 to 2), and how far the filter expected the track elsewhere.

    Give the options that `mot track` was given; ids are those before --post."""
    from mot.commands.explain import run

    run(Options(**options))
