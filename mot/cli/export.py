"""`mot export`: a detector's network as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mot.cli.detector_flags import parse_size, set_flag


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `mot export`, as given."""

    detector: str
    out: Path
    weights: str | None
    imgsz: tuple[int, int] | None  # the second is 0 where only one was given
    half: bool
    settings: tuple[str, ...]  # KEY=VALUE
    overwrite: bool
    quiet: bool


@click.command(
    short_help="Write a detector's network as an ONNX file.",
    epilog="""\b
Examples:
  mot export yolov3.cfg -o yolov3.onnx
  mot export yolov3.cfg --weights best.weights -o best.onnx --imgsz 640x384
  mot export retinanet --weights person.safetensors -o person.onnx --half
  mot track video.mp4 --detector person.onnx          which needs no PyTorch
  mot export runs/train/reid/best.safetensors -o reid.onnx   an embedder that was trained
""",
)
@click.argument("detector", metavar="DETECTOR")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="The file: NAME.onnx."
)
@click.option("--weights", metavar="FILE", help="Of the detector's network.")
@click.option(
    "--imgsz",
    callback=parse_size,
    metavar="WIDTHxHEIGHT",
    help="That the file runs at where it is not told. [default: the network's own]",
)
@click.option("--half", is_flag=True, help="Weights and pictures in 16 bits, for GPUs.")
@set_flag(("detector",))
@click.option("--overwrite", is_flag=True, help="Replace an earlier file.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def export(**options: Any) -> None:
    """Write the network of DETECTOR as an ONNX file, which runs without PyTorch.

    DETECTOR is what `mot track --detector` takes: a name or a file; or an embedder's .safetensors,
    for `--embedder`. The file holds the names of the classes and how pictures are prepared; it
    takes any number of pictures at a time, of any size that is a multiple of the network's stride
    (an embedder: of its own). It is compared with the original before it is kept.
    """
    from mot.commands.export import run

    run(Options(**options))
