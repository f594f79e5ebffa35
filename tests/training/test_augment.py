"""Boxes move as pixels move: what is painted is found again where the target says."""

from __future__ import annotations

import importlib
import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.datasets.dataset import Annotations
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec, make_batch, make_letterbox, normalize
from mot.settings import build_settings
from mot.training.augment.settings import AugmentSettings
from mot.training.augment.views import View, crop_window, fitted, paint, show, single_view
from mot.types import Image

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
functional = importlib.import_module("torchvision.transforms.v2.functional")
pixels = importlib.import_module("mot.training.augment.pixels")
sample_module = importlib.import_module("mot.training.augment.sample")
Augment = importlib.import_module("mot.training.augment.augmenter").Augment
Sample, letterboxed = sample_module.Sample, sample_module.letterboxed

quick = settings(deadline=None, max_examples=40)
SPEC = InputSpec(size=(160, 128))
SIZE = SPEC.size
OFF = AugmentSettings(
    flip=0,
    scale=(1.0, 1.0),
    crop=0,
    zoom_out=0,
    mosaic=0,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    grey=0,
    blur=0,
    jpeg=0,
    noise=0,
    erase=0,
)
ALL = AugmentSettings(
    **dict.fromkeys(("flip", "crop", "zoom_out", "mosaic", "grey", "blur"), 0.5),
    **dict.fromkeys(("jpeg", "noise", "erase"), 0.5),
)
MOVES = {
    "nothing": OFF,
    "flip": replace(OFF, flip=1.0),
    "scale": replace(OFF, scale=(0.5, 2.0)),
    "crop": replace(OFF, crop=1.0),
    "zoom out": replace(OFF, zoom_out=1.0),
    "mosaic": replace(OFF, mosaic=1.0),
    "all": replace(OFF, flip=0.5, scale=(0.7, 1.4), crop=0.5, zoom_out=0.3, mosaic=0.3),
}
# BGR of each label.
COLOURS = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0], [0, 255, 255]], np.uint8)
RECTANGLES = np.array(
    [[10, 20, 70, 90], [90, 10, 190, 60], [30, 100, 120, 145], [150, 80, 195, 140]]
)


def world(label: int | None = None, count: int = 4) -> tuple[Image, Annotations]:
    """A picture of 200 x 150 with a rectangle of each colour, or of one; ids are 10 + label."""
    labels = np.arange(count) if label is None else np.array([label])
    image = np.full((150, 200, 3), 30, np.uint8)
    for number in labels:
        left, top, right, bottom = RECTANGLES[number]
        image[top:bottom, left:right] = COLOURS[number]
    return image, Annotations.of(RECTANGLES[labels], labels, ids=labels + 10)


