"""`mot train`: train a detector or an embedder from a recipe, and plot the curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class _RecipeOr(click.Group):
    """A first word that is not a command is a recipe."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["recipe", *args]
        return super().parse_args(context, args)


@click.group(
    cls=_RecipeOr,
    short_help="Train a detector or an embedder.",
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="",
    subcommand_metavar="RECIPE... [OPTIONS] | plot RUN...",
    epilog="""\b
Examples:
  mot train yolov3-mobilenetv2 crowdhuman --data data  network and data
  mot train recipe.toml --set schedule.batch=8 --set schedule.lr=0.005 -o runs/train/small
  mot train recipe.toml --overfit 8                    sanity check: can it overfit?
  mot train recipe.toml --resume                       after an interruption
  torchrun --nproc-per-node 4 -m mot train recipe.toml on four GPUs
  mot train plot runs/train/*                          curves, side by side
  mot train recipe --help                              every flag
""",
)
def train() -> None:
    """Train a detector or an embedder. TOML recipes configure a training: files, or names of
    shipped ones.

    The run's folder gets last.safetensors (to resume), best.safetensors (for --detector,
    --embedder), log.jsonl and TensorBoard curves.
    """


@train.command("recipe", short_help="Train from a recipe; this word may be omitted.")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="GROUP.KEY=VALUE",
    help="A setting of [schedule], [model], [augment], [loss] or [assigner].",
)
@click.option("--data", default="", metavar="DIR", help="Root folder of the recipe's data paths.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run folder. [default: runs/train/RECIPE]",
)
@click.option("--device", default="auto", metavar="cpu|cuda|cuda:1|auto", show_default=True)
@click.option(
    "--overfit",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Overfit N images: a network that cannot is misconfigured.",
)
@click.option("--resume", is_flag=True, help="Resume an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def by_recipe(**options: Any) -> None:
    """Train from RECIPE: a TOML file, or the name of a shipped one. Of several, later ones override
    earlier ones: one may configure the network and another the data."""
    from mot.commands.train import TrainOptions, run

    run(TrainOptions(**options))


@train.command(short_help="Plot the curves of runs.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default="training.png",
    show_default=True,
    help="Output image.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier image.")
def plot(runs: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Plot losses, learning rate and accuracy of each RUN, a folder with a log.jsonl."""
    from mot.commands.train import plot_runs

    plot_runs(runs, out, overwrite)
