"""Batches of an epoch: which images, the same everywhere, and what becomes of broken ones."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, make_letterbox
from mot.training.augment.settings import AugmentSettings
from mot.training.data.sampling import (
    Batches,
    BatchSettings,
    in_order,
    shuffled,
    size_of_batch,
)

SPEC = InputSpec(size=(96, 64))
SIZES = ((96, 64), (128, 96), (64, 32))
quick = settings(deadline=None, max_examples=40)


@pytest.fixture
def loading() -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    return importlib.import_module("mot.training.data.batches")


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    """Eleven images of different sizes; the n-th has n objects, and the grey level 20 n."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(11):
        path, size = tmp_path / f"{number}.png", (60 + 9 * number, 80 - 3 * number)
        cv2.imwrite(str(path), np.full((size[1], size[0], 3), 20 * number, np.uint8))
        corners = rng.uniform(0, 40, (number, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (number, 2))], axis=1)
        annotations = Annotations.of(boxes, ids=100 * number + np.arange(number))
        pictures.append(ImageRecord(path, path.name, number, size, annotations))
    return DataSet(["person"], pictures)


def of_order(count: int, plan: BatchSettings, drop_last: bool = True) -> Batches:
    return Batches(in_order(count), plan, drop_last)


def assert_same(some: Sequence[Any], others: Sequence[Any]) -> None:
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        assert one.images.equal(other.images)
        assert one.records.equal(other.records)
        for target, wanted in zip(one.targets, other.targets, strict=True):
            assert all(a.equal(b) for a, b in zip(target, wanted, strict=True))


# Which images.


@given(st.integers(1, 60), st.integers(1, 5), st.sampled_from([1, 2, 4]), st.booleans())
@quick
def test_processes_share_what_one_would_see(count, share, ranks, whole) -> None:
    plan = BatchSettings(share * ranks, SIZES)
    alone = list(of_order(count, plan, whole))
    shares = [
        list(of_order(count, replace(plan, rank=rank, ranks=ranks), whole)) for rank in range(ranks)
    ]
    for batch, *parts in zip(alone, *shares, strict=True):
        assert sorted(batch) == sorted(draw for part in parts for draw in part)
        assert len({draw.size for draw in batch}) == 1
        if whole:
            assert {len(part) for part in parts} == {share}


@given(st.integers(0, 60), st.integers(1, 20))
@quick
def test_each_picture_comes_once(count, batch) -> None:
    plan = BatchSettings(batch, SIZES)
    everything = [draw.record for each in of_order(count, plan, drop_last=False) for draw in each]
    assert everything == list(range(count))
    training = [draw for each in of_order(count, plan) for draw in each]
    assert len(training) == (max(batch, count - count % batch) if count else 0)
    assert len({draw.seed for draw in training}) == len(training)
    assert {draw.record for draw in training} == set(range(count)[: len(training)])


def test_an_epoch_goes_on_where_it_was_left(data) -> None:
    plan = BatchSettings(2, SIZES, seed=4)
    batches, others = (Batches(shuffled([data], seed=4), plan) for _ in range(2))
    epochs = []
    for epoch in range(3):
        batches.start_at(epoch)
        epochs.append(list(batches))
        assert len(batches) == len(epochs[-1]) == 5
    others.start_at(2, 3)
    assert len(others) == 2
    assert list(others) == epochs[2][3:]
    drawn = [draw for epoch in epochs for batch in epoch for draw in batch]
    assert len({draw.seed for draw in drawn}) == len(drawn) == 30
    assert epochs[0] != epochs[1]
    others = Batches(shuffled([data], seed=5), replace(plan, seed=5))
    assert not {draw.seed for batch in others for draw in batch} & {draw.seed for draw in drawn}


def test_pictures_of_several_data_sets_come_as_their_weights_say(data) -> None:
    order = shuffled([data, data[:4]], [1.0, 2.0])(0)
    counts = np.bincount(order, minlength=15)
    assert counts.tolist() == [1] * 11 + [2] * 4


def test_every_size_comes_up() -> None:
    plan = BatchSettings(2, SIZES, seed=1)
    sizes = [size_of_batch(plan, epoch, number) for epoch in range(3) for number in range(40)]
    assert {sizes.count(size) > 20 for size in SIZES} == {True}
    assert sizes[:40] != sizes[40:80]


def test_batches_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the 2 processes"):
        BatchSettings(3, SIZES, ranks=2)
    with pytest.raises(ValueError, match="sizes"):
        BatchSettings(2, ())


