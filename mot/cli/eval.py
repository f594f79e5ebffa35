"""`mot eval`: score results with ground truth, or inspect them without."""

from __future__ import annotations

from typing import Any

import click

from mot.evaluation.choices import PROTOCOL_NAMES, SPLITS


@click.command(
    "eval",
    short_help="Score results: HOTA, MOTA, IDF1.",
    epilog="""\b
Examples:
  mot eval result.txt --gt gt.txt
  mot eval runs/track/train --gt MOT17/train --split val-half --json scores.json
  mot eval ours/ theirs/ --gt MOT17/train        # which is better, and is it significant?
  mot eval result.txt --gt MOT17-05 --errors errors/
  mot eval result.txt --no-gt --fps 25           # suspected errors, without ground truth
""",
)
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...")
@click.option("--gt", metavar="GT", help="Ground truth: a file, a folder, a sequence, a dataset.")
@click.option("--no-gt", is_flag=True, help="Suspected errors, without ground truth.")
@click.option(
    "--protocol",
    metavar="NAME",
    help=f"{', '.join(PROTOCOL_NAMES)}. [default: by the names or the ground truth]",
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="all",
    show_default=True,
    help="Part of each sequence.",
)
@click.option(
    "--length",
    type=click.IntRange(1),
    metavar="FRAMES",
    help="Length of the sequence. [default: from seqinfo.ini, or the last ground-truth frame]",
)
@click.option(
    "--columns",
    metavar="NAME,...",
    help="Columns of the table: metrics, or hota, clear, identity, counts, all.",
)
@click.option("--json", metavar="FILE", help="All numbers in full precision.")
@click.option("--csv", metavar="FILE", help="All numbers as a table.")
@click.option("--errors", metavar="DIR", help="Folder of all errors, with causes and plots.")
@click.option("--frames", metavar="FILE|DIR", help="Images or video of a sequence without any.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frame rate without seqinfo.")
@click.option("--embeddings", metavar="FILE", help="Embeddings of the rows, with --no-gt.")
@click.option(
    "--block",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Block length of the bootstrap that compares results.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier files.")
@click.option("-q", "--quiet", is_flag=True, help="The table only.")
def eval_(**options: Any) -> None:
    """Score RESULTS as MOTChallenge does: HOTA, CLEAR MOT and identity metrics.

    RESULTS is a file or a folder of NAME.txt in MOTChallenge format; several are compared. They are
    paired with the ground truth by name; MOT17-02-FRCNN and MOT17-02 are the same sequence.
    """
    from mot.commands.eval import EvalOptions

    if options["no_gt"]:
        from mot.commands.eval_no_gt import run
    else:
        from mot.commands.eval import run
    run(EvalOptions(**options))
