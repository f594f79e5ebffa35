"""Worlds in which assigners choose, for them and for plain loops. Needs torch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from support import plain_assigners as plain

from mot.training import targets

WIDTH, HEIGHT, STRIDES = 96, 64, (8, 16, 32)


class World:
    """Anchors, objects and what a network says, for the assigners and for plain loops."""

    def __init__(self, grid, objects, labels=None, regions=(), said=None) -> None:
        boxes = torch.tensor([box for box, _ in grid], dtype=torch.float32).reshape(-1, 4)
        counts = tuple(len(level.boxes) for level in grid.levels)
        self.grid = grid
        self.places = targets.Anchors(boxes, counts, tuple(level.stride for level in grid.levels))
        self.objects = torch.tensor(objects, dtype=torch.float32).reshape(-1, 4)
        self.labels = torch.zeros(len(self.objects), dtype=torch.int64)
        if labels is not None:
            self.labels = torch.tensor(labels)
        self.regions = torch.tensor(regions, dtype=torch.float32).reshape(-1, 4)
        self.guess = said and targets.Predictions(
            torch.tensor(said.scores), torch.tensor(said.boxes)
        )

    @property
    def target(self):
        nobody = torch.full_like(self.labels, -1)
        return targets.Target(self.objects, self.labels, nobody, self.regions)

    @property
    def said(self) -> plain.Said:
        return plain.Said(self.guess.scores.tolist(), self.guess.boxes.tolist())

    def rows(self, assigner) -> list[int]:
        return assigner(self.places, self.target, self.guess).tolist()

    def __repr__(self) -> str:
        return f"World({self.places.boxes.tolist()}, {self.objects.tolist()})"


def square_grid(sides=(1.0,), strides=STRIDES, width=WIDTH, height=HEIGHT, scale=3.0):
    """In the middle of each cell boxes of some heights, in strides, as wide as high."""
    levels = []
    for stride in strides:
        half = [side * scale * stride / 2 for side in sides]
        levels.append(
            plain.Level(
                stride,
                [
                    (x - h, y - h, x + h, y + h)
                    for y in np.arange(stride / 2, height, stride)
                    for x in np.arange(stride / 2, width, stride)
                    for h in half
                ],
            )
        )
    return plain.Grid(levels)


def crowd(seed: int, count: int = 12, sides=(1.0,), spread: float = 0.4, largest=60) -> World:
    """People close to each other, some partly out of the picture; guesses around them."""
    rng = np.random.default_rng(seed)
    grid = square_grid(sides)
    tall = rng.uniform(10, largest, count)
    middle = [WIDTH / 2, HEIGHT / 2] + spread * rng.normal(0, [WIDTH, HEIGHT], (count, 2))
    half = np.stack([0.4 * tall, tall], 1) / 2
    objects = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    who = objects[rng.integers(0, count, len(grid))]
    own = np.array([box for box, _ in grid])
    share = rng.uniform(0, 1, (len(grid), 1))
    guessed = share * who + (1 - share) * own + rng.normal(0, 2, (len(grid), 4))
    scores = rng.uniform(0.02, 0.98, (len(grid), 2))
    said = plain.Said(scores.astype(np.float32).tolist(), guessed.astype(np.float32).tolist())
    regions = [(0.0, 0.0, 30.5, 40.5), (60.0, 20.0, 90.0, 70.0)]
    return World(grid, objects.tolist(), rng.integers(0, 2, count).tolist(), regions, said)


def quiet(world: World) -> World:
    world.regions = world.regions[:0]
    return world


@st.composite
def small_worlds(draw, most: int = 6) -> World:
    """Whole numbers, so overlaps tie exactly; few places, so objects compete for them."""
    number = st.integers(0, 8)
    box = st.tuples(number, number, st.integers(1, 5), st.integers(1, 5)).map(
        lambda each: (each[0], each[1], each[0] + each[2], each[1] + each[3])
    )
    grid = plain.Grid([plain.Level(4, draw(st.lists(box, min_size=1, max_size=8)))])
    return World(grid, draw(st.lists(box, min_size=1, max_size=most)))
