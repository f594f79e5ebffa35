"""`mot convert`: tracks from one format to another, data sets of pictures to COCO JSON."""

from __future__ import annotations

from pathlib import Path

import click

FORMATS = ("mot", "coco", "cvat")
DETECTION = "coco-detection"  # COCO of pictures, beside that of tracks
DATA_SETS = ("crowdhuman", "voc", "eurocity", "citypersons", "yolo", "jde", "market", DETECTION)


@click.command(
    short_help="Convert tracks (MOT, COCO, CVAT), and data sets of pictures to COCO.",
    epilog="""\b
Examples:
  mot convert MOT17-05 -o MOT17-05.xml            ground truth, to correct in CVAT
  mot convert MOT17/train -o train.json           every sequence in one COCO file
  mot convert annotations.xml -o gt.txt           what CVAT exported, to evaluate with
  mot convert train.json -o truth --to mot        a folder with a file for each video
  mot convert annotation_train.odgt --images Images -o crowdhuman.json
  mot convert VOC2007/Annotations -o voc.json     the people of a data set of pictures
  mot convert MOT17/train -o boxes.json --to coco-detection   its frames, as such a data set
""",
)
@click.argument("source", type=click.Path(path_type=Path), metavar="SOURCE")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A file (.txt, .json, .xml), or a folder with --to.",
)
@click.option(
    "--to",
    type=click.Choice((*FORMATS, DETECTION)),
    help="[default: by the suffix of --out]",
)
@click.option(
    "--from",
    "source_format",
    type=click.Choice(FORMATS + DATA_SETS),
    help="[default: by what SOURCE holds]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Of a data set: where names of pictures begin. [default: beside the annotations]",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def convert(
    source: Path,
    out: Path,
    to: str | None,
    source_format: str | None,
    images: Path | None,
    **flags: bool,
) -> None:
    """Convert the tracks of SOURCE to another format. Boxes, ids, scores, classes and visibility
    come through exactly.

    SOURCE is a file, a MOTChallenge sequence (its gt/gt.txt, with its size, frame rate and image
    names), a data set of such, or a folder of files. COCO JSON holds many videos in a file, the
    others one.

    Of a data set of pictures (CrowdHuman's .odgt, EuroCity Persons, CityPersons, folders of VOC XML
    or YOLO text, or with --from coco-detection COCO JSON) the people come through, those that are
    not to be counted too: as `ignore` and `iscrowd`, as COCO's evaluation knows them."""
    from mot.commands.console import refuse_existing, tell
    from mot.commands.convert import plan_outputs, read_source, summary
    from mot.commands.convert_data import convert_data_set, is_data_set
    from mot.formats import format_of, write_videos

    name, overwrite = to or format_of(out), flags["overwrite"]
    if is_data_set(source, source_format, images, name):
        said = convert_data_set((source, source_format, images), out, name, overwrite)
        tell(said, flags["quiet"])
        return
    found = read_source(source, source_format)
    outputs = plan_outputs(out, name, found)
    refuse_existing(outputs, overwrite, found.files)
    for note in found.notes:
        tell(f"warning: {note}")
    for path, videos in outputs.items():
        write_videos(path, videos, name)
        tell(f"{path}: {summary(videos)}", flags["quiet"])
