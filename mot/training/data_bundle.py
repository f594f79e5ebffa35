"""What a recipe trains on and is measured on, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.runtime.cpu import usable_cpus
from mot.runtime.preprocess import InputSpec, Size, resolve_input_size
from mot.training import distributed
from mot.training.data.batches import EpochData, Loader
from mot.training.data.sampling import Batches, BatchSettings, Order
from mot.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class DataBundle:
    train: Sequence[ImageRecord]
    val: DataSet
    loader: Loader
    batches: int  # of a whole epoch
    val_size: Size
    problems: Problems
    identities: int  # how many people the pictures to train on tell apart
    unread: list[str] = field(default_factory=list)  # why pictures to measure on were left out


def materials_of(
    recipe: Recipe,
    spec: InputSpec,
    pictures: tuple[Sequence[ImageRecord], DataSet],
    drawn: tuple[EpochData, Order],
    problems: Problems,
    identities: int,
) -> DataBundle:
    """Of the pictures to train on and to measure on, the samples of the former and their order."""
    data, order = drawn
    schedule = recipe.schedule
    sizes = tuple(_size(text, spec) for text in schedule.sizes)
    rank, ranks = distributed.rank(), distributed.world()
    try:
        wanted = BatchSettings(schedule.batch, sizes, schedule.seed, rank, ranks)
    except ValueError as error:
        raise MotError(f"[schedule]: {error}") from None
    batches = Batches(order, wanted)
    workers = min(schedule.workers, usable_cpus())
    loader = Loader(data, batches, workers, pin=torch.cuda.is_available())
    val_size = _size(schedule.val_size, spec) if schedule.val_size else sizes[0]
    return DataBundle(*pictures, loader, len(batches), val_size, problems, identities)


def _size(text: str, spec: InputSpec) -> Size:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise MotError(f"[schedule]: size {text!r}: write it as 640x384")
    return resolve_input_size((int(sides[0]), int(sides[-1])), spec)
