"""Does every family learn? Each trains from nothing on 200 rendered pictures, and is measured on 50
of other crowds; then it overfits 8 images.

    python scripts/bench/architectures.py [RECIPE ...] [--size 256x160] [--epochs 30]

AP in percent at an IoU of 0.5; pictures a second with all that training takes, on this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from common import Nobody, overrides_of, render

from mot.training.recipe import Recipe, load_recipe
from mot.training.run import TrainingRun, train
from mot.training.train_logger import LOG, read_log

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
DATA = """
[model]
amodal = true
[[data.train]]
annotations = "train"
min_visibility = 0.3
[[data.val]]
annotations = "val"
min_visibility = 0.3
"""


def recipe_of(name: str, folder: Path, size: str, epochs: int) -> Recipe:
    """Small and quick, from nothing."""
    size = "320x320" if name.startswith("ssdlite") else size  # which knows no other
    own: dict[str, object] = {}
    if name.startswith("fasterrcnn"):
        own["loss.box_samples"] = 64  # of the proposals: there are few people, and each costs much
    if name.startswith("retinanet"):
        own["model.variant"] = "torchvision-v2"  # without norms a head learns slowly from nothing
    return load_recipe(
        [name, str(folder / "data.toml")], overrides_of(size, epochs, own), str(folder)
    )


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
            row = _row(TrainingRun(recipe, folder / each, given.device))
            print(f"{each:24}{row}", end="", flush=True)
            heart = TrainingRun(recipe, folder / f"{each}-heart", given.device, overfit=8)
            row = "" if given.no_overfit else f", by heart {_row(heart).split()[-1]}"
            print(row, flush=True)


def _row(plan: TrainingRun) -> str:
    finished = train(plan, Nobody(), lambda line: None)
    steps = [line for line in read_log(plan.folder / LOG) if "loss" in line]
    seconds = finished.progress.seconds
    rate = len(steps) * plan.recipe.schedule.batch / seconds
    losses = f"{steps[0]['loss']:12.2f}{steps[-1]['loss']:12.2f}"
    return f"{seconds / 60:10.1f}{rate:12.1f}{losses}{100 * finished.progress.best:8.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
