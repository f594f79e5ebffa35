"""`mot eval-embedder`: score a re-ID model."""

from __future__ import annotations

from typing import Any

import click


@click.command(
    "eval-embedder",
    short_help="Score a re-ID model: rank-1 and mAP.",
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
    help="Minimum frames between a query and its gallery, in sequences.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    metavar="N",
    help="Frame step in sequences. [default: such that 150 to 300 frames are used]",
)
@click.option(
    "--device",
    default="auto",
    metavar="cpu|cuda|cuda:1|auto",
    show_default=True,
    help="Device of the model.",
)
@click.option("--plot", metavar="DIR", help="Folder of plots: distances and worst confusions.")
@click.option("--json", metavar="FILE", help="All numbers in full precision.")
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="The table only.")
def eval_embedder(**options: Any) -> None:
    """Score EMBEDDER by the protocol of Market-1501: an .onnx or .safetensors file, a known model,
    or person, which comes with mot.

    DATA is a folder with query/ and bounding_box_test/ as in Market-1501, or a MOTChallenge
    sequence or dataset with ground truth and images (img1/, or a video in the folder).
    """
    from mot.commands.eval_embedder import EvalEmbedderOptions, run

    run(EvalEmbedderOptions(**options))
