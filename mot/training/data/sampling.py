"""Which images are in each batch of an epoch, and at which size.

All randomness of an epoch is drawn here from the seed and the epoch, and handed to the worker
processes with each image: batches are equal for any number of workers, and after resuming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot.runtime.preprocess import Size
from mot.types import IntArray

_SIZE, _SAMPLE = 1, 2  # keys of independent random streams of one epoch
EpochOrder = Callable[[int], IntArray]  # rows of the records of an epoch, in order


class SampleRequest(NamedTuple):
    """What a worker needs to make a sample."""

    row: int  # of the record
    size: Size  # of the network input
    seed: int


@dataclass(frozen=True, slots=True)
class BatchSettings:
    batch: int  # images, over all processes
    sizes: tuple[Size, ...]  # of the network input; each batch has a random one
    seed: int = 0
    rank: int = 0  # this process
    ranks: int = 1  # number of processes

    def __post_init__(self) -> None:
        if self.batch < 1 or self.batch % self.ranks:
            raise ValueError(
                f"batch = {self.batch} must be a multiple of the {self.ranks} processes"
            )
        if not self.sizes:
            raise ValueError("sizes is empty: give at least one")


def sequential_order(count: int) -> EpochOrder:
    return lambda epoch: np.arange(count)


def shuffled_order(
    datasets: Sequence[Sized], weights: Sequence[float] | None = None, seed: int = 0
) -> EpochOrder:
    """Over the concatenated records of the datasets, each drawn as often as its weight."""
    starts = np.cumsum([0, *(len(each) for each in datasets)])

    def order(epoch: int) -> IntArray:
        mixed = mix_datasets(datasets, weights, seed=seed, epoch=epoch)
        rows: IntArray = starts[mixed[:, 0]] + mixed[:, 1]
        return rows

    return order


def mix_datasets(
    datasets: Sequence[Sized],
    weights: Sequence[float] | None = None,
    length: int | None = None,
    seed: int = 0,
    epoch: int = 0,
) -> IntArray:
    """(N, 2) shuffled dataset numbers and image rows of an epoch; equal for a seed and epoch.

    Images of a dataset of weight 2 are drawn twice as often as those of weight 1; with weight 0.5,
    half of the images are drawn. `length`: all weights are scaled until the epoch has this length.
    """
    sizes = np.array([len(each) for each in datasets], np.float64)
    expected = sizes * (1.0 if weights is None else np.array(weights, np.float64))
    counts = _round_counts(expected, length)
    rng = np.random.default_rng([seed, epoch])
    parts = [np.zeros((0, 2), np.int64)]
    for index, (each, count) in enumerate(zip(datasets, counts.tolist(), strict=True)):
        rows = _draw_rows(len(each), count, rng)
        parts.append(np.stack([np.full(count, index), rows], axis=1))
    mixed: IntArray = rng.permutation(np.concatenate(parts))
    return mixed


def _round_counts(expected: npt.NDArray[np.float64], length: int | None) -> IntArray:
    """Integers as close to the expected counts as their sum allows."""
    if not (np.isfinite(expected).all() and (expected >= 0).all() and expected.sum() > 0):
        raise ValueError("there is no image to draw, or a weight is negative")
    total = round(float(expected.sum())) if length is None else length
    exact = expected * (total / expected.sum())
    counts: IntArray = np.floor(exact + 1e-9).astype(np.int64)
    largest_remainder = np.argsort(counts - exact, kind="stable")
    counts[largest_remainder[: total - counts.sum()]] += 1
    return counts


def _draw_rows(size: int, count: int, rng: np.random.Generator) -> IntArray:
    """`count` rows from 0 to `size`: each as often as any other, or once more."""
    cycles, rest = divmod(count, size) if size else (0, 0)
    rows = [np.tile(np.arange(size), cycles), rng.permutation(size)[:rest]]
    return np.concatenate(rows)


class BatchSampler:
    """The share of this process of each batch of an epoch, for PyTorch's DataLoader.

    `drop_last`, for training: an incomplete batch is left out, and if there are too few images for
    one batch, they are repeated. Otherwise each image is drawn once, and the last batch may be
    incomplete, or empty in some processes.
    """

    def __init__(self, order: EpochOrder, settings: BatchSettings, drop_last: bool = True) -> None:
        self._order, self._settings, self._drop_last = order, settings, drop_last
        self.start_at(0)

    def start_at(self, epoch: int, batch: int = 0) -> None:
        self._epoch, self._first = epoch, batch
        self._rows = self._order(epoch)

    def __len__(self) -> int:
        """Number of batches left in the epoch."""
        return max(0, self._count() - self._first)

    def _count(self) -> int:
        batch, records = self._settings.batch, len(self._rows)
        if not self._drop_last:
            return -(-records // batch)
        return max(records // batch, min(1, records))

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        settings = self._settings
        for number in range(self._first, self._count()):
            size = choose_size(settings, self._epoch, number)
            end = (number + 1) * settings.batch
            if not self._drop_last:
                end = min(end, len(self._rows))
            share = range(number * settings.batch + settings.rank, end, settings.ranks)
            yield [self._make_request(position, size) for position in share]

    def _make_request(self, position: int, size: Size) -> SampleRequest:
        cycle, index = divmod(position, len(self._rows))
        seed = _make_seed(_SAMPLE, self._settings.seed, self._epoch, index, cycle)
        return SampleRequest(int(self._rows[index]), size, seed)


def choose_size(settings: BatchSettings, epoch: int, number: int) -> Size:
    """Input size of a batch, equal in every process."""
    seed = _make_seed(_SIZE, settings.seed, epoch, number)
    return settings.sizes[seed % len(settings.sizes)]


def _make_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
