"""What is trained: all that the loop has to know of it.

A task is a module: `detection`, for the families of detectors, or `reid`, for embedders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from torch import nn

from mot.training.data_bundle import DataBundle
from mot.training.initial_model import InitialModel
from mot.training.objectives import Objective
from mot.training.recipe import EMBEDDER, Recipe
from mot.types import Image


class Measured(NamedTuple):
    """How good a network is, on what it was not trained on."""

    score: float  # by which the best is kept
    figures: Mapping[str, float]  # by the names that people know them by
    drawn: Callable[[], Iterable[Image]]  # BGR pictures of what it does


class Task(Protocol):
    HEADLINE: tuple[str, ...]  # figures to tell of an epoch; the first is the score
    FLAG: str  # by which the best weights are used

    def start(self, recipe: Recipe, weights: str) -> InitialModel: ...

    def gather(self, recipe: Recipe, begun: InitialModel) -> DataBundle: ...

    def gather_few(self, recipe: Recipe, begun: InitialModel, count: int) -> DataBundle: ...

    def objective(
        self, recipe: Recipe, begun: InitialModel, materials: DataBundle
    ) -> Objective: ...

    def measure(self, model: nn.Module, begun: InitialModel, materials: DataBundle) -> Measured: ...

    def described(self, begun: InitialModel, materials: DataBundle) -> dict[str, Any]:
        """What the file of the best weights tells of them."""
        ...


def task_of(recipe: Recipe) -> Task:
    name = "reid" if recipe.start.family == EMBEDDER else "detection"
    task: Task = import_module(f"mot.training.{name}")  # type: ignore[assignment]
    return task
