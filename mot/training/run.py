"""Runs a training from its recipe to the weights in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mot.errors import as_user_error
from mot.reid.settings import ARCHITECTURE as EMBEDDER
from mot.runtime.cpu import keep_freed_memory
from mot.runtime.devices import choose_device
from mot.training import distributed
from mot.training.data_bundle import DataBundle
from mot.training.detection import DetectionTask
from mot.training.loop import Trainer
from mot.training.recipe import Recipe
from mot.training.reid import ReidTask
from mot.training.task import TrainingTask
from mot.training.train_logger import (
    BEST,
    LAST,
    LOG,
    TENSORBOARD,
    Callback,
    Progress,
    TrainLogger,
)

_OVERFIT_STEPS = 300


@dataclass(frozen=True, slots=True)
class TrainingRun:
    recipe: Recipe
    folder: Path
    device: str = "auto"
    resume: bool = False
    overfit: int = 0  # number of samples to overfit; 0: trains on all data


@dataclass(frozen=True, slots=True)
class TrainingResult:
    progress: Progress
    best: str  # score and epoch of the best weights
    flag: str  # command-line flag that uses them
    unread: list[str]  # errors of unreadable images


def train(run: TrainingRun, callback: Callback, log: Callable[[str], None]) -> TrainingResult:
    """Trains; `log` is called with lines for the user."""
    recipe = _overfit_recipe(run) if run.overfit else run.recipe
    torch.manual_seed(recipe.schedule.seed)
    group = distributed.process_group(choose_device(run.device))
    with _flush_denormals(), keep_freed_memory(), group as device:
        task = _make_task(recipe, "" if run.resume else recipe.init.weights)
        count = sum(each.numel() for each in task.initial.model.parameters())
        log(f"{recipe.name}: {count / 1e6:.2f} M parameters, {task.initial.note}; on {device}")
        data = task.load_data(run.overfit)
        _log_data(task, data, log)
        trainer = Trainer(task, data, run.folder, device)
        if run.resume:
            trainer.resume()
        progress = trainer.state.progress
        if distributed.is_first():
            _prepare_folder(run)
            with closing(TrainLogger(run.folder, callback, progress, trainer.steps)) as logger:
                trainer.run(logger)
        else:
            trainer.run(None)
    best = f"best {task.headline[0]} {progress.best:.1%} after epoch {progress.best_epoch}"
    if progress.best_epoch < 0:
        best = "not validated: [[data.val]] has no objects"
    return TrainingResult(progress, best, task.flag, [*data.loader.broken.values(), *data.unread])


def _make_task(recipe: Recipe, weights: str) -> TrainingTask:
    kind = ReidTask if recipe.init.architecture == EMBEDDER else DetectionTask
    return kind(recipe, weights)


def _log_data(task: TrainingTask, data: DataBundle, log: Callable[[str], None]) -> None:
    if all(each.annotations.ignored.all() for each in data.train):
        log("  warning: the training data has no objects")
    for line in data.problems.lines():
        log(f"  {line}")
    log(f"  {len(data.train)} training {task.samples}, {len(data.val)} validation {task.samples}")


@contextmanager
def _flush_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0: CPUs take many times as long for each, and vanishing
    gradients and their averages end there."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _prepare_folder(run: TrainingRun) -> None:
    """Creates the folder, and removes the files of an earlier run."""
    earlier = [] if run.resume else [LAST, BEST, LOG]
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        for name in earlier:
            (run.folder / name).unlink(missing_ok=True)
        if earlier:
            shutil.rmtree(run.folder / TENSORBOARD, ignore_errors=True)
    except OSError as error:
        raise as_user_error(error, run.folder) from error


def _overfit_recipe(run: TrainingRun) -> Recipe:
    """With as many steps as overfitting takes, and without EMA, which would lag behind."""
    schedule = run.recipe.schedule
    batch = min(schedule.batch, run.overfit)
    epochs = -(-_OVERFIT_STEPS // max(1, run.overfit // batch))
    few = replace(
        schedule,
        batch=batch,
        accumulate=1,
        epochs=epochs,
        val_interval=max(1, epochs // 4),
        save_interval=_OVERFIT_STEPS,
        warmup=20,
        ema=0.0,
        workers=0,
        sizes=schedule.sizes[:1],
    )
    return replace(run.recipe, schedule=few)
