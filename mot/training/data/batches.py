"""Batches of an epoch, read and augmented by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from mot.datasets.dataset import Annotations, Dataset, ImageRecord
from mot.datasets.images import read_image
from mot.errors import MachineError, MotError
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, Size
from mot.training.augment.augmenter import Augment, ReadAnnotated
from mot.training.augment.sample import letterbox_sample
from mot.training.augment.settings import AugmentSettings
from mot.training.data.sampling import BatchSampler, SampleRequest
from mot.training.targets import Target
from mot.types import Image


class UnreadableImage(NamedTuple):
    """An image that was replaced by another one."""

    row: int
    reason: str  # names the file


class LoadedSample(NamedTuple):
    image: Tensor | None  # (3, H, W) uint8; None if no image at all is readable
    target: Target | None
    row: int  # of the record that was read
    unreadable: tuple[UnreadableImage, ...]


class Batch(NamedTuple):
    images: Tensor  # (B, 3, H, W) uint8 in the order of the network's channels
    targets: list[Target]
    rows: Tensor  # (B,) of the records
    unreadable: tuple[UnreadableImage, ...]


# augment(read, count, row, size, seed): the sample of one of `count` images.
AugmentFunction = Callable[[ReadAnnotated, int, int, Size, int], tuple[Tensor, Target]]


class SampleDataset:
    """Images as samples for a network: augmented, or as the detector sees them."""

    def __init__(
        self,
        records: Sequence[ImageRecord],
        spec: InputSpec,
        augment: AugmentSettings | AugmentFunction | None = None,
        read: Callable[[ImageRecord], Image] = read_image,
    ) -> None:
        self._records, self._spec, self._read = records, spec, read
        if isinstance(augment, AugmentSettings):
            augment = Augment(augment, spec)
        self.augment: AugmentFunction | None = augment

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, request: SampleRequest) -> LoadedSample:
        reader = _Reader(self._records, self._read)
        try:
            image, target = self._make(reader, request)
        except _NothingReadable:
            return LoadedSample(None, None, request.row, tuple(reader.unreadable))
        return LoadedSample(image, target, reader.first, tuple(reader.unreadable))

    def _make(self, reader: _Reader, request: SampleRequest) -> tuple[Tensor, Target]:
        if self.augment is None:
            return letterbox_sample(*reader(request.row), self._spec, request.size)
        return self.augment(reader, len(self), request.row, request.size, request.seed)


class _NothingReadable(Exception):
    pass


class _Reader:
    """Reads the images of one sample; replaces an unreadable one by the next readable one."""

    def __init__(
        self, records: Sequence[ImageRecord], read: Callable[[ImageRecord], Image]
    ) -> None:
        self._records, self._read = records, read
        self.unreadable: list[UnreadableImage] = []
        self.first = -1  # row of the first image that was read

    def __call__(self, row: int) -> tuple[Image, Annotations]:
        for step in range(len(self._records)):
            current = (row + step) % len(self._records)
            record = self._records[current]
            try:
                image = self._read(record)
            except MotError as error:
                self.unreadable.append(UnreadableImage(current, str(error)))
                continue
            self.first = current if self.first < 0 else self.first
            return image, record.annotations
        raise _NothingReadable


def collate(samples: Sequence[LoadedSample]) -> Batch:
    valid = [sample for sample in samples if sample.image is not None]
    images = [sample.image for sample in valid if sample.image is not None]
    return Batch(
        torch.stack(images) if images else torch.zeros((0, 3, 1, 1), dtype=torch.uint8),
        [sample.target for sample in valid if sample.target is not None],
        torch.tensor([sample.row for sample in valid], dtype=torch.int64),
        tuple(each for sample in samples for each in sample.unreadable),
    )


class EpochLoader:
    """Loads the batches of epochs in worker processes, and collects unreadable images."""

    def __init__(
        self, data: SampleDataset, sampler: BatchSampler, workers: int = 0, pin: bool = False
    ) -> None:
        self.data, self._sampler = data, sampler
        self.unreadable: dict[int, str] = {}  # reason by row
        self._loader: DataLoader[Batch] = DataLoader(
            data,  # type: ignore[arg-type, unused-ignore]
            batch_sampler=sampler,  # type: ignore[arg-type, unused-ignore]
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            persistent_workers=workers > 0,
            worker_init_fn=_use_one_thread,
            generator=torch.Generator(),  # its own: the global one stays as it is
        )

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the batch `first` on."""
        self._sampler.start_at(number, first)
        for batch in self._batches():
            self.unreadable.update({each.row: each.reason for each in batch.unreadable})
            if len(batch.unreadable) and not len(batch.images):
                raise MotError(f"no image can be read: {batch.unreadable[0].reason}")
            yield batch

    def _batches(self) -> Iterator[Batch]:
        try:
            yield from self._loader
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise MachineError(
                "a worker process was killed, possibly out of memory: continue with --resume "
                "--set schedule.workers=0"
            ) from error

    def __len__(self) -> int:
        return len(self._sampler)


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # the workers run in parallel


def concat_records(datasets: Sequence[Dataset]) -> Sequence[ImageRecord]:
    if len(datasets) == 1:
        return datasets[0]
    return ConcatDataset(datasets)  # type: ignore[arg-type, return-value, unused-ignore]
