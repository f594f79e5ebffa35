"""Reference assigners in plain loops over lists of numbers, written from the papers."""

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
    """The anchors of a network, level by level."""

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


def center_of(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def contains(box: Box, point: Sequence[float]) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def is_near(a: Sequence[float], b: Sequence[float], reach: float) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) < reach


def apply_ignored(rows: list[int], boxes: Sequence[Box], regions: Sequence[Box]) -> list[int]:
    rows = list(rows)
    for anchor, box in enumerate(boxes):
        if rows[anchor] == BACKGROUND:
            if any(shared(box, region) > 0.5 * area(box) for region in regions):
                rows[anchor] = IGNORED
    return rows


def max_iou(grid: Grid, objects: list[Box], positive: float, negative: float) -> list[int]:
    """Without anchors of low quality."""
    rows = []
    for box, _ in grid:
        overlaps = [iou(target, box) for target in objects]
        best = max(overlaps)
        if best >= positive:
            rows.append(overlaps.index(best))
        else:
            rows.append(IGNORED if best >= negative else BACKGROUND)
    return rows


def peaks(grid: Grid, objects: list[Box]) -> dict[int, int]:
    """Anchors with the highest IoU of some object, and the object of their own highest IoU."""
    found = {}
    for target in objects:
        overlaps = [iou(target, box) for box, _ in grid]
        for anchor, (box, _) in enumerate(grid):
            if overlaps[anchor] == max(overlaps) > 0:
                each = [iou(other, box) for other in objects]
                found[anchor] = each.index(max(each))
    return found


def best_prior(
    grid: Grid, objects: list[Box], predicted: Sequence[Box], limit: float = 0.7
) -> list[int]:
    best: dict[int, tuple[float, int]] = {}
    for row, target in enumerate(objects):
        best_match = (0.0, -1)
        for anchor, (box, stride) in enumerate(grid):
            cell = [math.floor(each / stride) for each in center_of(box)]
            if cell != [math.floor(each / stride) for each in center_of(target)]:
                continue
            sizes = [(b[2] - b[0], b[3] - b[1]) for b in (box, target)]
            (w, h), (w2, h2) = sizes
            common = min(w, w2) * min(h, h2)
            best_match = max(best_match, (common / (w * h + w2 * h2 - common), -anchor))
        quality, anchor = best_match[0], -best_match[1]
        if quality > 0 and quality > best.get(anchor, (0.0, 0))[0]:
            best[anchor] = (quality, row)
    rows = []
    for anchor, box in enumerate(predicted):
        if anchor in best:
            rows.append(best[anchor][1])
        else:
            is_good = any(iou(target, box) > limit for target in objects)
            rows.append(IGNORED if is_good else BACKGROUND)
    return rows


def fcos(grid: Grid, objects: list[Box], radius: float = 1.5) -> list[int]:
    steps = sorted({level.stride for level in grid.levels})
    rows = []
    for box, stride in grid:
        level, point, chosen = steps.index(stride), center_of(box), BACKGROUND
        low = 8 * steps[level - 1] if level else 0
        high = 8 * stride if stride < steps[-1] else math.inf
        for row, target in enumerate(objects):
            x, y = point
            size = max(x - target[0], y - target[1], target[2] - x, target[3] - y)
            if not contains(target, point) or not low < size <= high:
                continue
            if is_near(point, center_of(target), radius * stride):
                if chosen == BACKGROUND or area(target) < area(objects[chosen]):
                    chosen = row
        rows.append(chosen)
    return rows


def nearest(grid: Grid, target: Box, count: int) -> list[int]:
    start, found = 0, []
    for level in grid.levels:
        away = [math.dist(center_of(box), center_of(target)) for box in level.boxes]
        order = sorted(range(len(away)), key=away.__getitem__)
        found += [start + anchor for anchor in order[:count]]
        start += len(away)
    return found


def atss(grid: Grid, objects: list[Box], top_k: int = 9) -> list[int]:
    boxes = [box for box, _ in grid]
    best: dict[int, tuple[float, int]] = {}
    for row, target in enumerate(objects):
        candidates = nearest(grid, target, top_k)
        overlaps = [iou(target, boxes[anchor]) for anchor in candidates]
        mean = sum(overlaps) / len(overlaps)
        squares = sum((each - mean) ** 2 for each in overlaps)
        limit = mean + math.sqrt(squares / (len(overlaps) - 1))
        for anchor, overlap in zip(candidates, overlaps, strict=True):
            if overlap >= limit and contains(target, center_of(boxes[anchor])):
                if overlap > best.get(anchor, (0.0, 0))[0]:
                    best[anchor] = (overlap, row)
    return [best[anchor][1] if anchor in best else BACKGROUND for anchor in range(len(boxes))]


