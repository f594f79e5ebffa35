"""The assigners in plain loops over lists of numbers, written from the papers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Box = Sequence[float]
BACKGROUND, IGNORED = -1, -2


@dataclass
class Level:
    stride: int
    boxes: list[Box]


@dataclass
class Grid:
    """The places of a network, level by level."""

    levels: list[Level]

    def __iter__(self) -> Iterator[tuple[Box, int]]:
        return ((box, level.stride) for level in self.levels for box in level.boxes)

    def __len__(self) -> int:
        return sum(len(level.boxes) for level in self.levels)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def shared(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def iou(a: Box, b: Box) -> float:
    common = shared(a, b)
    return common / (area(a) + area(b) - common) if common else 0.0


def middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def holds(box: Box, point: Sequence[float]) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def is_near(a: Sequence[float], b: Sequence[float], reach: float) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) < reach


def spared(rows: list[int], boxes: Sequence[Box], regions: Sequence[Box]) -> list[int]:
    rows = list(rows)
    for place, box in enumerate(boxes):
        if rows[place] == BACKGROUND:
            if any(shared(box, region) > 0.5 * area(box) for region in regions):
                rows[place] = IGNORED
    return rows


def max_iou(grid: Grid, objects: list[Box], positive: float, negative: float) -> list[int]:
    """Without the places of low quality."""
    rows = []
    for box, _ in grid:
        overlaps = [iou(thing, box) for thing in objects]
        best = max(overlaps)
        if best >= positive:
            rows.append(overlaps.index(best))
        else:
            rows.append(IGNORED if best >= negative else BACKGROUND)
    return rows


def peaks(grid: Grid, objects: list[Box]) -> dict[int, int]:
    """Anchors that overlap some object most of all, and the object that each overlaps most."""
    found = {}
    for thing in objects:
        overlaps = [iou(thing, box) for box, _ in grid]
        for place, (box, _) in enumerate(grid):
            if overlaps[place] == max(overlaps) > 0:
                each = [iou(other, box) for other in objects]
                found[place] = each.index(max(each))
    return found


def best_prior(
    grid: Grid, objects: list[Box], guessed: Sequence[Box], limit: float = 0.7
) -> list[int]:
    best: dict[int, tuple[float, int]] = {}
    for row, thing in enumerate(objects):
        claim = (0.0, -1)
        for place, (box, stride) in enumerate(grid):
            cell = [math.floor(each / stride) for each in middle(box)]
            if cell != [math.floor(each / stride) for each in middle(thing)]:
                continue
            sizes = [(b[2] - b[0], b[3] - b[1]) for b in (box, thing)]
            (w, h), (w2, h2) = sizes
            common = min(w, w2) * min(h, h2)
            claim = max(claim, (common / (w * h + w2 * h2 - common), -place))
        merit, place = claim[0], -claim[1]
        if merit > 0 and merit > best.get(place, (0.0, 0))[0]:
            best[place] = (merit, row)
    rows = []
    for place, box in enumerate(guessed):
        if place in best:
            rows.append(best[place][1])
        else:
            is_good = any(iou(thing, box) > limit for thing in objects)
            rows.append(IGNORED if is_good else BACKGROUND)
    return rows


def centre(grid: Grid, objects: list[Box], radius: float = 1.5) -> list[int]:
    steps = sorted({level.stride for level in grid.levels})
    rows = []
    for box, stride in grid:
        level, point, chosen = steps.index(stride), middle(box), BACKGROUND
        low = 8 * steps[level - 1] if level else 0
        high = 8 * stride if stride < steps[-1] else math.inf
        for row, thing in enumerate(objects):
            x, y = point
            size = max(x - thing[0], y - thing[1], thing[2] - x, thing[3] - y)
            if not holds(thing, point) or not low < size <= high:
                continue
            if is_near(point, middle(thing), radius * stride):
                if chosen == BACKGROUND or area(thing) < area(objects[chosen]):
                    chosen = row
        rows.append(chosen)
    return rows


def closest(grid: Grid, thing: Box, count: int) -> list[int]:
    start, found = 0, []
    for level in grid.levels:
        away = [math.dist(middle(box), middle(thing)) for box in level.boxes]
        order = sorted(range(len(away)), key=away.__getitem__)
        found += [start + place for place in order[:count]]
        start += len(away)
    return found


def atss(grid: Grid, objects: list[Box], top_k: int = 9) -> list[int]:
    boxes = [box for box, _ in grid]
    best: dict[int, tuple[float, int]] = {}
    for row, thing in enumerate(objects):
        candidates = closest(grid, thing, top_k)
        overlaps = [iou(thing, boxes[place]) for place in candidates]
        mean = sum(overlaps) / len(overlaps)
        squares = sum((each - mean) ** 2 for each in overlaps)
        limit = mean + math.sqrt(squares / (len(overlaps) - 1))
        for place, overlap in zip(candidates, overlaps, strict=True):
            if overlap >= limit and holds(thing, middle(boxes[place])):
                if overlap > best.get(place, (0.0, 0))[0]:
                    best[place] = (overlap, row)
    return [best[place][1] if place in best else BACKGROUND for place in range(len(boxes))]


@dataclass
class Said:
    scores: list[list[float]]
    boxes: list[Box]


def cross_entropy(scores: list[float], label: int | None) -> float:
    chances = [score if k == label else 1 - score for k, score in enumerate(scores)]
    return -sum(math.log(chance) for chance in chances)


def focal(scores: list[float], label: int | None) -> float:
    total = 0.0
    for k, score in enumerate(scores):
        if k == label:
            total += 0.25 * (1 - score) ** 2 * -math.log(score)
        else:
            total += 0.75 * score**2 * -math.log(1 - score)
    return total


def dynamic_k(overlaps: list[float], top_k: int) -> int:
    return max(1, int(sum(sorted(overlaps)[::-1][:top_k])))


def simota(grid: Grid, objects: list[Box], labels: list[int], said: Said) -> list[int]:
    best: dict[int, tuple[float, int]] = {}
    for row, (thing, label) in enumerate(zip(objects, labels, strict=True)):
        costs, overlaps = {}, []
        for place, (box, stride) in enumerate(grid):
            near = is_near(middle(box), middle(thing), 2.5 * stride)
            if near or holds(thing, middle(box)):
                overlap = iou(thing, said.boxes[place])
                overlaps.append(overlap)
                price = cross_entropy(said.scores[place], label) - 3 * math.log(overlap + 1e-8)
                costs[place] = (not near, price)
        for place in sorted(costs, key=costs.__getitem__)[: dynamic_k(overlaps, 10)]:
            cost = 1e4 * costs[place][0] + costs[place][1]
            if place not in best or cost < best[place][0]:
                best[place] = (cost, row)
    return [best[place][1] if place in best else BACKGROUND for place in range(len(grid))]


def ota(grid: Grid, objects: list[Box], labels: list[int], said: Said) -> list[int]:
    """Sinkhorn's steps are taken in logarithms."""
    boxes = [box for box, _ in grid]
    own = [
        [place for place in closest(grid, thing, 25) if holds(thing, middle(boxes[place]))]
        for thing in objects
    ]
    some = sorted({place for places in own for place in places})
    costs, supply, suppliers = [], [], []
    for row, (thing, label, places) in enumerate(zip(objects, labels, own, strict=True)):
        if places:
            costs.append(
                [ota_cost(thing, label, said, p) if p in places else math.inf for p in some]
            )
            supply.append(dynamic_k([iou(thing, said.boxes[place]) for place in places], 20))
            suppliers.append(row)
    costs.append([focal(said.scores[place], None) for place in some])
    plan = sinkhorn(costs, [*supply, len(some) - sum(supply)], 0.1, 50)
    rows = [BACKGROUND] * len(boxes)
    for column, place in enumerate(some):
        shares = [(log[column] - max(log), log[column]) for log in plan[:-1]]
        best = max(range(len(shares)), key=shares.__getitem__)
        if shares[best][0] > plan[-1][column]:
            rows[place] = suppliers[best]
    return rows


def ota_cost(thing: Box, label: int, said: Said, place: int) -> float:
    overlap = iou(thing, said.boxes[place])
    return focal(said.scores[place], label) - 1.5 * math.log(overlap + 1e-8)


def log_sum(logs: list[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs))


def sinkhorn(
    costs: list[list[float]], supply: list[int], temper: float, rounds: int
) -> list[list[float]]:
    """The logarithms of the plan, from what each place pays in any case."""
    kernel = [[-cost / temper for cost in row] for row in costs]
    places = [-max(column) for column in zip(*kernel, strict=True)]
    for _ in range(rounds):
        sums = [log_sum([k + v for k, v in zip(row, places, strict=True)]) for row in kernel]
        rows = [math.log(each) - total for each, total in zip(supply, sums, strict=True)]
        columns = zip(*kernel, strict=True)
        places = [
            -log_sum([k + u for k, u in zip(column, rows, strict=True)]) for column in columns
        ]
    return [
        [k + u + v for k, v in zip(row, places, strict=True)]
        for row, u in zip(kernel, rows, strict=True)
    ]
