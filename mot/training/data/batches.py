"""Batches of an epoch, read and augmented by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.datasets.images import read_image
from mot.errors import MachineError, MotError
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, Size
from mot.training.augment.augmenter import Augment, Read
from mot.training.augment.sample import letterboxed
from mot.training.augment.settings import AugmentSettings
from mot.training.data.sampling import Batches, Draw
from mot.training.targets import Target
from mot.types import Image


class Broken(NamedTuple):
    """A image that cannot be read; another took its place."""

    record: int
    reason: str  # which names the file


class Item(NamedTuple):
    image: Tensor | None  # (3, H, W) uint8; None where no image at all can be read
    target: Target | None
    record: int  # that was read
    broken: tuple[Broken, ...]


class Batch(NamedTuple):
    images: Tensor  # (B, 3, H, W) uint8 in the order of the network's channels
    targets: list[Target]
    records: Tensor  # (B,) their positions in the dataset
    broken: tuple[Broken, ...]


# A image of so many, changed: `change(read, count, index, size, seed)`.
Change = Callable[[Read, int, int, Size, int], tuple[Tensor, Target]]


class EpochData:
    """Images as samples of a network; without a change as its detector sees them."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        spec: InputSpec,
        change: AugmentSettings | Change | None = None,
        read: Callable[[ImageRecord], Image] = read_image,
    ) -> None:
        self._pictures, self._spec, self._read = records, spec, read
        self.change = Augment(change, spec) if isinstance(change, AugmentSettings) else change

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, draw: Draw) -> Item:
        reading = _Reading(self._pictures, self._read)
        try:
            image, target = self._sample(reading, draw)
        except _NothingReadable:
            return Item(None, None, draw.record, tuple(reading.broken))
        return Item(image, target, reading.first, tuple(reading.broken))

    def _sample(self, reading: _Reading, draw: Draw) -> tuple[Tensor, Target]:
        if self.change is None:
            return letterboxed(*reading(draw.record), self._spec, draw.size)
        return self.change(reading, len(self), draw.record, draw.size, draw.seed)


class _NothingReadable(Exception):
    pass


class _Reading:
    """Reads the images of one sample; instead of a broken one the next that is sound."""

    def __init__(
        self, records: Sequence[ImageRecord], read: Callable[[ImageRecord], Image]
    ) -> None:
        self._pictures, self._read = records, read
        self.broken: list[Broken] = []
        self.first = -1  # the image that was read first

    def __call__(self, index: int) -> tuple[Image, Annotations]:
        for step in range(len(self._pictures)):
            place = (index + step) % len(self._pictures)
            record = self._pictures[place]
            try:
                image = self._read(record)
            except MotError as error:
                self.broken.append(Broken(place, str(error)))
                continue
            self.first = place if self.first < 0 else self.first
            return image, record.annotations
        raise _NothingReadable


def collate(items: Sequence[Item]) -> Batch:
    sound = [item for item in items if item.image is not None]
    images = [item.image for item in sound if item.image is not None]
    return Batch(
        torch.stack(images) if images else torch.zeros((0, 3, 1, 1), dtype=torch.uint8),
        [item.target for item in sound if item.target is not None],
        torch.tensor([item.record for item in sound], dtype=torch.int64),
        tuple(broken for item in items for broken in item.broken),
    )


class Loader:
    """Epochs of batches from worker processes, and the broken images that they met."""

    def __init__(
        self, data: EpochData, batches: Batches, workers: int = 0, pin: bool = False
    ) -> None:
        self.data, self._batches = data, batches
        self.broken: dict[int, str] = {}  # images that cannot be read, and why
        self._loader: DataLoader[Batch] = DataLoader(
            data,  # type: ignore[arg-type, unused-ignore]
            batch_sampler=batches,  # type: ignore[arg-type, unused-ignore]
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # of its own: the loop's is not moved on
        )

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from one of them on."""
        self._batches.start_at(number, first)
        for batch in _whole(self._loader):
            self.broken.update({each.record: each.reason for each in batch.broken})
            if len(batch.broken) and not len(batch.images):
                raise MotError(f"no image can be read: {batch.broken[0].reason}")
            yield batch

    def __len__(self) -> int:
        return len(self._batches)


def _whole(loader: Iterable[Batch]) -> Iterator[Batch]:
    """A lost worker process is reported as such."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise MachineError(
            "a process that reads images was killed, maybe for its memory: go on with --resume "
            "--set schedule.workers=0"
        ) from error


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # the workers are the threads


def joined(datasets: Sequence[DataSet]) -> Sequence[ImageRecord]:
    """One behind the other."""
    if len(datasets) == 1:
        return datasets[0]
    return ConcatDataset(datasets)  # type: ignore[arg-type, return-value, unused-ignore]
