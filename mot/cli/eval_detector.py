"""`mot eval-detector`: measure detections, or detectors, against annotated images."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.data import BOXES, FORMATS
from mot.cli.flags import network_flags, set_flag


@click.command(
    "eval-detector",
    short_help="Evaluate detections: AP, miss rate, Jaccard index.",
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
@click.option("--images", metavar="DIR", help="Image folder. [default: searched for]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Annotation format. [default: by the content of --gt]",
)
@click.option("--split", default="", metavar="NAME|FILE", help="VOC: a list of image names.")
@click.option(
    "--boxes",
    type=click.Choice(BOXES),
    default="full",
    show_default=True,
    help="Ground-truth boxes: full (amodal), or the visible part.",
)
@click.option(
    "--every", type=click.IntRange(1), default=1, metavar="N", help="Every N-th image only."
)
@click.option(
    "--coco-limit",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Detections per image that count for COCO's AP; crowds need more.",
)
@click.option("--splits", is_flag=True, help="Scores by size and visibility, too.")
@click.option("--json", metavar="FILE", help="Output file of all scores, in full precision.")
@click.option(
    "--errors",
    metavar="DIR",
    help="Output folder of the curve, the kinds of errors and the worst images.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Minimum score of --errors. [default: where F1 is best]",
)
@click.option(
    "--save", metavar="FILE", help="Output file of a detector's detections, as COCO results."
)
@network_flags
@set_flag(("detector",))
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="The table only.")
def eval_detector(**options: Any) -> None:
    """Evaluate DET with the metrics of COCO, VOC and CrowdHuman.

    DET is a file of detections (COCO's results .json, CrowdHuman's .odgt, or what `mot detect`
    writes), or a detector as `mot detect --detector` takes it, which then runs on the images
    with --conf 0.001. Several are compared.
    """
    from mot.commands.eval_detector import EvalDetectorOptions, run

    run(EvalDetectorOptions(detector=None, **options))
