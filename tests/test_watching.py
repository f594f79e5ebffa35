"""Who is looked at in which frame, and that nobody gets the looks of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mot.appearance.watching import Watch, with_looks
from mot.types import Detections, Frame, Image

IMAGE = np.zeros((300, 400, 3), np.uint8)
ALONE = [100.0, 100, 140, 200]


class Eyes:
    """Sees of each box where it is, and counts whom it looks at."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, image: Image, xyxy: Any) -> Any:
        self.counts.append(len(xyxy))
        return np.asarray(xyxy, np.float32)


def looked_at(frames: list[Any]) -> list[int]:
    """How many people of each frame."""
    counts = []
    eyes = Eyes()
    watch = Watch(eyes)
    for boxes in frames:
        eyes.counts = []
        watch(IMAGE, Detections.from_boxes(boxes))
        counts.append(sum(eyes.counts))
    return counts


def test_only_the_sure_are_looked_at() -> None:
    seen: list[int] = []

    def embedder(image: Image, xyxy: Any) -> Any:
        seen.append(len(xyxy))
        return np.ones((len(xyxy), 4), np.float32)

    boxes = np.array([[0, 0, 9, 9], [5, 5, 20, 30], [30, 30, 40, 60]])
    frames = [
        (Frame(IMAGE, number, 0.0), Detections.from_boxes(boxes * number, scores=scores))
        for number, scores in enumerate(((0.9, 0.2, 0.6), (0.1, 0.2, 0.3), (0.9, 0.9, 0.9)), 1)
    ]
    told = [found.embeddings for _, found in with_looks(frames, embedder, least=0.6)]
    assert seen == [2, 3, 3], "of whom nobody is sure all are looked at: a tracker may need them"
    assert [each.any(axis=1).tolist() for each in told] == [
        [True, False, True],
        [True] * 3,
        [True] * 3,
    ]


def moved(box: list[float], by: float) -> list[float]:
    return [box[0] + by, box[1], box[2] + by, box[3]]


def test_somebody_who_stands_is_looked_at_now_and_then() -> None:
    assert looked_at([[ALONE]] * 11) == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("step, expected", [(4, 0), (10, 1)])  # of 40 pixels
def test_who_moves_by_more_than_a_little_is_looked_at(step: float, expected: int) -> None:
    walk = [[moved(ALONE, step * number)] for number in range(4)]
    assert looked_at(walk) == [1, expected, expected, expected]


def test_people_in_each_others_boxes_are_looked_at() -> None:
    pair = [ALONE, moved(ALONE, 30), moved(ALONE, 150)]
    assert looked_at([pair] * 3) == [3, 2, 2]
    assert looked_at([[ALONE], pair, [ALONE]]) == [1, 3, 1], "someone came, and who of them left?"


def test_who_was_gone_is_looked_at_again() -> None:
    assert looked_at([[ALONE], [], [ALONE]]) == [1, 0, 1]


@pytest.mark.parametrize("box", [[10, 10, 10, 40], [-50, -50, -10, -10], [400, 0, 500, 90]])
def test_boxes_of_no_area_or_outside_disturb_nobody(box: list[float]) -> None:
    assert looked_at([[box, ALONE]] * 2)[0] == 2
    watch = Watch(Eyes())
    for _ in range(7):
        looks = watch(IMAGE, Detections.from_boxes([box, ALONE]))
    np.testing.assert_array_equal(looks[1], ALONE)


def test_the_unsure_are_neither_looked_at_nor_remembered() -> None:
    watch = Watch(Eyes(), least=0.5)
    first = watch(IMAGE, Detections.from_boxes([ALONE, moved(ALONE, 150)], scores=[0.2, 0.9]))
    assert first.any(axis=1).tolist() == [False, True]
    second = watch(IMAGE, Detections.from_boxes([ALONE, moved(ALONE, 150)], scores=[0.9, 0.2]))
    assert second.any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(20))
def test_nobody_gets_the_looks_of_another(seed: int) -> None:
    """People walk through each other; each one's height is like nobody else's."""
    rng = np.random.default_rng(seed)
    heights = 60 + 3.0 * np.arange(12)
    middle, speed = rng.uniform(0, 300, (12, 2)), rng.normal(0, 3, (12, 2))
    eyes, looked, frames = Eyes(), 0, 60
    watch = Watch(eyes)
    for number in range(frames):
        order = rng.permutation(12)
        size = np.stack([heights / 3, heights], axis=1)
        place = middle + number * speed + rng.normal(0, 0.5, (12, 2))
        boxes = np.concatenate([place - size / 2, place + size / 2], axis=1)[order]
        looks = watch(IMAGE, Detections.from_boxes(boxes))
        np.testing.assert_allclose(looks[:, 3] - looks[:, 1], heights[order], atol=1e-3)
        looked += eyes.counts.pop() if eyes.counts else 0
    assert looked < 0.8 * frames * 12
