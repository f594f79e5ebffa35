"""What a recipe trains on and is measured on, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mot.detectors.pictures import InputSpec, Size, fitting_size
from mot.errors import MotError
from mot.training import distributed
from mot.training.data.batches import EpochData, Loader, joined
from mot.training.data.dataset import DataSet, Picture
from mot.training.data.findings import Findings
from mot.training.data.loading import load
from mot.training.data.sampling import Batches, BatchSettings, Order, in_order, shuffled
from mot.training.data.settings import DataSettings
from mot.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Materials:
    train: Sequence[Picture]
    val: DataSet
    loader: Loader
    batches: int  # of a whole epoch
    val_size: Size
    findings: Findings


def gather(recipe: Recipe, names: tuple[str, ...], spec: InputSpec) -> Materials:
    """Everything that the recipe names, in its order."""
    findings = Findings()
    train = [_load(each, names, findings) for each in recipe.train]
    val = [_load(each, names, findings) for each in recipe.val]
    if not any(map(len, train)):
        raise MotError("there is nothing to train on: name data sets as [[data.train]]")
    weights = [each.weight for each in recipe.train]
    order = shuffled(train, weights, recipe.schedule.seed)
    data = EpochData(joined(train), spec, recipe.augment)
    return _materials(recipe, spec, (joined(train), _one(val, names)), data, order, findings)


def gather_few(recipe: Recipe, names: tuple[str, ...], spec: InputSpec, count: int) -> Materials:
    """The first pictures with objects alone, unchanged, to train on and to be measured on: a
    network that cannot learn them by heart cannot learn."""
    few: list[Picture] = []
    findings = Findings()
    for settings in recipe.train:
        data = _load(settings, names, findings)
        few += [each for each in data if not each.annotations.ignored.all()][: count - len(few)]
    if not few:
        raise MotError("there is no picture with an object to train on")
    known = DataSet(names, few)
    order = in_order(len(known))
    return _materials(recipe, spec, (known, known), EpochData(known, spec), order, findings)


def _materials(
    recipe: Recipe,
    spec: InputSpec,
    pictures: tuple[Sequence[Picture], DataSet],
    data: EpochData,
    order: Order,
    findings: Findings,
) -> Materials:
    schedule = recipe.schedule
    sizes = tuple(_size(text, spec) for text in schedule.sizes)
    rank, ranks = distributed.rank(), distributed.world()
    try:
        wanted = BatchSettings(schedule.batch, sizes, schedule.seed, rank, ranks)
    except ValueError as error:
        raise MotError(f"[schedule]: {error}") from None
    batches = Batches(order, wanted)
    loader = Loader(data, batches, schedule.workers, pin=torch.cuda.is_available())
    val_size = _size(schedule.val_size, spec) if schedule.val_size else sizes[0]
    return Materials(*pictures, loader, len(batches), val_size, findings)


def _load(settings: DataSettings, names: tuple[str, ...], findings: Findings) -> DataSet:
    data, found = load(settings, sizes=False)
    findings.add(found)
    if data.names != names:
        raise MotError(
            f"{settings.annotations}: has the classes {', '.join(data.names)}, the network "
            f"{', '.join(names)}: set model.names, or classes of the data set"
        )
    return data


def _one(datasets: Sequence[DataSet], names: tuple[str, ...]) -> DataSet:
    return DataSet(names, (picture for data in datasets for picture in data))


def _size(text: str, spec: InputSpec) -> Size:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise MotError(f"[schedule]: size {text!r}: write it as 640x384")
    return fitting_size((int(sides[0]), int(sides[-1])), spec)
