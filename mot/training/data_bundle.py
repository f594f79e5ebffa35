"""Training and validation data of a recipe, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.runtime.cpu import usable_cpus
from mot.runtime.preprocess import InputSpec, Size, resolve_input_size
from mot.training import distributed
from mot.training.data.batches import EpochData, Loader
from mot.training.data.sampling import Batches, BatchSettings, Order
from mot.training.recipe import Schedule
from mot.training.reid_metrics import RetrievalSets


@dataclass(frozen=True, slots=True)
class DataBundle:
    train: Sequence[ImageRecord]
    val: DataSet | RetrievalSets
    loader: Loader
    batches: int  # of an epoch
    val_size: Size
    problems: Problems
    identities: int  # of the training data
    unread: list[str] = field(default_factory=list)  # errors of unreadable validation images


class TrainingSamples(NamedTuple):
    records: Sequence[ImageRecord]
    data: EpochData  # reads and augments the records
    order: Order


def bundle_data(
    train: TrainingSamples,
    val: DataSet | RetrievalSets,
    spec: InputSpec,
    schedule: Schedule,
    problems: Problems,
    identities: int,
) -> DataBundle:
    sizes = tuple(_parse_size(text, spec) for text in schedule.sizes)
    try:
        settings = BatchSettings(
            schedule.batch, sizes, schedule.seed, distributed.rank(), distributed.world_size()
        )
    except ValueError as error:
        raise MotError(f"[schedule]: {error}") from None
    batches = Batches(train.order, settings)
    workers = min(schedule.workers, usable_cpus())
    loader = Loader(train.data, batches, workers, pin=torch.cuda.is_available())
    val_size = _parse_size(schedule.val_size, spec) if schedule.val_size else sizes[0]
    return DataBundle(train.records, val, loader, len(batches), val_size, problems, identities)


def _parse_size(text: str, spec: InputSpec) -> Size:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise MotError(f"[schedule]: size {text!r}: write it as 640x384")
    return resolve_input_size((int(sides[0]), int(sides[-1])), spec)
