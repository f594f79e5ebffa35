"""`mot detect`: find the people in pictures and videos, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from mot.cli.detector_flags import DetectorOptions, detector_flags, set_flag

FORMATS = ("mot", "json", "coco")


@dataclass(frozen=True, slots=True)
class Options(DetectorOptions):
    """The flags of `mot detect`, as given."""

    sources: tuple[str, ...]
    out: str | None
    form: str | None
    save_video: bool
    save_crops: str | None
    start: float | None
    end: float | None
    every: int
    overwrite: bool
    quiet: bool


@click.command(
    short_help="Find the people in each frame, without following them.",
    epilog="""\b
Examples:
  mot detect video.mp4 --detector yolov3.cfg -o det.txt
  mot detect video.mp4 --detector person.onnx --imgsz 960x544 --every 10 -o det.json
  mot detect 'photos/*.jpg' --detector yolov3.cfg --classes person,car --save-crops crops/
  mot detect crowd.mp4 --detector yolov3.cfg --tiles 2x2 --save-video
""",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@detector_flags
@set_flag(Options.groups)
@click.option(
    "-o", "--out", metavar="FILE|DIR", help="A file for one source. [default: runs/detect/NAME]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="MOT text, JSON, or COCO's results, whose image_id is the frame's number and whose "
    "category_id is COCO's own for networks of its 80 classes, else the class from 1. "
    "[default: by the suffix of --out, else mot]",
)
@click.option("--save-video", is_flag=True, help="Write the annotated video too.")
@click.option("--save-crops", metavar="DIR", help="Write the people as pictures.")
@click.option("--start", type=float, metavar="SECONDS", help="Begin here.")
@click.option("--end", type=float, metavar="SECONDS", help="Stop before here.")
@click.option(
    "--every", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th frame."
)
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def detect(**options: Any) -> None:
    """Find the people in each frame of SOURCE: a video, URL, camera, folder or glob of pictures,
    or a MOTChallenge sequence or data set. Frames keep the numbers that the source gives them."""
    from mot.commands.detect import run

    run(Options(**options))
