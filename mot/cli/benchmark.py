"""`mot benchmark`: track and evaluate all sequences of a dataset."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.flags import (
    camera_flag,
    detector_flags,
    embedder_flag,
    post_flag,
    set_flag,
)
from mot.evaluation.choices import PROTOCOL_NAMES, SPLITS
from mot.trackers import DEFAULT_TRACKER, TRACKERS

ENGINES = ("local", "ray")


def _names(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Names from repeated options, with commas between them."""
    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(name for name in names if name)) or (DEFAULT_TRACKER,)


@click.command(
    short_help="Track and evaluate all sequences of a dataset.",
    epilog="""\b
Examples:
  mot benchmark MOT17/train --detections FRCNN --split val-half
  mot benchmark MOT17/train --detections FRCNN --tracker best,bytetrack,sort
  mot benchmark PETS09-S2L1 --detector motion --tracker mine.toml --jobs 8 -o mine/
  mot benchmark DanceTrack/val --detections yolox/ --engine ray --ray-address head:6379
""",
)
@click.argument("dataset", metavar="DATASET")
@click.option("--detections", metavar="NAME|DIR", help="MOT detections, instead of a detector.")
@click.option(
    "--embeddings", metavar="NAME", help="Embeddings of the detections: a file in each det/ folder."
)
@embedder_flag
@detector_flags
@click.option(
    "--tracker",
    "trackers",
    multiple=True,
    callback=_names,
    metavar="NAME|FILE.toml,...",
    help=f"Tracker, one or several: {', '.join(TRACKERS)}. [default: {DEFAULT_TRACKER}]",
)
@set_flag(("tracker", "detector"))
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="all",
    show_default=True,
    help="Part of each sequence.",
)
@camera_flag
@post_flag
@click.option(
    "--protocol",
    metavar="NAME",
    help=f"{', '.join(PROTOCOL_NAMES)}. [default: by the names or the ground truth]",
)
@click.option(
    "--columns",
    metavar="NAME,...",
    help="Columns of the table: metrics, or hota, clear, identity, counts, all.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="local",
    show_default=True,
    help="Local processes, or a Ray cluster whose nodes can read DATASET.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Cluster address. [default: RAY_ADDRESS, else a local Ray]",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes. [default: one for each CPU]"
)
@click.option("-o", "--out", metavar="DIR", help="Results folder. [default: runs/benchmark/NAME]")
@click.option(
    "--block",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Block length of the bootstrap that compares trackers.",
)
@click.option("--overwrite", is_flag=True, help="Start over and replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="The table only.")
def benchmark(**options: Any) -> None:
    """Track all sequences of DATASET in parallel, and evaluate the results.

    DATASET is a MOTChallenge dataset or sequence. After an interruption the same command resumes:
    finished sequences are not tracked again.
    """
    from mot.commands.benchmark import BenchmarkOptions, run

    run(BenchmarkOptions(**options))
