"""The motion detector finds what moves before a camera that stands still."""

from __future__ import annotations

import numpy as np
import pytest

from mot.detectors.motion import MotionDetector, MotionSettings
from mot.errors import MotError
from mot.types import Detections, Image

SIZES = [(320, 240), (640, 360), (1280, 720)]
LEARN = 25  # frames of the empty street first


def street(width: int, height: int, seed: int = 1) -> Image:
    """A textured background."""
    coarse = np.random.default_rng(seed).integers(40, 200, (height // 8 + 1, width // 8 + 1, 3))
    return np.kron(coarse, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def noisy(image: Image, rng: np.random.Generator) -> Image:
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def with_block(image: Image, box: list[int]) -> Image:
    left, top, right, bottom = box
    image = image.copy()
    image[top:bottom, left:right] = (20, 20, 230)
    return image


def person(width: int, height: int, step: int) -> list[int]:
    """A walker of a third of the picture's height, in pixels of the picture."""
    left = width // 8 + step * width // 60
    return [left, height // 4, left + height // 8, height // 4 + height // 3]


def iou(a: np.ndarray, b: list[int]) -> float:
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(w, 0) * max(h, 0)
    return float(shared / (np.prod(a[2:] - a[:2]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def watch(detector: MotionDetector, images: list[Image]) -> list[Detections]:
    return [detector([image])[0] for image in images]


@pytest.mark.parametrize("size", SIZES)
def test_a_moving_block_is_found_where_it_is(size) -> None:
    rng, background, detector = np.random.default_rng(1), street(*size), MotionDetector()
    watch(detector, [noisy(background, rng) for _ in range(LEARN)])
    boxes = [person(*size, step) for step in range(12)]
    found = watch(detector, [noisy(with_block(background, box), rng) for box in boxes])
    for detections, box in zip(found, boxes, strict=True):
        overlaps = [iou(one, box) for one in detections.boxes.astype(float)]
        assert max(overlaps, default=0) > 0.7
        assert len(detections) == 1
        assert 0.5 <= detections.scores[0] <= 1
        assert detections.labels.tolist() == [0]


@pytest.mark.parametrize("size", [*SIZES, (240, 320), (241, 1001)])
def test_nothing_is_found_in_a_still_picture(size) -> None:
    """From the first frame on, where nothing is known of the background, too."""
    rng, background = np.random.default_rng(2), street(*size)
    found = watch(MotionDetector(), [noisy(background, rng) for _ in range(15)])
    assert [len(detections) for detections in found] == [0] * 15


@pytest.mark.parametrize("size", [(640, 360), (240, 320)])
def test_black_bars_beside_a_still_picture_are_no_people(size) -> None:
    image = street(*size)
    image[:, : size[0] // 6] = image[:, -size[0] // 6 :] = 0
    assert [len(detections) for detections in watch(MotionDetector(), [image] * 3)] == [0] * 3


@pytest.mark.parametrize("size", [(64, 48), (1000, 334), (641, 361)])
def test_boxes_lie_in_the_picture(size) -> None:
    background, detector = street(*size), MotionDetector()
    watch(detector, [background] * LEARN)
    width, height = size
    corner = [width - height // 2, height // 3, width, height]
    (found,) = watch(detector, [with_block(background, corner)])
    assert len(found) == 1
    assert iou(found.boxes[0].astype(float), corner) > 0.6
    assert found.boxes.min() >= 0
    assert (found.boxes[:, 2:] <= size).all()


def test_wide_and_small_things_are_no_people() -> None:
    background, detector = street(640, 360), MotionDetector()
    watch(detector, [background] * LEARN)
    car, ball = [50, 200, 350, 280], [500, 100, 508, 110]
    (found,) = watch(detector, [with_block(with_block(background, car), ball)])
    assert len(found) == 0
    bold = MotionDetector(MotionSettings(max_aspect=10))
    watch(bold, [background] * LEARN)
    assert len(watch(bold, [with_block(background, car)])[0]) == 1


def test_a_batch_is_answered_image_by_image_as_one_at_a_time() -> None:
    background = street(320, 240)
    images = [background] * LEARN + [
        with_block(background, person(320, 240, step)) for step in range(5)
    ]
    together, one_by_one = MotionDetector()(images), watch(MotionDetector(), images)
    assert [d.boxes.tolist() for d in together] == [d.boxes.tolist() for d in one_by_one]
    assert sum(map(len, together)) >= 5


def test_two_detectors_do_not_see_each_other() -> None:
    background = street(320, 240)
    watch(MotionDetector(), [street(320, 240, seed=9)] * LEARN)
    assert not any(map(len, watch(MotionDetector(), [background] * 5)))


def test_no_images() -> None:
    assert MotionDetector()([]) == []


def test_images_are_unchanged() -> None:
    image = street(320, 240)
    before = image.copy()
    MotionDetector()([image] * 3)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2000, 2), (2, 2000)])
def test_tiny_pictures_are_endured(size) -> None:
    images = [np.full((size[1], size[0], 3), grey, np.uint8) for grey in (0, 255, 0, 255)]
    assert [len(d) for d in watch(MotionDetector(), images)] == [0] * 4


@pytest.mark.parametrize("image", [None, np.zeros((0, 4, 3), np.uint8), np.zeros((9, 9, 3))])
def test_what_is_no_picture_is_refused(image) -> None:
    with pytest.raises(MotError, match="images must"):
        MotionDetector()([image])
