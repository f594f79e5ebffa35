"""`mot train`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mot.commands.console import notify, refuse_existing
from mot.commands.run_record import write_run
from mot.errors import MotError
from mot.runtime.devices import is_installed
from mot.training.recipe import load_recipe
from mot.training.train_logger import BEST, LAST, LOG, read_log


@dataclass(frozen=True, slots=True)
class TrainOptions:
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


def run(options: TrainOptions) -> None:
    recipe = load_recipe(options.recipes, options.settings, options.data)
    if not is_installed("torch"):
        raise MotError("mot train needs PyTorch: pip install 'mot-tracking[train]'")
    from mot.training.distributed import is_first
    from mot.training.run import TrainingRun, train

    folder = (options.out or Path("runs/train") / recipe.name).expanduser()
    writes = is_first()
    if writes and not options.resume:
        refuse_existing([folder / LAST], options.overwrite)
    quiet = options.quiet or not writes
    training_run = TrainingRun(recipe, folder, options.device, options.resume, options.overfit)
    result = train(training_run, Terminal(quiet), lambda line: notify(line, quiet))
    for reason in result.unread[:5]:
        notify(f"  warning: {reason}")
    if writes:
        record: dict[str, Any] = {"settings": recipe.tables(), "best": result.progress.best}
        source = {"name": recipe.name, "seconds": round(result.progress.seconds, 1)}
        write_run(folder, {**record, "sources": [source]})
        notify(
            f"{folder}: {result.best}, of {result.progress.epoch}: {result.flag} {folder / BEST}",
            quiet,
        )


class Steps(Protocol):
    """How far a training is."""

    epoch: int
    step: int


class Terminal:
    """A bar with losses and the time that is left, where there is a terminal; a line an epoch."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: Any = None
        self._smooth: dict[str, float] = {}

    def begin(self, steps: int, done: int) -> None:
        if self._quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        shown = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left()
        columns = (*shown, TextColumn("{task.fields[losses]}"))
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bars.start()
        self._bar = self._bars.add_task("epoch 1", total=steps, completed=done, values="")

    def step(self, progress: Steps, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if not math.isfinite(value):  # of a step in 16 bits that was not taken
                continue
            self._smooth[name] = 0.95 * self._smooth.get(name, value) + 0.05 * value
        if self._bars:
            losses = " ".join(f"{name} {value:.3g}" for name, value in self._smooth.items())
            epoch = f"epoch {progress.epoch + 1}"
            self._bars.update(self._bar, completed=progress.step, description=epoch, values=losses)

    def epoch(self, progress: Steps, measured: Mapping[str, float]) -> None:
        rates = ", ".join(f"{name} {value:.1%}" for name, value in measured.items())
        loss = self._smooth.get("loss", float("nan"))
        notify(f"  epoch {progress.epoch}: loss {loss:.3f}, {rates}", self._quiet)

    def end(self) -> None:
        if self._bars:
            self._bars.stop()


def plot_runs(runs: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    from mot.reports.training import plot_training

    refuse_existing([out], overwrite)
    logs = {run.name or str(run): read_log(run / LOG) for run in runs}
    plot_training(logs, out)
    notify(f"{out}")
