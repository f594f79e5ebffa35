"""`mot synth`: render a street full of people, with perfect ground truth."""

from __future__ import annotations

from pathlib import Path

import click

_SCENES = "easy, crowd, crossing, camera, night"


@click.command(
    short_help="Render a street of people, with its ground truth.",
    epilog="""\b
Examples:
  mot synth -o runs/synth/crowd                  a MOTChallenge sequence
  mot synth --scene night -o night.mp4           a video; truth and detections beside it
  mot synth --scene crossing --seed 3 --frames 900 --size 1280x720 -o crossing
""",
)
@click.option("--scene", default="crowd", show_default=True, help=f"One of {_SCENES}.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Another seed, another crowd.",
)
@click.option("--frames", type=click.IntRange(1), default=300, show_default=True)
@click.option("--size", default="640x360", show_default=True, metavar="WIDTHxHEIGHT")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder for a sequence, or a name that ends in .mp4.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier one.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def synth(scene: str, seed: int, frames: int, size: str, out: Path, **flags: bool) -> None:
    """Render a scene: frames, ground truth, and the noisy detections of an imagined detector."""
    from mot.commands.console import notify, progress, refuse_existing
    from mot.commands.synth import outputs, parse_size, writer_for
    from mot.synthetic import make_world

    world = make_world(scene, seed, parse_size(size))
    refuse_existing(outputs(out), flags["overwrite"])
    with (
        writer_for(out, f"{scene}-{seed}", world, frames) as write,
        progress(scene, frames, flags["quiet"]) as tick,
    ):
        for moment in world.moments(frames):
            write(moment)
            tick(len(moment.ids))
    notify(str(out), flags["quiet"])
