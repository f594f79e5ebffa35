"""`mot convert`: tracks from one format to another, datasets of images to COCO JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FORMATS = ("mot", "coco", "cvat")
DETECTION = "coco-detection"  # COCO of images, beside that of tracks
DATA_SETS = ("crowdhuman", "voc", "eurocity", "citypersons", "yolo", "jde", "market", DETECTION)


@click.command(
    short_help="Convert tracks (MOT, COCO, CVAT), and datasets of images to COCO.",
    epilog="""\b
Examples:
  mot convert MOT17-05 -o MOT17-05.xml            ground truth, to correct in CVAT
  mot convert MOT17/train -o train.json           every sequence in one COCO file
  mot convert annotations.xml -o gt.txt           what CVAT exported, to evaluate with
  mot convert train.json -o truth --to mot        a folder with a file for each video
  mot convert annotation_train.odgt --images Images -o crowdhuman.json
  mot convert VOC2007/Annotations -o voc.json     the people in a dataset of images
  mot convert MOT17/train -o boxes.json --to coco-detection   its frames, as such a dataset
""",
)
@click.argument("source", type=click.Path(path_type=Path), metavar="SOURCE")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Output file (.txt, .json, .xml), or a folder with --to.",
)
@click.option(
    "--to",
    type=click.Choice((*FORMATS, DETECTION)),
    help="Output format. [default: by the suffix of --out]",
)
@click.option(
    "--from",
    "source_format",
    type=click.Choice(FORMATS + DATA_SETS),
    help="Format of SOURCE. [default: by its content]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Image folder of a dataset. [default: beside the annotations]",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def convert(**options: Any) -> None:
    """Convert the tracks of SOURCE to another format. Boxes, ids, scores, classes and visibility
    are kept exactly.

    SOURCE is a file, a MOTChallenge sequence (its gt/gt.txt, with its size, frame rate and image
    names), a dataset of these, or a folder of files. COCO JSON holds many videos per file, other
    formats one.

    A dataset of images (CrowdHuman's .odgt, EuroCity Persons, CityPersons, folders of VOC XML or
    YOLO text, or with --from coco-detection COCO JSON) becomes COCO JSON of its people; ignored
    ones are kept with `ignore` and `iscrowd`, as COCO's evaluation expects."""
    from mot.commands.convert import ConvertOptions, run

    run(ConvertOptions(**options))
