"""Does every family learn? Each trains from nothing on 200 rendered pictures, and is measured on 50
of other crowds; then it learns 8 pictures by heart.

    python scripts/bench_families.py [RECIPE ...] [--size 256x160] [--epochs 30] [--device auto]

AP in percent at an IoU of 0.5; pictures a second with all that training takes, on this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mot.commands.synth import writer_for
from mot.synthetic import SCENES, World
from mot.training.logs import LOG, read_log
from mot.training.recipe import Recipe, load_recipe
from mot.training.run import Plan, train

RECIPES = (
    "yolov3-darknet53",
    "yolov3-mobilenetv2",
    "retinanet-r50",
    "retinanet-mobilenetv2",
    "retinanet-pvtv2",
    "fasterrcnn-mobilenetv2",
    "fcos-r50",
    "ssdlite-mobilenetv2",
    "person",
)
CROWDS = {"train": range(200), "val": range(1000, 1050)}  # a picture of each
NEAR = replace(SCENES["easy"], field=35.0, size=(480, 288))  # people of 50 to 120 pixels
DATA = """
[model]
whole = true
[[data.train]]
annotations = "train"
min_visibility = 0.3
[[data.val]]
annotations = "val"
min_visibility = 0.3
"""


class Nobody:
    """Looks on at a training, and says nothing."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, progress: Any, told: Mapping[str, float]) -> None: ...

    def epoch(self, progress: Any, measured: Mapping[str, float]) -> None: ...

    def end(self) -> None: ...


def render(folder: Path, crowds: Mapping[str, range], frames: int) -> None:
    """So many of each crowd, as a sequence."""
    for part, seeds in crowds.items():
        for seed in seeds:
            world = World(NEAR, seed)
            with writer_for(folder / part / f"near-{seed}", f"near-{seed}", world, frames) as write:
                for moment in world.moments(frames):
                    write(moment)


def recipe_of(name: str, folder: Path, size: str, epochs: int) -> Recipe:
    """Small and quick, from nothing."""
    size = "320x320" if name.startswith("ssdlite") else size  # which knows no other
    own: dict[str, object] = {}
    if name.startswith("fasterrcnn"):
        own["loss.judged"] = 64  # of the proposals: there are few people, and each costs much
    if name.startswith("retinanet"):
        own["model.variant"] = "torchvision-v2"  # without norms a head learns slowly from nothing
    return load_recipe(
        [name, str(folder / "data.toml")], overrides_of(size, epochs, own), str(folder)
    )


def overrides_of(size: str, epochs: int, own: Mapping[str, object]) -> tuple[str, ...]:
    """As `--set` takes them. Norms and first stages have to learn too."""
    settings: dict[str, object] = {
        "model.weights": "",
        "model.frozen_stages": 0,
        "model.frozen_norm": False,
        "augment.mosaic": 0.0,
        "augment.zoom_out": 0.0,
        "augment.scale": [0.8, 1.25],
        "schedule.batch": 8,
        "schedule.sizes": [size],
        "schedule.val_size": size,
        "schedule.optimiser": "adamw",
        "schedule.lr": 2e-3,
        "schedule.shape": "cosine",
        "schedule.warmup": 50,
        "schedule.epochs": epochs,
        "schedule.validate": epochs,
        "schedule.ema": 0.98,
        "schedule.precision": "fp16",
        "schedule.workers": 0,
        **own,
    }
    return tuple(f"{key}={_toml(value)}" for key, value in settings.items())


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--size", default="256x160")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-overfit", action="store_true")
    given = parser.parse_args(words)
    print(f"{'':24}{'minutes':>10}{'pictures/s':>12}{'first loss':>12}{'last loss':>12}{'AP50':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render(folder, CROWDS, 1)
        (folder / "data.toml").write_text(DATA)
        for each in given.recipes:
            recipe = recipe_of(each, folder, given.size, given.epochs)
            row = _row(Plan(recipe, folder / each, given.device))
            print(f"{each:24}{row}", end="", flush=True)
            heart = Plan(recipe, folder / f"{each}-heart", given.device, overfit=8)
            row = "" if given.no_overfit else f", by heart {_row(heart).split()[-1]}"
            print(row, flush=True)


def _row(plan: Plan) -> str:
    finished = train(plan, Nobody(), lambda line: None)
    steps = [line for line in read_log(plan.folder / LOG) if "loss" in line]
    seconds = finished.progress.seconds
    rate = len(steps) * plan.recipe.schedule.batch / seconds
    losses = f"{steps[0]['loss']:12.2f}{steps[-1]['loss']:12.2f}"
    return f"{seconds / 60:10.1f}{rate:12.1f}{losses}{100 * finished.progress.best:8.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
