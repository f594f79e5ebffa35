"""`mot track`: find the people in videos and follow them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import click

from mot.cli.detector_flags import DetectorOptions, detector_flags, set_flag
from mot.commands.console import several_of
from mot.trackers import DEFAULT_TRACKER, TRACKERS

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("mot", "csv", "jsonl")
CAMERA_METHODS = ("flow", "ecc", "orb")
POST = ("merge", "linear", "gsi", "short")


@dataclass(frozen=True, slots=True)
class FollowOptions(DetectorOptions):
    """The flags that decide which tracks come out, as given."""

    groups: ClassVar[tuple[str, ...]] = ("tracker", "detector")

    detections: str | None
    embeddings: str | None
    embedder: str | None
    camera: str | None
    tracker: str
    start: float | None
    end: float | None
    every: int


@dataclass(frozen=True, slots=True)
class Options(FollowOptions):
    """The flags of `mot track`, as given."""

    sources: tuple[str, ...]
    post: tuple[str, ...]
    out: str | None
    formats: tuple[str, ...]
    save_video: bool | None
    show: bool
    overwrite: bool
    quiet: bool


embedder_flag = click.option(
    "--embedder",
    metavar="FILE|NAME",
    help="What sees what they look like: .onnx, .safetensors, none. [default: person, which "
    "comes with mot, where a detector looks at the pictures or the tracker needs it]",
)
_FLAGS = (
    click.option("--detections", metavar="FILE|DIR|NAME", help="MOT detections, not a detector's."),
    click.option("--embeddings", metavar="FILE", help="What the detections look like: .npy, .npz."),
    embedder_flag,
    detector_flags,
    click.option(
        "--tracker",
        default=DEFAULT_TRACKER,
        metavar="NAME|FILE.toml",
        show_default=True,
        help=f"What follows them: {', '.join(TRACKERS)}.",
    ),
    click.option(
        "--camera",
        metavar=f"{'|'.join(CAMERA_METHODS)}|FILE",
        help="The camera's motion, seen or from a file.",
    ),
    set_flag(FollowOptions.groups),
    click.option("--start", type=float, metavar="SECONDS", help="Begin here."),
    click.option("--end", type=float, metavar="SECONDS", help="Stop before here."),
    click.option(
        "--every", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th frame."
    ),
)


def follow_flags(command: Command) -> Command:
    """The flags of `FollowOptions`."""
    for option in reversed(_FLAGS):
        command = option(command)
    return command


@click.command(
    short_help="Find the people in a video and follow them.",
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
@follow_flags
@click.option(
    "--post",
    callback=several_of(POST),
    metavar="STEP,...",
    help=f"Mend the finished tracks: {', '.join(POST)} (done in this order).",
)
@click.option(
    "-o", "--out", metavar="DIR", help="Folder of the results, or - for JSON lines to stdout."
)
@click.option(
    "--format",
    "formats",
    default="mot",
    callback=several_of(FORMATS),
    show_default=True,
    help=f"Of the tracks: {', '.join(FORMATS)}, or several with commas.",
)
@click.option(
    "--save-video/--no-video", default=None, help="Write the annotated video. [default: yes]"
)
@click.option("--show", is_flag=True, help="Show the video in a window; q ends it.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def track(**options: Any) -> None:
    """Find the people in SOURCE and follow them.

    SOURCE is a video, a URL, a camera's number, - for standard input, a folder or glob of
    pictures or videos, or a MOTChallenge sequence or data set. Results go to runs/track/NAME.
    """
    from mot.commands.track import run

    run(Options(**options))
