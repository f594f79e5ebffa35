"""`mot track`: track the objects of videos."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.flags import post_flag, several_of, tracking_flags

FORMATS = ("mot", "csv", "jsonl")


@click.command(
    short_help="Track the people in a video.",
    epilog="""\b
Examples:
  mot track video.mp4
  mot track video.mp4 --detector yolov3.cfg --imgsz 960x544
  mot track video.mp4 --detections det.txt -o out/
  mot track MOT17-02-FRCNN --detections FRCNN --tracker sort --no-video
  mot track 'clips/*.mp4' --format mot,csv
  mot track rtsp://camera/stream -o - | jq .tracks
""",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@tracking_flags
@post_flag
@click.option("-o", "--out", metavar="DIR", help="Results folder, or - for JSON lines to stdout.")
@click.option(
    "--format",
    "formats",
    default="mot",
    callback=several_of(FORMATS),
    show_default=True,
    help=f"Format of the tracks: {', '.join(FORMATS)}, or several with commas.",
)
@click.option("--save-video/--no-video", default=None, help="Annotated video. [default: yes]")
@click.option("--show", is_flag=True, help="Live window; q ends it.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def track(**options: Any) -> None:
    """Track the objects in SOURCE: people, unless --classes says otherwise.

    SOURCE is a video, a URL, a camera number, - for standard input, a folder or glob of
    images or videos, or a MOTChallenge sequence or dataset. Results go to runs/track/NAME.
    """
    from mot.commands.track import TrackOptions, run

    run(TrackOptions(**options))