def extent(image: Any, label: int) -> np.ndarray | None:
    """(4,) xyxy of the pixels of a label's colour in a (3, H, W) RGB tensor."""
    far = np.abs(image.numpy().astype(int) - COLOURS[label][::-1, None, None].astype(int))
    rows, columns = np.nonzero((far < 128).all(axis=0))
    if not len(rows):
        return None
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def cut(boxes: Any, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.clip(boxes.numpy(), 0, np.array(size * 2))


def same(one: Any, other: Any) -> bool:
    return torch.equal(one[0], other[0]) and all(map(torch.equal, one[1], other[1]))


def found_again(image: Any, target: Any) -> int:
    """Each object lies on its pixels, and all other pixels of its colour in a region."""
    known = dict(zip(target.labels.tolist(), cut(target.boxes), strict=True))
    assert (target.ids == target.labels + 10).all()
    for label in range(len(COLOURS)):
        seen = extent(image, label)
        if label in known:
            np.testing.assert_allclose(seen, known[label], atol=1.5)
        elif seen is not None:
            assert np.abs(target.regions.numpy() - seen).max(axis=1).min() <= 1.5
    return len(known)


class RawDataset:
    """Gives all four rectangles at once, or with each picture the next of them."""

    def __init__(self, one_by_one: bool) -> None:
        self.turns = itertools.cycle(range(4)) if one_by_one else None

    def __call__(self, index: int) -> tuple[Image, Annotations]:
        return world(None if self.turns is None else next(self.turns))


@pytest.mark.parametrize("name", MOVES)
def test_boxes_lie_where_the_pixels_are(name: str) -> None:
    augment, found = Augment(MOVES[name], SPEC), 0
    for seed in range(40):
        read = RawDataset(one_by_one=MOVES[name].mosaic > 0)
        image, target = augment(read, 4, 0, SIZE, seed)
        assert image.shape == (3, 128, 160)
        found += found_again(image, target)
    assert found > 30


@pytest.mark.parametrize("name", ["flip", "scale", "crop", "zoom out"])
def test_boxes_that_stay_whole_are_those_of_the_whole_picture(name: str) -> None:
    """A crop of a picture shows where the picture lies: so do two corners of a box."""
    image, annotations = world()
    wanted = replace(MOVES[name], min_visible=0.0, min_side=0.0)
    augment = Augment(wanted, replace(SPEC, amodal=True))
    for seed in range(20):
        _, target = augment(lambda index: (image, annotations), 1, 0, SIZE, seed)
        given = RECTANGLES[target.labels.numpy()]
        ratios = (target.boxes[:, 2:] - target.boxes[:, :2]).numpy() / (given[:, 2:] - given[:, :2])
        np.testing.assert_allclose(ratios, np.tile(ratios[:1], (len(ratios), 1)), rtol=1e-4)


def moved(annotations: Annotations, seed: int) -> tuple[Any, View]:
    """A sample of the world in which objects are seen in part, flipped, and its view."""
    image, _ = world()
    rng, canvas = np.random.default_rng(seed), np.full((128, 160, 3), 114, np.uint8)
    view = single_view((200, 150), annotations, SPEC, SIZE, MOVES["all"], rng)
    paint(image, view, canvas)
    sample = Sample.of(canvas, [show(annotations, (200, 150), view, amodal=False)])
    return pixels.transforms_of(MOVES["flip"])(sample), view


def area(rectangle: Any) -> float:
    left, top, right, bottom = rectangle
    return float((right - left) * (bottom - top))


def test_visible_parts_follow() -> None:
    larger = np.concatenate([RECTANGLES[:, :2] - 9, RECTANGLES[:, 2:] + 9], axis=1)
    annotations = Annotations.of(larger, np.arange(4), visible=RECTANGLES)
    for seed in range(30):
        sample, view = moved(annotations, seed)
        rows = zip(sample.labels.tolist(), sample.visible.numpy(), sample.share, strict=True)
        for label, visible, share in rows:
            seen = extent(sample.image, label)
            if min(visible[2:] - visible[:2]) > 2:
                np.testing.assert_allclose(seen, visible, atol=1.5)
            zoom = area(view.inner) / area(view.window)
            left = 0 if seen is None else area(seen) / (area(RECTANGLES[label]) * zoom)
            assert float(share) == pytest.approx(left, abs=0.12)


def test_ignored_objects_become_regions_where_they_are() -> None:
    image, annotations = world()
    ignored = replace(annotations, ignored=np.array([True, False, True, False]))
    for seed in range(30):
        picture, target = Augment(MOVES["crop"], SPEC)(
            lambda index: (image, ignored), 1, 0, SIZE, seed
        )
        assert not set(target.labels.tolist()) & {0, 2}
        found_again(picture, target)
        assert (target.regions.numpy() == cut(target.regions)).all()


@pytest.mark.parametrize(("least", "remains"), [(0.4, True), (0.6, False)])
def test_objects_of_which_little_is_left_are_ignored(least: float, remains: bool) -> None:
    """The left half of the only object is seen, and the right half of that is cropped off."""
    annotations = Annotations.of([[0, 0, 200, 150]], visible=[[0, 0, 100, 150]], ids=[7])
    view = replace(fitted(make_letterbox((200, 150), SPEC, SIZE)), window=(0, 0, 50, 150))
    shown = show(annotations, (200, 150), view, amodal=False)
    assert shown.share.tolist() == [0.5]
    sample = Sample.of(np.zeros((128, 160, 3), np.uint8), [shown])
    target = sample_module.target_of(sample, least, 0)
    assert (len(target.boxes), len(target.regions)) == ((1, 0) if remains else (0, 1))


def test_erased_parts_are_counted_as_unseen() -> None:
    wanted = replace(OFF, erase=1.0, erase_area=(0.1, 0.4))
    image, annotations = world(0)
    canvas, [placed] = make_batch([image], SPEC, SIZE)
    sample = Sample.of(canvas[0], [show(annotations, placed.size, fitted(placed), amodal=False)])
    before = sample.image.clone()
    area = float(torch.diff(sample.visible.reshape(2, 2), dim=0).prod())
    shares = set()
    for seed in range(30):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            result = pixels.erased(sample, wanted, 114)
        red = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
        left = int((result.image == red).all(dim=0).sum())
        assert float(result.share) == pytest.approx(left / area, abs=0.05)
        shares.add(round(float(result.share), 1))
    assert len(shares) > 3
    assert torch.equal(sample.image, before)


# What is off, and what is drawn.


def corners(rows: list[tuple[float, ...]]) -> np.ndarray:
    rows = [(x, y, x + width, y + height) for x, y, width, height in rows]
    return np.array(rows, np.float32).reshape(-1, 4)


quarters = st.integers(-160, 960).map(lambda value: value / 4)
lengths = st.integers(0, 600).map(lambda value: value / 4)
boxes = st.lists(st.tuples(quarters, quarters, lengths, lengths), max_size=6).map(corners)
tiny = st.tuples(*[st.floats(-40, 240)] * 2, *[st.floats(0, 150)] * 2)
any_boxes = st.lists(tiny, max_size=6).map(corners)
pictures = st.tuples(st.integers(1, 200), st.integers(1, 200))


def noise(size: tuple[int, int]) -> Image:
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)


