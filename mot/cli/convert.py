"""`mot convert`: tracks from one format to another."""

from __future__ import annotations

from pathlib import Path

import click

FORMATS = ("mot", "coco", "cvat")


@click.command(
    short_help="Convert tracks: MOT text, COCO video JSON, CVAT video XML.",
    epilog="""\b
Examples:
  mot convert MOT17-05 -o MOT17-05.xml            ground truth, to correct in CVAT
  mot convert MOT17/train -o train.json           every sequence in one COCO file
  mot convert annotations.xml -o gt.txt           what CVAT exported, to evaluate with
  mot convert train.json -o truth --to mot        a folder with a file for each video
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
@click.option("--to", type=click.Choice(FORMATS), help="[default: by the suffix of --out]")
@click.option(
    "--from", "source_format", type=click.Choice(FORMATS), help="[default: by what SOURCE holds]"
)
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def convert(
    source: Path,
    out: Path,
    to: str | None,
    source_format: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Convert the tracks of SOURCE to another format. Boxes, ids, scores, classes and visibility
    come through exactly.

    SOURCE is a file, a MOTChallenge sequence (its gt/gt.txt, with its size, frame rate and image
    names), a data set of such, or a folder of files. COCO JSON holds many videos in a file, the
    others one."""
    from mot.cli.common import refuse_existing, tell
    from mot.cli.converting import plan_outputs, read_source, summary
    from mot.formats import format_of, write_videos

    name = to or format_of(out)
    found = read_source(source, source_format)
    outputs = plan_outputs(out, name, found)
    refuse_existing(outputs, overwrite, found.files)
    for note in found.notes:
        tell(f"warning: {note}")
    for path, videos in outputs.items():
        write_videos(path, videos, name)
        tell(f"{path}: {summary(videos)}", quiet)
