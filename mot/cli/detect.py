"""`mot detect`: detect objects in images and videos, frame by frame."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.flags import detector_flags, frame_range_flags, set_flag

FORMATS = ("mot", "json", "coco")


@click.command(
    short_help="Detect the people in each frame, without tracking.",
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
@set_flag(("detector",))
@click.option(
    "-o", "--out", metavar="FILE|DIR", help="A file for one source. [default: runs/detect/NAME]"
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="MOT text, JSON, or COCO results, whose image_id is the frame number and whose "
    "category_id is COCO's own for networks of its 80 classes, else the label from 1. "
    "[default: by the suffix of --out, else mot]",
)
@click.option("--save-video", is_flag=True, help="Annotated video.")
@click.option("--save-crops", metavar="DIR", help="Folder for an image of each detection.")
@frame_range_flags
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def detect(**options: Any) -> None:
    """Detect objects in each frame of SOURCE: a video, URL, camera, folder or glob of images, or a
    MOTChallenge sequence or dataset. Frames keep the numbers that the source gives them."""
    from mot.commands.detect import DetectOptions, run

    run(DetectOptions(**options))