@given(pictures, boxes, st.booleans(), st.booleans(), st.booleans())
@quick
def test_with_all_switched_off_nothing_changes(size, xyxy, is_rgb, keeps_aspect, whole) -> None:
    spec = replace(SPEC, is_rgb=is_rgb, keeps_aspect=keeps_aspect, amodal=whole)
    image, annotations = noise(size), Annotations.of(xyxy)
    wanted = replace(OFF, min_visible=0.0, min_side=0.0)
    made = Augment(wanted, spec)(lambda index: (image, annotations), 1, 0, SIZE, 3)
    assert same(made, letterboxed(image, annotations, spec, SIZE))


@given(pictures, boxes, st.booleans(), st.booleans())
@quick
def test_letterboxed_pictures_are_what_detectors_see(size, xyxy, is_rgb, keeps_aspect) -> None:
    spec = replace(SPEC, is_rgb=is_rgb, keeps_aspect=keeps_aspect, std=(1 / 255,) * 3)
    image = noise(size)
    picture, target = letterboxed(image, Annotations.of(xyxy, ids=np.arange(len(xyxy))), spec, SIZE)
    canvas, [placed] = make_batch([image], spec, SIZE)
    np.testing.assert_array_equal(picture.numpy(), normalize(canvas, spec)[0])
    inside = np.clip(xyxy, 0, np.array(size * 2, np.float32))
    wanted = [row for row, box in enumerate(inside) if (box[2:] > box[:2]).all()]
    assert target.ids.tolist() == wanted
    np.testing.assert_allclose(placed.restore(target.boxes.numpy()), inside[wanted], atol=1e-2)


@given(st.lists(st.tuples(pictures, any_boxes), min_size=1, max_size=3), st.integers(0, 2**62))
@settings(quick, max_examples=80)
def test_any_picture_becomes_a_sample(worlds, seed) -> None:
    read = [(noise(size), Annotations.of(xyxy, ids=[5] * len(xyxy))) for size, xyxy in worlds]
    size = (96, 64)
    image, target = Augment(ALL, SPEC)(lambda index: read[index], len(read), 0, size, seed)
    assert (image.shape, image.dtype) == ((3, 64, 96), torch.uint8)
    assert type(image) is type(target.boxes) is torch.Tensor
    assert target.boxes.dtype == target.regions.dtype == torch.float32
    assert target.labels.dtype == target.ids.dtype == torch.int64
    assert len(target.boxes) == len(target.labels) == len(target.ids)
    sides = target.boxes[:, 2:] - target.boxes[:, :2]
    assert (sides >= ALL.min_side).all()
    assert (target.regions[:, 2:] > target.regions[:, :2]).all()
    np.testing.assert_allclose(target.regions.numpy(), cut(target.regions, size), atol=1e-4)


