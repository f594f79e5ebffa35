"""Crops to train embedders on: cut once, drawn person by person, changed the same way each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")

from support.embedder_worlds import IDENTITIES, write_sequence  # noqa: E402

from mot.datasets.config import DataSettings  # noqa: E402
from mot.datasets.identities import numbered  # noqa: E402
from mot.datasets.load import guess, load  # noqa: E402
from mot.datasets.market import GALLERY  # noqa: E402
from mot.datasets.problems import Problems  # noqa: E402
from mot.errors import MotError  # noqa: E402
from mot.opencv import cv2  # noqa: E402
from mot.reid.settings import EmbedderSettings  # noqa: E402
from mot.training.augment.crop import MARGIN, CropAugment, resampled  # noqa: E402
from mot.training.augment.crop_settings import CropSettings  # noqa: E402
from mot.training.data import crops as module  # noqa: E402
from mot.training.data.batches import EpochData, Loader  # noqa: E402
from mot.training.data.crops import cut  # noqa: E402
from mot.training.data.persons import PersonSettings, by_person  # noqa: E402
from mot.training.data.sampling import Batches, BatchSettings  # noqa: E402

SIZE = (16, 32)
STILL = {name: 0.0 for name in ("flip", "jitter", "coarse", "blur", "jpeg", "noise", "erase")}
STILL |= {name: 0.0 for name in ("brightness", "contrast", "saturation", "hue", "cross")}


def cut_of(*told: DataSettings) -> tuple[module.Crops, Problems]:
    problems = Problems()
    data = [load(each).data for each in told]
    known, _ = numbered(data, [each.identities for each in told])
    return cut(known, SIZE, problems), problems


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    folder = write_sequence(tmp_path_factory.mktemp("data") / "one", 5)
    return DataSettings(str(folder), format="mot")


def test_each_person_of_each_picture_is_a_crop(sequence) -> None:
    crops, problems = cut_of(sequence)
    assert (len(crops), crops.people) == (5 * IDENTITIES, IDENTITIES)
    assert not problems.counts
    assert [int(crop.annotations.labels[0]) for crop in crops] == list(range(len(crops)))
    assert [int(crop.annotations.ids[0]) for crop in crops] == crops.ids.tolist()
    for place in (0, 7):
        crop = crops[place]
        image = cv2.imread(str(crop.path))
        left, top, right, bottom = crop.annotations.boxes[0].tolist()
        across, down = MARGIN * (right - left), MARGIN * (bottom - top)
        window = (left - across, top - down, right + across, bottom + down)
        kept = crops.read(crop)
        assert kept.shape == (round(32 * 1.2), round(16 * 1.2), 3)
        wanted = resampled(image, window, False, (kept.shape[1], kept.shape[0]))
        np.testing.assert_array_equal(kept, wanted)


def test_boxes_are_somebody_else_each_and_people_of_data_sets_differ(sequence) -> None:
    boxes = DataSettings(sequence.annotations, format="mot", identities="boxes", every=2)
    crops, _ = cut_of(sequence, boxes)
    assert crops.people == IDENTITIES + 3 * IDENTITIES
    assert np.bincount(crops.sets).tolist() == [5 * IDENTITIES, 3 * IDENTITIES]
    assert set(crops.ids[crops.sets == 0]) == set(range(IDENTITIES))


def write_boxes(folder: Path, boxes: list[list[float]], image: bytes | None = None) -> DataSettings:
    """The second image is broken, if `image` is given."""
    cv2.imwrite(str(folder / "a.png"), np.full((60, 80, 3), 90, np.uint8))
    (folder / "b.png").write_bytes(image or (folder / "a.png").read_bytes())
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    annotations = [
        {"id": number, "image_id": 1 + number % 2, "category_id": 1, "bbox": box, "iscrowd": 0}
        for number, box in enumerate(boxes)
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "person"}]
    (folder / "boxes.json").write_text(json.dumps(content))
    return DataSettings(str(folder / "boxes.json"), str(folder), identities="boxes")


def test_what_cannot_be_seen_is_left_out_and_counted(tmp_path) -> None:
    boxes = [[5, 5, 20, 40], [70, 0, 30, 50], [10, 10, 20, 19], [90, 5, 20, 40], [10, 0, 0, 50]]
    crops, problems = cut_of(write_boxes(tmp_path, boxes))
    assert len(crops) == crops.people == 2
    assert problems.counts == {module.LOW: 1, module.UNSEEN: 1}


def test_broken_pictures_are_passed_over_and_counted(tmp_path) -> None:
    boxes = [[5, 5, 20, 40], [5, 5, 20, 40], [30, 5, 20, 40]]
    crops, problems = cut_of(write_boxes(tmp_path, boxes, b"\xff\xd8 no image"))
    assert crops.ids.tolist() == [0, 1]
    assert {crop.path.name for crop in crops} == {"a.png"}
    assert problems.counts == {module.UNREAD: 1}
    assert "b.png" in problems.examples[module.UNREAD][0]


def test_without_identities_nobody_is_left(tmp_path) -> None:
    told = write_boxes(tmp_path, [[5, 5, 20, 40], [30, 5, 20, 40]])
    crops, problems = cut_of(DataSettings(told.annotations, told.images))
    assert len(crops) == crops.people == 0
    assert problems.counts == {module.UNKNOWN: 2}


def test_too_many_crops_are_refused_before_they_fill_the_memory(sequence, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    with pytest.raises(MotError, match="every"):
        cut_of(sequence)


def test_market(tmp_path) -> None:
    """People may begin at 0, who in a gallery is nobody in particular."""
    names = ["0000_c1s1_000451_03.jpg", "0000_c2s1_000451_01.jpg", "0007_c1s1_000001_00.jpg"]
    others = ["-1_c1s1_000001_00.jpg", "holiday.jpg"]
    folder = tmp_path / "Market" / "bounding_box_train"
    folder.mkdir(parents=True)
    for name in [*names, *others]:
        cv2.imwrite(str(folder / name), np.full((128, 64, 3), 90, np.uint8))
    assert guess(tmp_path / "Market") == "market"
    loaded = load(DataSettings(str(tmp_path / "Market")))
    assert [picture.path.name for picture in loaded.data] == sorted(names)
    assert loaded.data.annotations.boxes.tolist() == [[0, 0, 64, 128]] * 3
    ids = loaded.data.annotations.ids
    assert ids[0] == ids[1] != ids[2] and ids.min() >= 0
    assert list(loaded.problems.counts.values()) == [1]
    alone = load(DataSettings(str(folder), format="market")).data
    assert alone.annotations.ids.tolist() == ids.tolist()
    folder.rename(folder.with_name(GALLERY))
    gallery = load(DataSettings(str(folder.parent), format="market", split=GALLERY)).data
    assert [picture.path.name for picture in gallery] == names[2:]


def groups_of(order: np.ndarray, each: int, ranks: int, batch: int) -> np.ndarray:
    """(G, K) crops, as each process gets them."""
    batches = order.reshape(-1, batch // ranks, ranks)
    return batches.transpose(0, 2, 1).reshape(-1, each)


people = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(people, st.integers(2, 4), st.integers(1, 2), st.integers(1, 4), st.integers(0, 5))
def test_batches_are_of_p_people_with_k_crops_each(counts, each, ranks, share, epoch) -> None:
    ids = np.repeat(np.arange(len(counts)), counts)
    ids = np.random.default_rng(0).permutation(ids)
    batch = each * ranks * share
    order = by_person(ids, [len(ids)], [1.0], PersonSettings(each, batch, ranks=ranks))(epoch)
    assert len(order) and len(order) % batch == 0
    groups = groups_of(order, each, ranks, batch)
    assert (ids[groups] == ids[groups[:, :1]]).all()
    for group in groups:
        assert len(set(group.tolist())) == min(each, counts[ids[group[0]]])
    whole = sum(-(-count // each) for count in counts)
    if whole % (batch // each) == 0:
        assert set(order.tolist()) == set(range(len(ids))), "each crop comes"
        assert np.bincount(order).max() <= max(2, each)


def test_nobody_starves_and_many_crops_do_not_crowd_a_batch() -> None:
    ids = np.repeat(np.arange(40), [60, *[1] * 39])
    order = by_person(ids, [len(ids)], [1.0], PersonSettings(2, 16))
    seen = np.concatenate([order(epoch) for epoch in range(6)])
    assert set(ids[seen]) == set(range(40))
    per_batch = (ids[order(0)].reshape(-1, 16) == 0).sum(axis=1)
    assert per_batch.min() > 0 and per_batch.max() < 16, "they are spread over the epoch"
    assert not np.array_equal(order(0), order(1))
    np.testing.assert_array_equal(order(3), order(3))


def test_weights_of_data_sets() -> None:
    ids = np.arange(60)
    order = by_person(ids, [20, 40], [2.0, 0.5], PersonSettings(2, 4))(0)
    counts = np.bincount(order, minlength=60)
    # Of the first each twice, a group of its own; of the second a half, each filled up to a group.
    assert set(counts[:20]) == {2} and sorted(counts[20:]) == [0] * 20 + [2] * 20


@pytest.mark.parametrize(("batch", "ranks"), [(10, 1), (8, 4), (0, 1)])
def test_batches_that_are_no_multiple_are_refused(batch, ranks) -> None:
    with pytest.raises(ValueError, match="multiple"):
        PersonSettings(4, batch, ranks=ranks)


def loader_of(crops, change, workers: int = 0, ranks: tuple[int, int] = (0, 1)) -> Loader:
    order = by_person(crops.ids, [len(crops)], [1.0], PersonSettings(2, 8, ranks=ranks[1]))
    data = EpochData(crops, EmbedderSettings("small", *SIZE).input_spec, change, crops.read)
    return Loader(data, Batches(order, BatchSettings(8, (SIZE,), 0, *ranks)), workers)


def test_samples_are_the_same_with_any_workers_and_from_any_batch_on(sequence) -> None:
    crops, _ = cut_of(sequence)
    change = CropAugment(CropSettings(cross=1.0, noise=1.0, erase=1.0))
    wanted = list(loader_of(crops, change).epoch(1))
    parallel = list(loader_of(crops, change, workers=2).epoch(1))
    later = list(loader_of(crops, change).epoch(1, 2))
    for one, other in zip([*wanted, *wanted[2:]], [*parallel, *later], strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.records, other.records)
    other = next(loader_of(crops, change).epoch(2))
    assert not torch.equal(other.images, wanted[0].images)


def test_targets_tell_the_crop_and_the_person(sequence) -> None:
    crops, _ = cut_of(sequence)
    for batch in loader_of(crops, CropAugment(None)).epoch(0):
        labels = torch.cat([target.labels for target in batch.targets])
        assert torch.equal(labels, batch.records)
        ids = torch.cat([target.ids for target in batch.targets])
        assert ids.tolist() == crops.ids[labels.numpy()].tolist()
        assert ids[0] == ids[1] and batch.images.shape == (8, 3, 32, 16)


def test_a_crop_is_seen_in_so_many_ways_and_no_more(sequence) -> None:
    crops, _ = cut_of(sequence)
    change = CropAugment(CropSettings(views=3, noise=1.0, erase=1.0))
    seen: dict[int, set[bytes]] = {}
    for seed in range(20):
        image, target = change(crops.full_image, len(crops), 4, SIZE, seed)
        seen.setdefault(int(target.labels[0]), set()).add(image.numpy().tobytes())
    assert sorted(seen) == [12, 13, 14]
    assert [len(images) for images in seen.values()] == [1, 1, 1]
    assert len(set.union(*seen.values())) == 3


def test_two_processes_share_a_batch_person_by_person(sequence) -> None:
    crops, _ = cut_of(sequence)
    whole = next(loader_of(crops, CropAugment(None)).epoch(0))
    shares = [next(loader_of(crops, CropAugment(None), 0, (rank, 2)).epoch(0)) for rank in (0, 1)]
    for share in shares:
        ids = [int(target.ids[0]) for target in share.targets]
        assert ids[::2] == ids[1::2]
    together = sorted(int(place) for share in shares for place in share.records)
    assert together == sorted(whole.records.tolist())


def gradient() -> np.ndarray:
    """A kept crop whose green tells the column and whose red the row."""
    height, width = round(128 * 1.2), round(64 * 1.2)
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([np.zeros_like(rows), columns, rows], axis=2).astype(np.uint8)


def changed(seed: int = 0, **settings: object) -> np.ndarray:
    """(H, W, 3) RGB of a gradient."""
    told = CropSettings(**{**STILL, **settings})  # type: ignore[arg-type]
    who = module.Annotations.of([[0, 0, 9, 9]], labels=[0], ids=[3])
    image, _ = CropAugment(told)(lambda index: (gradient(), who), 5, 0, (64, 128), seed)
    return image.permute(1, 2, 0).numpy()


def test_without_any_change_the_box_itself_is_seen() -> None:
    found = changed()
    np.testing.assert_allclose(found[:, :, 0], gradient()[13:141, 6:70, 2], atol=1)
    np.testing.assert_allclose(found[:, :, 1], gradient()[13:141, 6:70, 1], atol=1)


def test_mirrored() -> None:
    np.testing.assert_allclose(changed(flip=1.0).astype(int), changed()[:, ::-1], atol=1)


def test_jitter_moves_the_edges_within_its_bounds() -> None:
    edges = []
    for seed in range(40):
        found = changed(seed, jitter=0.1).astype(float)
        left, top = found[:, 0, 1].mean() - 6, found[0, :, 0].mean() - 13
        edges.append((left / 64, top / 128))
    assert np.abs(edges).max() < 0.11 and np.abs(edges).max(axis=0).min() > 0.06


def test_coarse_crops_lose_what_is_fine() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (154, 77, 3), np.uint8)
    who = module.Annotations.of([[0, 0, 9, 9]], labels=[0], ids=[3])
    told = CropSettings(**{**STILL, "coarse": 1.0, "coarse_height": (30, 40)})
    image, _ = CropAugment(told)(lambda index: (noise, who), 5, 0, (64, 128), 0)
    steps = np.abs(np.diff(image.numpy().astype(int), axis=1)).mean()
    assert image.shape == (3, 128, 64) and steps < 30


def test_somebody_in_front_and_what_is_erased() -> None:
    rng_seeds = range(12)
    crossed = [np.abs(changed(s, cross=1.0).astype(int) - changed(s)).max(2) for s in rng_seeds]
    assert all(each[-1].any() for each in crossed), "whoever is in front stands on the ground"
    shares = [(changed(s, erase=1.0) != changed(s)).any(2).mean() for s in rng_seeds]
    assert 0.02 < min(shares) and max(shares) < 0.3


def test_spliced_people_have_the_legs_of_another() -> None:
    who = module.Annotations.of([[0, 0, 9, 9]], labels=[0], ids=[3])
    grey = [np.full((154, 77, 3), level, np.uint8) for level in (50, 100, 150, 200)]
    told = CropSettings(**{**STILL, "splice": 1.0, "splice_height": (0.4, 0.6)})
    change = CropAugment(told)
    legs, waists = set(), []
    for seed in range(40):
        image, target = change(lambda index: (grey[index], who), 4, 0, (64, 128), seed)
        assert target.ids.tolist() == [-1]
        column = image[0].float().mean(1)
        assert (image[0] == column[:, None]).all() and column[0] == 50
        legs.add(int(column[-1]))
        waists += [int((column == 50).sum())] * (column[-1] != 50)
    assert legs == {50, 100, 150, 200} and 51 <= min(waists) < max(waists) <= 77


@pytest.mark.parametrize(
    "wrong",
    [{"each": 1}, {"flip": 1.5}, {"erase_area": (0.5, 0.1)}, {"cross_width": (0.5, 2.0)}]
    + [{"splice": 2.0}, {"splice_height": (0.5, 1.5)}, {"splice_height": (0.6, 0.4)}]
    + [{"coarse_height": (40,)}, {"jpeg_quality": (0, 50)}, {"hue": 0.7}],
)
def test_settings_that_make_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CropSettings(**wrong)
