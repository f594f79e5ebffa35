"""Which images make up each batch of an epoch, at which size.

All that is random in an epoch is drawn here, from the seed and the epoch, and handed to the worker
processes with each image: batches are the same with any number of workers, and after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mot.datasets.dataset import DataSet
from mot.runtime.preprocess import Size
from mot.training.data.mixing import mixed
from mot.types import IntArray

_SIZE, _SAMPLE = 1, 2  # what is drawn: numbers of the same epoch that do not repeat each other


class Draw(NamedTuple):
    """What a worker needs to make a sample."""

    record: int
    size: Size  # of the network's input
    seed: int


@dataclass(frozen=True, slots=True)
class BatchSettings:
    batch: int  # images, over all processes
    sizes: tuple[Size, ...]  # of the network's input; each batch has one of them
    seed: int = 0
    rank: int = 0  # this process
    ranks: int = 1  # how many there are

    def __post_init__(self) -> None:
        if self.batch < 1 or self.batch % self.ranks:
            raise ValueError(
                f"batch = {self.batch} must be a multiple of the {self.ranks} processes"
            )
        if not self.sizes:
            raise ValueError("sizes is empty: name at least one")


# The images of an epoch, in their order.
Order = Callable[[int], IntArray]


def in_order(count: int) -> Order:
    return lambda epoch: np.arange(count)


def shuffled(
    datasets: Sequence[DataSet], weights: Sequence[float] | None = None, seed: int = 0
) -> Order:
    """Of several datasets, one behind the other, each as often as its weight says."""
    starts = np.cumsum([0, *(len(each) for each in datasets)])

    def order(epoch: int) -> IntArray:
        steps = mixed(datasets, weights, seed=seed, epoch=epoch)
        rows: IntArray = starts[steps[:, 0]] + steps[:, 1]
        return rows

    return order


class Batches:
    """The batches of an epoch, of which each process draws its share: a batch sampler.

    `drop_last` omits the incomplete batch, for training; too few
    images for one batch come several times. Else each image comes once.
    """

    def __init__(self, order: Order, settings: BatchSettings, drop_last: bool = True) -> None:
        self._order, self._settings, self._drop_last = order, settings, drop_last
        self.start_at(0)

    def start_at(self, epoch: int, batch: int = 0) -> None:
        self._epoch, self._first = epoch, batch
        self._rows = self._order(epoch)

    def __len__(self) -> int:
        """How many this process has left."""
        return max(0, self._count() - self._first)

    def _count(self) -> int:
        batch, records = self._settings.batch, len(self._rows)
        if not self._drop_last:
            return -(-records // batch)
        return max(records // batch, min(1, records))

    def __iter__(self) -> Iterator[list[Draw]]:
        """Validation may leave a process without a share of the last batch: it is empty."""
        for number in range(self._first, self._count()):
            size = size_of_batch(self._settings, self._epoch, number)
            yield [self._draw(place, size) for place in self._share(number)]

    def _share(self, number: int) -> range:
        """Anchors in the epoch."""
        wanted = self._settings
        end = (number + 1) * wanted.batch
        if not self._drop_last:
            end = min(end, len(self._rows))
        return range(number * wanted.batch + wanted.rank, end, wanted.ranks)

    def _draw(self, place: int, size: Size) -> Draw:
        turn, row = divmod(place, len(self._rows))
        record = int(self._rows[row])
        return Draw(record, size, _seed(_SAMPLE, self._settings.seed, self._epoch, row, turn))


def size_of_batch(settings: BatchSettings, epoch: int, number: int) -> Size:
    """The same in every process."""
    drawn = _seed(_SIZE, settings.seed, epoch, number)
    return settings.sizes[drawn % len(settings.sizes)]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
