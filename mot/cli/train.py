"""`mot train`: train a detector or an embedder by a recipe, and draw how it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `mot train`, as given."""

    recipes: tuple[str, ...]
    settings: tuple[str, ...]  # GROUP.KEY=VALUE
    data: str
    out: Path | None
    device: str
    overfit: int
    resume: bool
    overwrite: bool
    quiet: bool


class _RecipeOr(click.Group):
    """A first word that is no command is a recipe."""

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
  mot train yolov3-mobilenetv2 crowdhuman --data data  a network, and what it learns from
  mot train recipe.toml --set schedule.batch=8 --set schedule.lr=0.005 -o runs/train/small
  mot train recipe.toml --overfit 8                    can it learn at all?
  mot train recipe.toml --resume                       after an interruption, exactly on
  torchrun --nproc-per-node 4 -m mot train recipe.toml on four GPUs
  mot train plot runs/train/*                          curves, side by side
  mot train recipe --help                              every flag
""",
)
def train() -> None:
    """Train a detector, or an embedder, as recipes say: TOML files, or names of those that come
    with mot.

    The run's folder gets last.safetensors (to resume), best.safetensors (for --detector,
    --embedder), log.jsonl and TensorBoard's curves.
    """


@train.command("recipe", short_help="Train by a recipe; the word may be left out.")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="GROUP.KEY=VALUE",
    help="Another setting of [schedule], [model], [augment], [loss] or [assigner].",
)
@click.option(
    "--data", default="", metavar="DIR", help="Where the paths of the recipe's data begin."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's folder. [default: runs/train/RECIPE]",
)
@click.option("--device", default="auto", metavar="cpu|cuda|cuda:1|auto", show_default=True)
@click.option(
    "--overfit",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Learn N pictures by heart: a network that cannot is wrongly set up.",
)
@click.option("--resume", is_flag=True, help="Go on exactly where the run in the folder stopped.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run.")
@click.option("-q", "--quiet", is_flag=True, help="Only errors.")
def by_recipe(**options: Any) -> None:
    """Train what RECIPE says: a TOML file, or the name of one that comes with mot. Of several,
    one may tell the network and another the data; the later wins."""
    from mot.commands.train import run

    run(Options(**options))


@train.command(short_help="Draw the curves of runs.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default="training.png",
    show_default=True,
    help="The picture.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier picture.")
def plot(runs: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Draw losses, learning rate and accuracy of each RUN, a folder with a log.jsonl."""
    from mot.commands.train import plot_runs

    plot_runs(runs, out, overwrite)
