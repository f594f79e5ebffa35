"""`mot explain`: why a track got the detection that it got, or got none."""

from __future__ import annotations

from typing import Any

import click

from mot.trackers import DEFAULT_TRACKER, TRACKERS


@click.command(
    short_help="Say why a track was matched as it was.",
    epilog="""\b
Examples:
  mot explain MOT17-05 --detections FRCNN --frame 120 --id 7
  mot explain video.mp4 --detections det.txt --tracker bytetrack --frame 31 --id 2
""",
)
@click.argument("source", metavar="SOURCE")
@click.option("--frame", "number", type=click.IntRange(1), required=True, help="Its number.")
@click.option("--id", "track_id", type=click.IntRange(1), required=True, help="Of the track.")
@click.option("--detections", metavar="FILE|NAME", help="MOT detections, not the sequence's own.")
@click.option("--embeddings", metavar="FILE", help="What the detections look like.")
@click.option("--camera", metavar="METHOD|FILE", help="The camera's motion.")
@click.option("--conf", type=click.FloatRange(0, 1), help="Leave out detections of a lower score.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Every N-th frame.")
@click.option(
    "--tracker",
    default=DEFAULT_TRACKER,
    metavar="NAME|FILE.toml",
    show_default=True,
    help=f"One of {', '.join(TRACKERS)}.",
)
@click.option("--set", "settings", multiple=True, metavar="tracker.KEY=VALUE", help="A setting.")
def explain(**options: Any) -> None:
    """Track SOURCE up to a frame, and show there how one track was matched: the detections it
    could have had, what each cost in each stage, the limit, and what would have had to differ.

    Give the options that `mot track` was given; ids are those before --post."""
    from mot.cli.explaining import run

    run(**options)
