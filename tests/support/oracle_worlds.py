"""Random streams for the tracker oracles, and the comparison of a tracker with its oracle.

Objects walk, turn, stand, hide each other and leave. Detections are missed for some frames, have
low scores where an object is hidden, and some are false positives. Some objects are similar in
appearance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mot.types import Detections, Frame, Tracker, Tracks

Array = npt.NDArray[np.float64]
Stream = list[tuple[Detections, Frame]]

WIDTH, HEIGHT, FPS = 320.0, 180.0, 30.0
EMBEDDING_SIZE = 16
TOLERANCE = 1e-3  # pixels


class Reported(NamedTuple):
    """A track of one frame."""

    box: Array  # (4,) xyxy
    row: int  # of the frame's detections; -1: predicted only


class Oracle(Protocol):
    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        """Reported tracks by id."""


@dataclass(frozen=True)
class WorldSettings:
    length: int = 50
    objects: int = 12
    standing: int = 3  # of these, missed for about a second
    false_positives: float = 1.5  # per frame
    camera: bool = False  # whether the camera moves, and the frames say how
    embeddings: bool = False


def streams(
    seeds: Iterable[int], settings: WorldSettings | None = None
) -> Iterator[tuple[int, Stream]]:
    for seed in seeds:
        yield seed, list(_World(seed, settings or WorldSettings()).frames())


def first_difference(
    make_tracker: Callable[[], Tracker],
    make_oracle: Callable[[], Oracle],
    worlds: Iterable[tuple[int, Stream]],
) -> str | None:
    """Where a tracker and its oracle first report different ids, boxes or detections."""
    for seed, stream in worlds:
        tracker, oracle = make_tracker(), make_oracle()
        for detections, frame in stream:
            found = tracker.update(detections, frame)
            expected = oracle.update(detections, frame.motion)
            problem = _difference(found, expected)
            if problem:
                return f"seed {seed}, frame {frame.index}: {problem}"
    return None


def _difference(found: Tracks, expected: dict[int, Reported]) -> str | None:
    ids = found.ids.tolist()
    if sorted(ids) != sorted(expected):
        return f"ids {sorted(ids)}, expected {sorted(expected)}"
    for number, row, box in zip(ids, found.detections.tolist(), found.boxes, strict=True):
        if row != expected[number].row:
            return f"track {number} has detection {row}, expected {expected[number].row}"
        if not np.abs(box - expected[number].box).max() <= TOLERANCE:
            return f"track {number} has the box {box}, expected {expected[number].box}"
    return None


class _World:
    """Objects are rows of arrays; positions are of the ground, the camera maps them to pixels."""

    def __init__(self, seed: int, settings: WorldSettings) -> None:
        self.settings, self.rng = settings, np.random.default_rng(seed)
        rng, count = self.rng, settings.objects
        self.center = rng.uniform(0, [WIDTH, HEIGHT], (count, 2))
        self.velocity = rng.normal(0, 2.5, (count, 2))
        self.height = rng.uniform(50, 100, count)
        self.growth = rng.normal(1, 0.02, count)
        self.aspect = rng.uniform(0.3, 0.6, count)
        self.first = rng.integers(-30, settings.length // 2, count)
        self.last = self.first + rng.integers(20, 90, count)
        self.missed_until = np.zeros(count, np.int64)
        self.standing = np.arange(count) < settings.standing
        self.first[self.standing], self.last[self.standing] = 0, settings.length
        self.leaves = np.where(self.standing, rng.integers(6, 16, count), -1)
        vectors = rng.normal(size=(count, EMBEDDING_SIZE))
        self.identity = _unit(vectors + 0.8 * vectors[rng.integers(count, size=count)])
        self.camera = np.eye(2, 3)

    def frames(self) -> Iterator[tuple[Detections, Frame]]:
        for index in range(self.settings.length):
            motion = self._move_camera() if self.settings.camera and index else None
            yield self._detect(index), Frame(None, index + 1, index / FPS, motion)
            self._step()

    def _step(self) -> None:
        rng, count = self.rng, len(self.center)
        self.velocity += rng.normal(0, 0.3, (count, 2))
        turning = rng.random(count) < 0.04
        self.velocity[turning] = rng.normal(0, 2.5, (turning.sum(), 2))
        self.center += self.velocity
        self.height = np.clip(self.height * self.growth, 20, 250)
        self.velocity[self.standing] = 0
        outside = (self.center < 0) | (self.center > [WIDTH, HEIGHT])
        self.velocity[outside] *= -1

    def _move_camera(self) -> Array:
        """Shift, small rotation and zoom since the last frame, about the center of the image."""
        angle, zoom = self.rng.normal(0, 0.05), self.rng.normal(1, 0.02)
        linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([WIDTH, HEIGHT]) / 2
        motion = np.column_stack([linear, middle - linear @ middle + self.rng.normal(0, 5, 2)])
        shift = linear @ self.camera[:, 2] + motion[:, 2]
        self.camera = np.column_stack([linear @ self.camera[:, :2], shift])
        return motion

    def _boxes(self) -> Array:
        linear = self.camera[:, :2]
        height = self.height * abs(np.linalg.det(linear)) ** 0.5
        half = np.column_stack([self.aspect * height, height]) / 2
        center = self.center @ linear.T + self.camera[:, 2]
        return np.concatenate([center - half, center + half], axis=1)

    def _detect(self, index: int) -> Detections:
        rng, boxes = self.rng, self._boxes()
        covered, front = _covered(boxes)
        missing = (rng.random(len(boxes)) < 0.025) & ~self.standing
        self.missed_until[missing] = index + rng.integers(1, 12, missing.sum())
        leaving = self.leaves == index
        self.missed_until[leaving] = index + rng.integers(29, 33, leaving.sum())
        visible = (covered < 0.75) & (self.missed_until <= index)
        shown = np.flatnonzero(visible & (self.first <= index) & (index <= self.last))
        size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        error = rng.uniform(0.002, 0.045, (len(boxes), 1)) * size
        seen = (boxes + error * rng.normal(size=boxes.shape))[shown]
        scores = (0.93 - 0.9 * covered + rng.normal(0, 0.06, len(boxes)))[shown]
        blur = rng.uniform(0.05, 0.4, (len(boxes), 1))
        vectors = self.identity + blur * rng.normal(size=self.identity.shape)
        vectors = (vectors + (0.7 * covered)[:, None] * self.identity[front])[shown]
        false = self._false_positives()
        count = len(false)
        scores = np.concatenate([scores, rng.uniform(0.05, 0.85, count)])
        vectors = np.concatenate([vectors, rng.normal(size=(count, EMBEDDING_SIZE))])
        order = rng.permutation(len(scores))
        embeddings = 3 * _unit(vectors)[order] if self.settings.embeddings else None
        everything = np.concatenate([seen, false])[order]
        return Detections.from_boxes(
            everything, np.clip(scores, 0.02, 1)[order], embeddings=embeddings
        )

    def _false_positives(self) -> Array:
        """Anywhere, or shifted copies of objects."""
        rng, boxes = self.rng, self._boxes()
        count = rng.poisson(self.settings.false_positives)
        copies = boxes[rng.integers(len(boxes), size=count)]
        copies = copies + np.tile(rng.normal(0, 12, (count, 2)), 2)
        anywhere = copies + np.tile(rng.uniform(-200, 200, (count, 2)), 2)
        return np.where(rng.random((count, 1)) < 0.5, copies, anywhere)


def _covered(boxes: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """How much of each box the one that hides most of it covers, and its row."""
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    share = shared / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    share[boxes[:, None, 3] >= boxes[:, 3]] = 0  # lower feet are nearer
    front = share.argmax(axis=1)
    return share.max(axis=1), front


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
