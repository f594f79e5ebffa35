"""`mot eval-embedder`: how well an embedder tells people apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `mot eval-embedder`, as given."""

    embedder: str
    sources: tuple[str, ...]
    gap: int
    every: int | None
    device: str
    plot: str | None
    json: str | None
    overwrite: bool
    quiet: bool


@click.command(
    "eval-embedder",
    short_help="Measure an embedder: rank-1 and mAP of finding people again.",
    epilog="""\b
Examples:
  mot eval-embedder osnet.onnx Market-1501-v15.09.15
  mot eval-embedder osnet.onnx MOT17/train --gap 100 --json scores.json
  mot eval-embedder osnet.onnx MOT17-05 --every 10 --plot plots/
""",
)
@click.argument("embedder", metavar="EMBEDDER")
@click.argument("sources", nargs=-1, required=True, metavar="DATA...")
@click.option(
    "--gap",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    metavar="N",
    help="Of sequences: people are looked for in the frames from N later on.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    metavar="N",
    help="Of sequences: only every N-th frame. [default: such that 150 to 300 are used]",
)
@click.option("--device", default="auto", metavar="cpu|cuda|cuda:1|auto", show_default=True)
@click.option(
    "--plot", metavar="DIR", help="Draw the distances of pairs, and the worst confusions."
)
@click.option("--json", metavar="FILE", help="Write all numbers, in full precision.")
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="No notes, only the table.")
def eval_embedder(**options: Any) -> None:
    """Measure how well EMBEDDER finds people again, by Market-1501's protocol: an .onnx or a
    .safetensors file, a known model, or person, which comes with mot.

    DATA is a folder with query/ and bounding_box_test/ as Market-1501 has them, or a MOTChallenge
    sequence or data set with ground truth and pictures (img1/, or a video in the folder).
    """
    from mot.commands.eval_embedder import run

    run(Options(**options))
