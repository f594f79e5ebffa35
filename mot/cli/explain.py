"""`mot explain`: why a track was, or was not, matched."""

from __future__ import annotations

from typing import Any

import click

from mot.cli.flags import tracking_flags


@click.command(
    short_help="Explain how a track was matched in a frame.",
    epilog="""\b
Examples:
  mot explain MOT17-05 --detections FRCNN --frame 120 --id 7
  mot explain video.mp4 --tracker bytetrack --frame 31 --id 2
  mot explain video.mp4 --embedder osnet.onnx --frame 31 --id 2 --plot why.png
""",
)
@click.argument("source", metavar="SOURCE")
@click.option("--frame", "number", type=click.IntRange(1), required=True, help="Frame number.")
@click.option("--id", "track_id", type=click.IntRange(1), required=True, help="Track id.")
@click.option(
    "--plot", metavar="FILE.png", help="Crops of the track and of its candidates, side by side."
)
@tracking_flags
@click.option("--overwrite", is_flag=True, help="Replace an earlier plot.")
def explain(**options: Any) -> None:
    """Track SOURCE up to a frame, and show how one track was matched there: its candidate
    detections, their costs in each stage, the limit, and what would have had to differ.
    Beside each cost stand its terms: 1 - IoU, the cosine distance of the embeddings (0 to 2),
    and the squared Mahalanobis distance from the predicted box.

    Give the options that `mot track` was given; ids are those before --post."""
    from mot.commands.explain import ExplainOptions, run

    run(ExplainOptions(**options))