# What is in them.


def test_boxes_are_those_of_the_data_set_in_every_epoch(loading, data) -> None:
    plan = BatchSettings(4, (SPEC.size,))
    loader = loading.Loader(
        loading.EpochData(data, SPEC), Batches(shuffled([data]), plan, drop_last=False)
    )
    for epoch in range(3):
        seen = []
        for batch in loader.epoch(epoch):
            for number, image, target in zip(
                batch.records.tolist(), batch.images, batch.targets, strict=True
            ):
                picture = data[number]
                placed = make_letterbox(picture.size, SPEC, SPEC.size)
                wanted = picture.annotations.boxes * (placed.scale * 2) + (placed.offset * 2)
                np.testing.assert_allclose(target.boxes.numpy(), wanted, rtol=1e-5, atol=1e-4)
                assert target.ids.tolist() == picture.annotations.ids.tolist()
                assert set(image.unique().tolist()) <= {20 * number, SPEC.margin}
                seen.append(number)
        assert sorted(seen) == list(range(11))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_change_nothing(loading, data) -> None:
    data[3].path.write_bytes(b"no image")
    plan = BatchSettings(4, SIZES, seed=3)
    sources = loading.EpochData(data, SPEC, AugmentSettings())
    loaders = [
        loading.Loader(sources, Batches(shuffled([data], seed=3), plan), workers)
        for workers in (0, 2)
    ]
    state = loading.torch.get_rng_state()
    for epoch in range(2):
        assert_same(*(list(loader.epoch(epoch)) for loader in loaders))
    assert_same(list(loaders[0].epoch(1))[1:], list(loaders[1].epoch(1, 1)))
    assert loaders[0].broken == loaders[1].broken != {}
    assert loading.torch.get_rng_state().equal(state)


@pytest.mark.parametrize("augment", [None, AugmentSettings(mosaic=1.0)])
def test_broken_pictures_are_named_and_replaced(loading, data, augment) -> None:
    data[0].path.write_bytes(b"")
    data[4].path.unlink()
    data[10].path.write_bytes(data[10].path.read_bytes()[:40])
    plan = BatchSettings(4, (SPEC.size,))
    loader = loading.Loader(loading.EpochData(data, SPEC, augment), of_order(11, plan, False))
    taken = [number for batch in loader.epoch(0) for number in batch.records.tolist()]
    assert taken == [1, 1, 2, 3, 5, 5, 6, 7, 8, 9, 1]
    assert sorted(loader.broken) == [0, 4, 10]
    assert all(str(data[number].path) in reason for number, reason in loader.broken.items())


def test_only_when_all_are_broken_it_ends(loading, data) -> None:
    for picture in data:
        picture.path.unlink()
    plan = BatchSettings(4, (SPEC.size,))
    for augment in (None, AugmentSettings()):
        loader = loading.Loader(loading.EpochData(data, SPEC, augment), of_order(11, plan))
        with pytest.raises(MotError, match=r"no image can be read: .*0\.png"):
            list(loader.epoch(0))
        assert len(loader.broken) == 11


def test_a_process_without_a_share_of_the_last_batch(loading, data) -> None:
    plan = BatchSettings(10, (SPEC.size,), rank=1, ranks=2)
    loader = loading.Loader(loading.EpochData(data, SPEC), of_order(11, plan, drop_last=False))
    assert [len(batch.images) for batch in loader.epoch(0)] == [5, 0]


def test_data_travels_to_workers_that_are_started_afresh(loading, data) -> None:
    sources = loading.EpochData(loading.joined([data, data]), SPEC, AugmentSettings())
    copy = pickle.loads(pickle.dumps(sources))
    draw = next(iter(of_order(11, BatchSettings(1, SIZES))))[0]
    assert len(copy) == 22
    assert copy[draw].image.equal(sources[draw].image)


def test_real_pictures_become_samples(loading, shared) -> None:
    reading = importlib.import_module("mot.datasets.load")
    folder = shared / "data" / "person"
    found = reading.load(
        reading.DataSettings(annotations=str(folder / "val.json"), images=str(folder / "val"))
    )
    plan = BatchSettings(8, (SPEC.size,))
    loader = loading.Loader(
        loading.EpochData(found.data[:40], SPEC, AugmentSettings()), of_order(40, plan)
    )
    targets = [target for batch in loader.epoch(0) for target in batch.targets]
    assert len(targets) == 40
    assert sum(len(target.boxes) for target in targets) > 40
    assert not loader.broken
