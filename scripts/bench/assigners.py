"""Figures of the assigners: each, and torchvision's matcher, on the same picture, with one thread.

    python scripts/bench/assigners.py [rounds] [objects]

A picture of 1344 x 768 has 21,486 places, one at each of five levels' points. Ratios are to
torchvision's `box_iou` and `Matcher`, timed in turns in the same run; figures are medians.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from mot.training.assigners import ASSIGNERS
from mot.training.targets import Anchors, Predictions, Target

WIDTH, HEIGHT, STRIDES = 1344, 768, (8, 16, 32, 64, 128)
Work = Callable[[], object]


def level(stride: int) -> torch.Tensor:
    """(A, 4) squares of four strides around the middle of each cell."""
    rows, columns = (torch.arange(-(-side // stride)) for side in (HEIGHT, WIDTH))
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    centres = (torch.stack([column, row], -1).reshape(-1, 2) + 0.5) * stride
    return torch.cat([centres - 2 * stride, centres + 2 * stride], 1)


def picture(objects: int) -> tuple[Anchors, Target, Predictions]:
    """People of all sizes, and what a network says that has begun to find them."""
    generator = torch.Generator().manual_seed(0)
    levels = [level(stride) for stride in STRIDES]
    places = Anchors(torch.cat(levels), tuple(map(len, levels)), STRIDES)
    tall = 30 + 300 * torch.rand(objects, 1, generator=generator)
    half = torch.cat([0.41 * tall, tall], 1) / 2
    middle = torch.rand(objects, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    boxes = torch.cat([middle - half, middle + half], 1)
    nobody = torch.full((objects,), -1)
    target = Target(boxes, torch.zeros_like(nobody), nobody, torch.zeros(0, 4))
    nearest = torch.cdist((places.boxes[:, :2] + places.boxes[:, 2:]) / 2, middle).argmin(1)
    share = torch.rand(len(places.boxes), 1, generator=generator)
    said = share * boxes[nearest] + (1 - share) * places.boxes
    return places, target, Predictions(torch.rand(len(said), 1, generator=generator), said)


def measure(named: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(rounds):
        for name, work in named.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in times.items()}


def main(rounds: int = 15, objects: int = 25) -> None:
    torch.set_num_threads(1)
    places, target, guess = picture(objects)
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    works: dict[str, Work] = {"torchvision": lambda: matcher(box_iou(target.boxes, places.boxes))}
    for name, kind in ASSIGNERS.items():
        works[name] = partial(kind(), places, target, guess)
    seconds = measure(works, rounds)
    print(f"{len(places.boxes)} places, {objects} objects; times that of torchvision in brackets")
    for name, taken in seconds.items():
        print(f"  {name:12} {taken * 1e3:8.2f} ms ({taken / seconds['torchvision']:.2f})")


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
