"""Random anchors, objects and predictions, for assigners and their reference loops. Needs torch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from support import plain_assigners as plain

from mot.training import targets

WIDTH, HEIGHT, STRIDES = 96, 64, (8, 16, 32)


class World:
    """Anchors, objects and predictions, as tensors and as lists."""

    def __init__(self, grid, objects, labels=None, regions=(), predictions=None) -> None:
        boxes = torch.tensor([box for box, _ in grid], dtype=torch.float32).reshape(-1, 4)
        counts = tuple(len(level.boxes) for level in grid.levels)
        self.grid = grid
        self.anchors = targets.Anchors(boxes, counts, tuple(level.stride for level in grid.levels))
        self.objects = torch.tensor(objects, dtype=torch.float32).reshape(-1, 4)
        self.labels = torch.zeros(len(self.objects), dtype=torch.int64)
        if labels is not None:
            self.labels = torch.tensor(labels)
        self.regions = torch.tensor(regions, dtype=torch.float32).reshape(-1, 4)
        self.predictions = predictions and targets.Predictions(
            torch.tensor(predictions.scores), torch.tensor(predictions.boxes)
        )

    @property
    def target(self):
        unknown = torch.full_like(self.labels, -1)
        return targets.Target(self.objects, self.labels, unknown, self.regions)

    @property
    def plain_predictions(self) -> plain.Predictions:
        return plain.Predictions(self.predictions.scores.tolist(), self.predictions.boxes.tolist())

    def rows(self, assigner) -> list[int]:
        return assigner(self.anchors, self.target, self.predictions).tolist()

    def __repr__(self) -> str:
        return f"World({self.anchors.boxes.tolist()}, {self.objects.tolist()})"


def square_grid(sides=(1.0,), strides=STRIDES, width=WIDTH, height=HEIGHT, scale=3.0):
    """Squares around the center of each cell, with these sides in strides times the scale."""
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


def crowd(seed: int, count: int = 12, sides=(1.0,), scatter: float = 0.4, max_height=60) -> World:
    """Overlapping objects, some partly outside of the image, and predictions near them."""
    rng = np.random.default_rng(seed)
    grid = square_grid(sides)
    tall = rng.uniform(10, max_height, count)
    middle = [WIDTH / 2, HEIGHT / 2] + scatter * rng.normal(0, [WIDTH, HEIGHT], (count, 2))
    half = np.stack([0.4 * tall, tall], 1) / 2
    objects = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
    nearby = objects[rng.integers(0, count, len(grid))]
    own = np.array([box for box, _ in grid])
    share = rng.uniform(0, 1, (len(grid), 1))
    boxes = share * nearby + (1 - share) * own + rng.normal(0, 2, (len(grid), 4))
    scores = rng.uniform(0.02, 0.98, (len(grid), 2))
    predictions = plain.Predictions(
        scores.astype(np.float32).tolist(), boxes.astype(np.float32).tolist()
    )
    regions = [(0.0, 0.0, 30.5, 40.5), (60.0, 20.0, 90.0, 70.0)]
    labels = rng.integers(0, 2, count).tolist()
    return World(grid, objects.tolist(), labels, regions, predictions)


def without_regions(world: World) -> World:
    world.regions = world.regions[:0]
    return world


@st.composite
def small_worlds(draw, max_objects: int = 6) -> World:
    """Integer coordinates, so that IoUs tie exactly; few anchors, so that objects compete."""
    number = st.integers(0, 8)
    box = st.tuples(number, number, st.integers(1, 5), st.integers(1, 5)).map(
        lambda each: (each[0], each[1], each[0] + each[2], each[1] + each[3])
    )
    grid = plain.Grid([plain.Level(4, draw(st.lists(box, min_size=1, max_size=8)))])
    return World(grid, draw(st.lists(box, min_size=1, max_size=max_objects)))