@dataclass
class Predictions:
    scores: list[list[float]]
    boxes: list[Box]


def cross_entropy(scores: list[float], label: int | None) -> float:
    probabilities = [score if k == label else 1 - score for k, score in enumerate(scores)]
    return -sum(math.log(probability) for probability in probabilities)


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


def simota(
    grid: Grid, objects: list[Box], labels: list[int], predictions: Predictions
) -> list[int]:
    best: dict[int, tuple[float, int]] = {}
    for row, (target, label) in enumerate(zip(objects, labels, strict=True)):
        costs, overlaps = {}, []
        for anchor, (box, stride) in enumerate(grid):
            near = is_near(center_of(box), center_of(target), 2.5 * stride)
            if near or contains(target, center_of(box)):
                overlap = iou(target, predictions.boxes[anchor])
                overlaps.append(overlap)
                cost = cross_entropy(predictions.scores[anchor], label) - 3 * math.log(
                    overlap + 1e-8
                )
                costs[anchor] = (not near, cost)
        for anchor in sorted(costs, key=costs.__getitem__)[: dynamic_k(overlaps, 10)]:
            cost = 1e4 * costs[anchor][0] + costs[anchor][1]
            if anchor not in best or cost < best[anchor][0]:
                best[anchor] = (cost, row)
    return [best[anchor][1] if anchor in best else BACKGROUND for anchor in range(len(grid))]


def ota(grid: Grid, objects: list[Box], labels: list[int], predictions: Predictions) -> list[int]:
    """With Sinkhorn iterations in logarithms."""
    boxes = [box for box, _ in grid]
    own = [
        [
            anchor
            for anchor in nearest(grid, target, 25)
            if contains(target, center_of(boxes[anchor]))
        ]
        for target in objects
    ]
    some = sorted({anchor for anchors in own for anchor in anchors})
    costs, supply, suppliers = [], [], []
    for row, (target, label, anchors) in enumerate(zip(objects, labels, own, strict=True)):
        if anchors:
            costs.append(
                [
                    ota_cost(target, label, predictions, p) if p in anchors else math.inf
                    for p in some
                ]
            )
            supply.append(
                dynamic_k([iou(target, predictions.boxes[anchor]) for anchor in anchors], 20)
            )
            suppliers.append(row)
    costs.append([focal(predictions.scores[anchor], None) for anchor in some])
    plan = sinkhorn(costs, [*supply, len(some) - sum(supply)], 0.1, 50)
    rows = [BACKGROUND] * len(boxes)
    for column, anchor in enumerate(some):
        shares = [(log[column] - max(log), log[column]) for log in plan[:-1]]
        best = max(range(len(shares)), key=shares.__getitem__)
        if shares[best][0] > plan[-1][column]:
            rows[anchor] = suppliers[best]
    return rows


def ota_cost(target: Box, label: int, predictions: Predictions, anchor: int) -> float:
    overlap = iou(target, predictions.boxes[anchor])
    return focal(predictions.scores[anchor], label) - 1.5 * math.log(overlap + 1e-8)


def log_sum(logs: list[float]) -> float:
    highest = max(logs)
    return highest + math.log(sum(math.exp(log - highest) for log in logs))


def sinkhorn(
    costs: list[list[float]], supply: list[int], epsilon: float, iterations: int
) -> list[list[float]]:
    """Logarithms of the transport plan; starts from the lowest cost of each anchor."""
    kernel = [[-cost / epsilon for cost in row] for row in costs]
    anchors = [-max(column) for column in zip(*kernel, strict=True)]
    for _ in range(iterations):
        sums = [log_sum([k + v for k, v in zip(row, anchors, strict=True)]) for row in kernel]
        rows = [math.log(each) - total for each, total in zip(supply, sums, strict=True)]
        columns = zip(*kernel, strict=True)
        anchors = [
            -log_sum([k + u for k, u in zip(column, rows, strict=True)]) for column in columns
        ]
    return [
        [k + u + v for k, v in zip(row, anchors, strict=True)]
        for row, u in zip(kernel, rows, strict=True)
    ]
