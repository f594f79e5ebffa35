"""`mot eval-detector`: measure detections, or detectors, against annotated images."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.data import BOXES, FORMATS
from mot.cli.flags import network_flags, set_flag


@click.command(
    "eval-detector",
    short_help="Measure detections: AP, miss rate, Jaccard index.",
    epilog="""\b
Examples:
  mot eval-detector detections.json --gt annotations.json
  mot eval-detector yolov3.cfg --gt annotation_val.odgt --images Images --splits
  mot eval-detector small.onnx large.onnx --gt val.json --imgsz 416    # side by side
  mot eval-detector yolov3.cfg --gt val.json --save found.json --errors errors/
""",
)
@click.argument("measured", nargs=-1, required=True, metavar="DET...")
@click.option(
    "--gt",
    required=True,
    metavar="FILE|DIR",
    help="Annotated images: COCO JSON, .odgt, VOC, MOTChallenge, YOLO, ...",
)
@click.option("--images", metavar="DIR", help="Where names of images begin. [default: looked for]")
@click.option("--format", "form", type=click.Choice(FORMATS), help="[default: by what --gt holds]")
@click.option("--split", default="", metavar="NAME|FILE", help="Of VOC: a list of names.")
@click.option(
    "--boxes",
    type=click.Choice(BOXES),
    default="full",
    show_default=True,
    help="Ground-truth boxes: full (amodal), or the visible part.",
)
@click.option(
    "--every", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th image."
)
@click.option(
    "--coco-limit",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Detections of a image that count for COCO's AP; crowds need more.",
)
@click.option("--splits", is_flag=True, help="By size and by how much is seen, too.")
@click.option("--json", metavar="FILE", help="Write all numbers, in full precision.")
@click.option("--errors", metavar="DIR", help="Write the curve, what goes wrong, and where.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="From which --errors counts mistakes. [default: where F1 is best]",
)
@click.option("--save", metavar="FILE", help="Keep a detector's detections, as COCO's results.")
@network_flags
@set_flag(("detector",))
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="No notes, only the table.")
def eval_detector(**options: Any) -> None:
    """Measure DET as COCO, VOC and CrowdHuman do.

    DET is a file of detections (COCO's results .json, CrowdHuman's .odgt, or what `mot detect`
    writes), or a detector as `mot detect --detector` takes it, which then runs on the images
    with --conf 0.001. Several are compared.
    """
    from mot.commands.eval_detector import EvalDetectorOptions, run

    run(EvalDetectorOptions(detector=None, **options))
