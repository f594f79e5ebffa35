"""The work of `mot train`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mot.cli.train import Options
from mot.commands.console import refuse_existing, tell
from mot.commands.run_record import write_run
from mot.detectors.select import has
from mot.errors import MotError
from mot.training.logs import BEST, LAST, LOG, read_log
from mot.training.recipe import load_recipe


def run(options: Options) -> None:
    recipe = load_recipe(options.recipes, options.settings, options.data)
    if not has("torch"):
        raise MotError("mot train needs PyTorch: pip install 'mot-tracking[train]'")
    from mot.training.distributed import is_first
    from mot.training.run import Plan, train

    folder = (options.out or Path("runs/train") / recipe.name).expanduser()
    writes = is_first()
    if writes and not options.resume:
        refuse_existing([folder / LAST], options.overwrite)
    quiet = options.quiet or not writes
    plan = Plan(recipe, folder, options.device, options.resume, options.overfit)
    finished = train(plan, Terminal(quiet), lambda line: tell(line, quiet))
    for reason in finished.broken[:5]:
        tell(f"  warning: {reason}")
    if writes:
        record: dict[str, Any] = {"settings": recipe.tables(), "best": finished.progress.best}
        source = {"name": recipe.name, "seconds": round(finished.progress.seconds, 1)}
        write_run(folder, {**record, "sources": [source]})
        tell(
            f"{folder}: {finished.best}, of {finished.progress.epoch}: "
            f"{finished.flag} {folder / BEST}",
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
        columns = (*shown, TextColumn("{task.fields[told]}"))
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bars.start()
        self._bar = self._bars.add_task("epoch 1", total=steps, completed=done, told="")

    def step(self, progress: Steps, told: Mapping[str, float]) -> None:
        for name, value in told.items():
            if not math.isfinite(value):  # of a step in 16 bits that was not taken
                continue
            self._smooth[name] = 0.95 * self._smooth.get(name, value) + 0.05 * value
        if self._bars:
            losses = " ".join(f"{name} {value:.3g}" for name, value in self._smooth.items())
            epoch = f"epoch {progress.epoch + 1}"
            self._bars.update(self._bar, completed=progress.step, description=epoch, told=losses)

    def epoch(self, progress: Steps, measured: Mapping[str, float]) -> None:
        rates = ", ".join(f"{name} {value:.1%}" for name, value in measured.items())
        loss = self._smooth.get("loss", float("nan"))
        tell(f"  epoch {progress.epoch}: loss {loss:.3f}, {rates}", self._quiet)

    def end(self) -> None:
        if self._bars:
            self._bars.stop()


def plot_runs(runs: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    from mot.reports.training import plot_training

    refuse_existing([out], overwrite)
    logs = {run.name or str(run): read_log(run / LOG) for run in runs}
    plot_training(logs, out)
    tell(f"{out}")
