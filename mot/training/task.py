"""The interface between the training loop and what is trained: detectors or embedders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import nn

from mot.training.criteria.base import Criterion
from mot.training.data_bundle import DataBundle
from mot.training.initial_model import InitialModel
from mot.training.recipe import Recipe
from mot.types import Image


class ValidationResult(NamedTuple):
    score: float  # of which the highest keeps its weights as the best
    metrics: Mapping[str, float]
    draw: Callable[[], Iterable[Image]]  # BGR images of results


class TrainingTask(ABC):
    """A network of a recipe, its data, its losses and its metrics."""

    headline: ClassVar[tuple[str, ...]]  # metrics printed after an epoch; the first is the score
    flag: ClassVar[str]  # command-line flag that uses the weights
    samples: ClassVar[str]  # the plural of a training sample, in messages

    def __init__(self, recipe: Recipe, weights: str) -> None:
        """`weights`: a file or a known model, of which fitting tensors are taken; may be empty."""
        self.recipe = recipe
        self.initial = self.load_model(weights)

    @abstractmethod
    def load_model(self, weights: str) -> InitialModel: ...

    @abstractmethod
    def load_data(self, overfit: int = 0) -> DataBundle:
        """The data of the recipe; with `overfit` its first samples alone, without augmentation, for
        training and validation."""

    @abstractmethod
    def make_criterion(self, data: DataBundle) -> Criterion: ...

    @abstractmethod
    def validate(self, model: nn.Module, data: DataBundle) -> ValidationResult: ...

    @abstractmethod
    def metadata(self, data: DataBundle) -> dict[str, Any]:
        """Metadata of the file of the best weights, from which the network can be rebuilt."""
