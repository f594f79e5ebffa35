"""`mot benchmark`: trackers on all sequences of a data set, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import click

from mot.cli.detector_flags import DetectorOptions, detector_flags, set_flag
from mot.cli.eval import PROTOCOLS, SPLITS
from mot.cli.track import CAMERA_METHODS, POST, embedder_flag
from mot.commands.console import several_of
from mot.trackers import DEFAULT_TRACKER, TRACKERS

ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class Options(DetectorOptions):
    """The flags of `mot benchmark`, as given."""

    groups: ClassVar[tuple[str, ...]] = ("tracker", "detector")

    dataset: str
    detections: str | None
    embeddings: str | None
    embedder: str | None
    trackers: tuple[str, ...]
    split: str
    camera: str | None
    block: float
    post: tuple[str, ...]
    protocol: str | None
    columns: str | None
    engine: str
    ray_address: str | None
    jobs: int | None
    out: str | None
    overwrite: bool
    quiet: bool


def _names(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Of several options, and with commas between them."""
    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(name for name in names if name)) or (DEFAULT_TRACKER,)


@click.command(
    short_help="Track and measure all sequences of a data set.",
    epilog="""\b
Examples:
  mot benchmark MOT17/train --detections FRCNN --split val-half
  mot benchmark MOT17/train --detections FRCNN --tracker best,bytetrack,sort
  mot benchmark PETS09-S2L1 --detector motion --tracker mine.toml --jobs 8 -o mine/
  mot benchmark DanceTrack/val --detections yolox/ --engine ray --ray-address head:6379
""",
)
@click.argument("dataset", metavar="DATASET")
@click.option("--detections", metavar="NAME|DIR", help="MOT detections, not a detector's.")
@click.option("--embeddings", metavar="NAME", help="Their looks: a file in each det/ folder.")
@embedder_flag
@detector_flags
@click.option(
    "--tracker",
    "trackers",
    multiple=True,
    callback=_names,
    metavar="NAME|FILE.toml,...",
    help=f"One or several: {', '.join(TRACKERS)}. [default: {DEFAULT_TRACKER}]",
)
@set_flag(Options.groups)
@click.option(
    "--split", type=click.Choice(SPLITS), default="all", show_default=True, help="Of each sequence."
)
@click.option(
    "--camera",
    metavar=f"{'|'.join(CAMERA_METHODS)}|FILE",
    help="The camera's motion, seen or from a file, as in each sequence's folder.",
)
@click.option(
    "--post",
    callback=several_of(POST),
    metavar="STEP,...",
    help=f"Mend the finished tracks: {', '.join(POST)} (done in this order).",
)
@click.option(
    "--protocol",
    metavar="NAME",
    help=f"{', '.join(PROTOCOLS)}. [default: as the names or the ground truth tell]",
)
@click.option(
    "--columns",
    metavar="NAME,...",
    help="What the table shows: metrics, or hota, clear, identity, counts, all.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster whose nodes can read DATASET.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Of the cluster. [default: RAY_ADDRESS, else a Ray of this machine alone]",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes. [default: one for each CPU]"
)
@click.option(
    "-o", "--out", metavar="DIR", help="Folder of the results. [default: runs/benchmark/NAME]"
)
@click.option(
    "--block",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="That the bootstrap draws at a time, to compare trackers.",
)
@click.option("--overwrite", is_flag=True, help="Begin anew, and replace earlier results.")
@click.option("-q", "--quiet", is_flag=True, help="No notes, only the table.")
def benchmark(**options: Any) -> None:
    """Track all sequences of DATASET in parallel, and measure the results.

    DATASET is a MOTChallenge data set or sequence. After an interruption the same command goes
    on where it was: finished sequences are not done again.
    """
    from mot.commands.benchmark import run

    run(Options(**options))
