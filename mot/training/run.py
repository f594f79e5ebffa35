"""From a recipe to a finished run, in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mot.detectors.torch_network import choose_device
from mot.errors import as_user_error
from mot.runtime.cpu import freed_memory_kept
from mot.training import distributed
from mot.training.initial_model import InitialModel
from mot.training.logs import BEST, BOARD, LAST, LOG
from mot.training.loop import Training
from mot.training.recipe import Recipe
from mot.training.state import Progress
from mot.training.task import task_of
from mot.training.train_logger import TrainLogger, Watch

_STEPS_BY_HEART = 300


@dataclass(frozen=True, slots=True)
class Plan:
    recipe: Recipe
    folder: Path
    device: str = "auto"
    resume: bool = False
    overfit: int = 0  # pictures to learn by heart; 0: a real training


@dataclass(frozen=True, slots=True)
class Finished:
    progress: Progress
    best: str  # how good the best weights are, and since when
    flag: str  # by which they are used
    broken: list[str]  # why pictures could not be read


def train(plan: Plan, watch: Watch, say: Callable[[str], None]) -> Finished:
    """Train as planned; `say` is told what a person should know."""
    recipe = _for_few(plan) if plan.overfit else plan.recipe
    torch.manual_seed(recipe.schedule.seed)
    joined = distributed.joined(choose_device(plan.device))
    with _without_denormals(), freed_memory_kept(), joined as device:
        task = task_of(recipe)
        begun = task.start(recipe, "" if plan.resume else recipe.start.weights)
        say(f"{recipe.name}: {_size_of(begun)}, {begun.note}; on {device}")
        collected = (
            task.gather_few(recipe, begun, plan.overfit)
            if plan.overfit
            else task.gather(recipe, begun)
        )
        if all(each.annotations.ignored.all() for each in collected.train):
            say("  warning: there is no object in the pictures to train on")
        for line in collected.problems.lines():
            say(f"  {line}")
        say(f"  {len(collected.train)} pictures to train on, {len(collected.val)} to measure on")
        training = Training(recipe, task, begun, collected, plan.folder, device)
        if plan.resume:
            training.resume()
        progress = training.state.progress
        if distributed.is_first():
            _prepare(plan)
            diary = TrainLogger(plan.folder, watch, progress, training.steps)
            with closing(diary):
                training.run(diary)
        else:
            training.run(None)
    broken = [*collected.loader.broken.values(), *collected.unread]
    best = f"best {task.HEADLINE[0]} {progress.best:.1%} after epoch {progress.best_epoch}"
    if progress.best_epoch < 0:
        best = "not measured, since there is nobody to find in [[data.val]]"
    return Finished(progress, best, task.FLAG, broken)


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0: a CPU takes many times as long for each, and of gradients
    that have died away, and of their averages, they are what is left."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _prepare(plan: Plan) -> None:
    """The folder, without what is left of an earlier run."""
    earlier = [] if plan.resume else [LAST, BEST, LOG]
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        for name in earlier:
            (plan.folder / name).unlink(missing_ok=True)
        if earlier:
            shutil.rmtree(plan.folder / BOARD, ignore_errors=True)
    except OSError as error:
        raise as_user_error(error, plan.folder) from error


def _for_few(plan: Plan) -> Recipe:
    """As many steps as learning by heart takes, without averaging what changes so fast."""
    schedule = plan.recipe.schedule
    batch = min(schedule.batch, plan.overfit)
    epochs = -(-_STEPS_BY_HEART // max(1, plan.overfit // batch))
    few = replace(
        schedule,
        batch=batch,
        accumulate=1,
        epochs=epochs,
        validate=max(1, epochs // 4),
        save=_STEPS_BY_HEART,
        warmup=20,
        ema=0.0,
        workers=0,
        sizes=schedule.sizes[:1],
    )
    return replace(plan.recipe, schedule=few)


def _size_of(begun: InitialModel) -> str:
    count = sum(each.numel() for each in begun.model.parameters())
    return f"{count / 1e6:.2f} M parameters"
