"""`mot export`: a network as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mot.cli.flags import parse_size, set_flag


@click.command(
    short_help="Write a detector's network as an ONNX file.",
    epilog="""\b
Examples:
  mot export yolov3.cfg -o yolov3.onnx
  mot export yolov3.cfg --weights best.weights -o best.onnx --imgsz 640x384
  mot export retinanet --weights person.safetensors -o person.onnx --half
  mot track video.mp4 --detector person.onnx          which needs no PyTorch
  mot export runs/train/reid/best.safetensors -o reid.onnx   an embedder
""",
)
@click.argument("detector", metavar="DETECTOR")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Output file: NAME.onnx."
)
@click.option("--weights", metavar="FILE", help="Weights of the detector's network.")
@click.option(
    "--imgsz",
    callback=parse_size,
    metavar="WIDTHxHEIGHT",
    help="Default input size of the file. [default: the network's own]",
)
@click.option("--half", is_flag=True, help="Half precision, for GPUs.")
@set_flag(("detector",))
@click.option("--overwrite", is_flag=True, help="Replace an earlier file.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def export(**options: Any) -> None:
    """Write the network of DETECTOR as an ONNX file, which runs without PyTorch.

    DETECTOR is a name or a file, as in `mot track --detector`, or an embedder's .safetensors, for
    `--embedder`. The file holds the class names and the preprocessing; it takes batches of any
    size, and images of any size that is a multiple of the network's stride (an embedder: its own
    size). Its outputs are compared with the original's before it is written.
    """
    from mot.commands.export import ExportOptions, run

    run(ExportOptions(**options))
