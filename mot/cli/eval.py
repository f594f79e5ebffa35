"""`mot eval`: measure results against ground truth, or without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

PROTOCOLS = ("mot15", "mot16", "mot17", "mot20", "dancetrack", "sportsmot", "bdd100k", "plain")
SPLITS = ("all", "train-half", "val-half")


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `mot eval`, as given."""

    results: tuple[str, ...]
    gt: str | None
    no_gt: bool
    protocol: str | None
    split: str
    length: int | None
    columns: str | None
    json: str | None
    csv: str | None
    errors: str | None
    frames: str | None
    fps: float | None
    embeddings: str | None
    block: float
    overwrite: bool
    quiet: bool


@click.command(
    "eval",
    short_help="Measure results: HOTA, MOTA, IDF1.",
    epilog="""\b
Examples:
  mot eval result.txt --gt gt.txt
  mot eval runs/track/train --gt MOT17/train --split val-half --json scores.json
  mot eval ours/ theirs/ --gt MOT17/train        # which is better, and is it significant?
  mot eval result.txt --gt MOT17-05 --errors errors/
  mot eval result.txt --no-gt --fps 25           # suspicious places, without ground truth
""",
)
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...")
@click.option("--gt", metavar="GT", help="Ground truth: a file, a folder, a sequence, a data set.")
@click.option("--no-gt", is_flag=True, help="Look for suspicious places; there is no ground truth.")
@click.option(
    "--protocol",
    metavar="NAME",
    help=f"{', '.join(PROTOCOLS)}. [default: as the names or the ground truth tell]",
)
@click.option(
    "--split", type=click.Choice(SPLITS), default="all", show_default=True, help="Of each sequence."
)
@click.option(
    "--length",
    type=click.IntRange(1),
    metavar="FRAMES",
    help="Of the sequence. [default: from seqinfo.ini, or the ground truth's last frame]",
)
@click.option(
    "--columns",
    metavar="NAME,...",
    help="What the table shows: metrics, or hota, clear, identity, counts, all.",
)
@click.option("--json", metavar="FILE", help="Write all numbers, in full precision.")
@click.option("--csv", metavar="FILE", help="Write all numbers as a table.")
@click.option("--errors", metavar="DIR", help="Write each mistake, its likely cause, and plots.")
@click.option("--frames", metavar="FILE|DIR", help="The pictures of a sequence that has none.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Where no seqinfo.ini tells.")
@click.option("--embeddings", metavar="FILE", help="With --no-gt: what each row looks like.")
@click.option(
    "--block",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="That the bootstrap draws at a time, to compare results.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="No notes, only the table.")
def eval_(**options: Any) -> None:
    """Measure RESULTS as MOTChallenge does: HOTA, CLEAR MOT and identity metrics.

    RESULTS is a file or a folder of NAME.txt in MOTChallenge's format; several are compared.
    They are paired with the ground truth by name; MOT17-02-FRCNN and MOT17-02 are the same.
    """
    from mot.commands.eval import run

    run(Options(**options))