def test_a_seed_gives_one_sample_and_nothing_else_is_drawn() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    augment, others = Augment(ALL, SPEC), Augment(ALL, SPEC)
    samples = []
    for seed in range(12):
        samples.append(augment(lambda index: world(index), 4, 1, SIZE, seed))
        torch.rand(1)
        assert same(samples[-1], others(lambda index: world(index), 4, 1, SIZE, seed))
    assert len({sample[0].numpy().tobytes() for sample in samples}) == 12
    torch.set_rng_state(before[0])
    augment(lambda index: world(index), 4, 1, SIZE, 5)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]


def test_neither_pictures_nor_annotations_are_edited() -> None:
    image, annotations = world()
    kept = image.copy(), annotations.boxes.copy(), annotations.visible.copy()
    for seed in range(20):
        Augment(ALL, SPEC)(lambda index: (image, annotations), 1, 0, SIZE, seed)
    now = image, annotations.boxes, annotations.visible
    for one, other in zip(kept, now, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pixels.brightened, functional.adjust_brightness),
        (pixels.contrasted, functional.adjust_contrast),
        (pixels.saturated, functional.adjust_saturation),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_change_as_torchvision_changes_them(ours, theirs, factor) -> None:
    image = noise((90, 70))
    expected = theirs(torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1), factor)
    got = ours(image, factor)[:, :, ::-1].transpose(2, 0, 1)
    assert np.abs(got.astype(int) - expected.numpy()).max() <= 2


@pytest.mark.parametrize("turn", [-40, 13, 100])
def test_hues_turn_as_torchvision_turns_them(turn: int) -> None:
    image = noise((90, 70))
    planes = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    expected = functional.adjust_hue(planes, turn / 256).numpy()
    far = np.abs(pixels.turned(image, turn)[:, :, ::-1].transpose(2, 0, 1).astype(int) - expected)
    assert far.mean() < 2  # hues are of 8 bits
    assert far.max() < 12


@given(pictures, boxes, st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.integers(0, 1000))
@settings(quick, max_examples=100)
def test_windows_are_those_of_ssd(size, xyxy, overlap, seed) -> None:
    wanted = replace(OFF, crop_overlaps=(overlap,))
    window = crop_window(size, xyxy, wanted, np.random.default_rng(seed))
    left, top, right, bottom = window
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    if window == (0, 0, *size):
        return
    assert 0.5 <= (right - left) / (bottom - top) <= 2
    assert (right - left) >= 0.3 * size[0] - 1
    if len(xyxy):
        centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
        inside = ((centres > [left, top]) & (centres < [right, bottom])).all(axis=1)
        iou = ops.box_iou(torch.tensor([window], dtype=torch.float32), torch.from_numpy(xyxy))[0]
        assert (iou.numpy()[inside] >= overlap - 1e-5).any()


def test_windows_are_found() -> None:
    rng = np.random.default_rng(0)
    found = {crop_window((200, 150), RECTANGLES.astype(np.float32), OFF, rng) for _ in range(50)}
    assert len(found) > 45


def test_settings_are_checked() -> None:
    assert build_settings(AugmentSettings, {"flip": 1, "scale": [0.5, 2]}, "[augment]").scale == (
        0.5,
        2,
    )
    for values, named in (
        ({"flip": 1.5}, "flip"),
        ({"scale": [2.0, 1.0]}, "scale"),
        ({"scale": [1.0]}, "scale"),
        ({"crop_overlaps": ["much"]}, "crop_overlaps"),
        ({"crop_overlaps": []}, "crop_overlaps"),
        ({"crop_min": 0.0}, "crop_min"),
        ({"zoom_out_max": 0.5}, "zoom_out_max"),
        ({"jpeg_quality": [10, 200]}, "jpeg_quality"),
        ({"erase_area": [0.1, 1.5]}, "erase_area"),
        ({"hue": 0.7}, "hue"),
        ({"flop": 0.5}, "flip"),
    ):
        with pytest.raises(MotError, match=named) as told:
            build_settings(AugmentSettings, values, "[augment]")
        assert str(told.value).startswith("[augment]: ")
