"""`mot data`: look at what a detector is to learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mot.cli.flags import parse_size

FORMATS = ("crowdhuman", "coco", "voc", "mot", "eurocity", "citypersons", "yolo", "jde", "market")
BOXES = ("full", "visible")
Command = TypeVar("Command", bound=Callable[..., Any])

_SOURCE_FLAGS = (
    click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
    click.option(
        "--images",
        multiple=True,
        metavar="DIR",
        help="Image folder; one, or one for each SOURCE. [default: searched for]",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        help="Annotation format. [default: by the content of SOURCE]",
    ),
    click.option(
        "--split",
        default="",
        metavar="NAME|FILE",
        help="VOC: a list of names; YOLO: a folder in labels.",
    ),
    click.option(
        "--boxes",
        type=click.Choice(BOXES),
        default="full",
        show_default=True,
        help="Boxes of the full (amodal) object, or of its visible part.",
    ),
    click.option("--classes", metavar="NAME,...", help="Classes to keep. [default: people]"),
    click.option(
        "--every", type=click.IntRange(1), default=1, metavar="N", help="Every N-th image only."
    ),
)


def _source_flags(command: Command) -> Command:
    for option in reversed(_SOURCE_FLAGS):
        command = option(command)
    return command


@click.group(
    short_help="Check datasets of images, fit anchors.",
    epilog="""\b
Examples:
  mot data check train.json --images train --val val.json -o runs/data/person
  mot data anchors annotation_train.odgt --imgsz 608x608
""",
)
def data() -> None:
    """Inspect datasets before training on them: CrowdHuman's .odgt, COCO JSON, VOC XML,
    EuroCity Persons, CityPersons, MOTChallenge sequences, YOLO text."""


@data.command(
    short_help="Check a dataset, and draw samples.",
    epilog="""\b
Examples:
  mot data check annotation_train.odgt --images Images
  mot data check train.json --val val.json --boxes visible -o runs/data/visible
  mot data check MOT17/train --every 10 --quick
""",
)
@_source_flags
@click.option("--val", multiple=True, metavar="SOURCE", help="Validation dataset.")
@click.option(
    "--val-images", multiple=True, metavar="DIR", help="Image folder of the validation dataset."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Report folder. [default: runs/data/NAME]",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 400),
    default=24,
    show_default=True,
    help="Images on a contact sheet.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the samples.")
@click.option("--quick", is_flag=True, help="Skip reading every image.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier report.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def check(**options: Any) -> None:
    """Read SOURCE and every image of it. Writes into a folder: samples with their boxes
    (train.png, val.png), plots of their sizes, shapes, density and visibility
    (distributions.png), and all that was found, in JSON (report.json): broken, missing and repeated
    images, boxes that cannot be used, images that are in both the training and the validation
    data or look alike there."""
    from mot.commands.data import run_check

    run_check(**options)


@data.command(
    short_help="Fit anchors to a dataset.",
    epilog="""\b
Examples:
  mot data anchors train.json --imgsz 416x416
  mot data anchors annotation_train.odgt --images Images --imgsz 960x544 --count 9
""",
)
@_source_flags
@click.option("--count", type=click.IntRange(1, 100), default=9, show_default=True)
@click.option(
    "--imgsz",
    default="640x640",
    show_default=True,
    callback=parse_size,
    metavar="WIDTHxHEIGHT",
    help="Network input size.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the clustering.")
def anchors(**options: Any) -> None:
    """Fit anchors to the box sizes of SOURCE, as a network sees them with
    images letterboxed to --imgsz. Prints them by area, and how well they and the shipped anchors
    fit the boxes."""
    from mot.commands.data import run_anchors

    run_anchors(**options)
