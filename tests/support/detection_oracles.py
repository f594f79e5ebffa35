"""Random pictures with detections, and plain slow versions of the metrics of detection."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.types import Detections

SIZE = (120, 90)


@dataclass
class World:
    dataset: DataSet
    found: list[Detections]


def random_world(seed: int, pictures: int = 12, classes: int = 1, grid: float = 4.0) -> World:
    """Boxes on a grid, many of them beyond the edges; scores that tie; some pictures without
    objects, without detections, or without both. Pictures are not in the order of their numbers."""
    chance = np.random.default_rng(seed)
    numbers = chance.permutation(pictures) + 1
    told, found = [], []
    for place, number in enumerate(numbers.tolist()):
        objects = 0 if place % 5 == 1 else int(chance.integers(1, 9))
        annotations = _annotations(chance, objects, classes, grid)
        told.append(ImageRecord(Path(f"{number}.jpg"), str(number), number, SIZE, annotations))
        found.append(_found(chance, annotations, 0 if place % 6 == 1 else 14, classes, grid))
    return World(DataSet([f"class {label}" for label in range(classes)], told), found)


def _boxes(chance: np.random.Generator, count: int, grid: float) -> np.ndarray:
    corner = chance.uniform(-20, SIZE, (count, 2))
    size = np.exp(chance.uniform(math.log(8), math.log(70), (count, 2)))
    boxes = np.concatenate([corner, corner + size], axis=1)
    return np.round(boxes / grid) * grid if grid else boxes


def _annotations(chance: np.random.Generator, count: int, classes: int, grid: float) -> Annotations:
    boxes = _boxes(chance, count, grid)
    visible = boxes.copy()
    visible[:, 3] -= (boxes[:, 3] - boxes[:, 1]) * chance.choice([0, 0.05, 0.2, 0.6], count)
    ignored = chance.random(count) < 0.25
    return Annotations.of(boxes, chance.integers(0, classes, count), ignored, visible)


def _found(
    chance: np.random.Generator, told: Annotations, count: int, classes: int, grid: float
) -> Detections:
    """Half of them around objects, some equal to them, others anywhere."""
    boxes = _boxes(chance, count, grid)
    labels = chance.integers(0, classes, count)
    for row in range(count if len(told) else 0):
        if chance.random() < 0.6:
            source = int(chance.integers(len(told)))
            moved = told.boxes[source] + chance.choice([0, 0, 0, 4], 4) * chance.choice([-1, 1], 4)
            boxes[row] = np.r_[moved[:2], np.maximum(moved[2:], moved[:2])]
            labels[row] = told.labels[source] if chance.random() < 0.8 else labels[row]
    return Detections.from_boxes(boxes, chance.integers(1, 20, count) / 20, labels)


# pycocotools


def pycocotools_eval(
    world: World, limits: Sequence[int], ignored: Sequence[bool] | None = None, areas: object = None
):
    """What is ignored is a crowd; `ignored` are further annotations, which its own code cannot be
    told of."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class WithIgnored(COCOeval):
        def _prepare(self) -> None:
            super()._prepare()
            for truths in self._gts.values():
                for truth in truths:
                    truth["ignore"] = truth["iscrowd"] or truth["left_out"]

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _as_coco(world.dataset, ignored)
        truth.createIndex()
        rows = _as_results(world)
        scorer = WithIgnored(truth, truth.loadRes(rows), "bbox")
        scorer.params.maxDets = list(limits)
        if areas:
            scorer.params.areaRng = areas
            scorer.params.areaRngLbl = ["some"]
        scorer.evaluate()
        scorer.accumulate()
    return scorer


def _xywh(box: np.ndarray) -> list[float]:
    left, top, right, bottom = box.astype(np.float64).tolist()
    return [left, top, right - left, bottom - top]


def _as_coco(dataset: DataSet, ignored: Sequence[bool] | None) -> dict:
    annotations = []
    for picture in dataset:
        told = picture.annotations
        for box, label, crowd in zip(told.boxes, told.labels, told.ignored, strict=True):
            xywh = _xywh(box)
            row = len(annotations)
            annotations.append(
                {
                    "id": row + 1,
                    "image_id": picture.number,
                    "category_id": int(label) + 1,
                    "bbox": xywh,
                    "area": xywh[2] * xywh[3],
                    "iscrowd": int(crowd),
                    "left_out": bool(ignored is not None and ignored[row]),
                }
            )
    return {
        "info": {},
        "images": [{"id": picture.number} for picture in dataset],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(dataset.names, 1)],
    }


def _as_results(world: World) -> list[dict]:
    return [
        {
            "image_id": picture.number,
            "category_id": int(label) + 1,
            "bbox": _xywh(box),
            "score": float(score),
        }
        for picture, found in zip(world.dataset, world.found, strict=True)
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
    ]


# Plain versions of one class


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def size(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    shared = overlap(a, b)
    return shared / (size(a) + size(b) - shared) if shared else 0.0


def cover(a: Sequence[float], b: Sequence[float]) -> float:
    return overlap(a, b) / size(a) if size(a) else 0.0


def _cut(box: Sequence[float], least: float, size: tuple[float, float]) -> list[float]:
    return [min(max(side, least), most) for side, most in zip(box, [*size, *size], strict=True)]


@dataclass
class Plain:
    """A picture, its boxes cut to it; detections by falling score."""

    objects: list[list[float]]
    regions: list[list[float]]
    found: list[tuple[float, list[float]]]


def plain_pictures(world: World, cut: bool = True) -> Iterator[Plain]:
    numbered = zip(world.dataset, world.found, strict=True)
    for picture, found in sorted(numbered, key=lambda each: each[0].number):
        told = picture.annotations
        size = picture.size if cut else (math.inf, math.inf)
        least = 0.0 if cut else -math.inf
        boxes = [_cut(box.tolist(), least, size) for box in told.boxes]
        scored = [
            (float(score), _cut(box.tolist(), least, size))
            for score, box in zip(found.scores, found.boxes, strict=True)
        ]
        yield Plain(
            [box for box, ignored in zip(boxes, told.ignored, strict=True) if not ignored],
            [box for box, ignored in zip(boxes, told.ignored, strict=True) if ignored],
            sorted(scored, key=lambda each: -each[0]),
        )


def plain_crowdhuman_points(world: World) -> tuple[list[tuple[float, bool]], int, int]:
    """Each detection that is right or false, by falling score; objects; pictures."""
    points, objects, pictures = [], 0, 0
    for picture in plain_pictures(world):
        pictures, objects = pictures + 1, objects + len(picture.objects)
        free = list(range(len(picture.objects)))
        for score, box in picture.found:
            best, most = None, 0.5
            for index in free:
                if iou(box, picture.objects[index]) > most:
                    best, most = index, iou(box, picture.objects[index])
            if best is not None:
                free.remove(best)
                points.append((score, True))
            elif not any(cover(box, region) > 0.5 for region in picture.regions):
                points.append((score, False))
    points.sort(key=lambda point: -point[0])
    return points, objects, pictures


def plain_crowdhuman(world: World) -> tuple[float, float]:
    """AP and MR^-2."""
    points, objects, pictures = plain_crowdhuman_points(world)
    right = false = 0
    curve = []
    for _, is_right in points:
        right, false = right + is_right, false + (not is_right)
        curve.append((right / objects, right / (right + false), false / pictures))
    area = 0.0
    for (recall, precision, _), (further, other, _) in pairwise(curve):
        area += (further - recall) * (precision + other) / 2
    logs = []
    for reference in (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0):
        reached = [recall for recall, _, fppi in curve if fppi <= reference]
        logs.append(math.log(max(1e-10, 1 - reached[-1] if reached else 1.0)))
    return area, math.exp(sum(logs) / len(logs))


def best_matching(
    found: list[list[float]], objects: list[list[float]]
) -> tuple[float, list[tuple[int, int]]]:
    """Of all one-to-one choices of pairs with an IoU above 0.5 that with the greatest sum."""
    if not found:
        return 0.0, []
    index = len(found) - 1
    best = best_matching(found[:-1], objects)
    for place, other in enumerate(objects):
        value = iou(found[-1], other)
        if value > 0.5:
            rest = objects[:place] + [[0.0] * 4] + objects[place + 1 :]
            total, pairs = best_matching(found[:-1], rest)
            if total + value > best[0]:
                best = total + value, [*pairs, (index, place)]
    return best


def plain_jaccard(world: World, threshold: float) -> float:
    total, pictures = 0.0, 0
    for picture in plain_pictures(world):
        pictures += 1
        found = [box for score, box in picture.found if score > threshold]
        _, pairs = best_matching(found, picture.objects)
        matched, taken = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
        n = sum(
            index in matched or not any(cover(box, region) > 0.5 for region in picture.regions)
            for index, box in enumerate(found)
        )
        m = sum(
            index in taken or not any(cover(box, region) > 0.5 for region in picture.regions)
            for index, box in enumerate(picture.objects)
        )
        total += len(pairs) / (n + m - len(pairs)) if n + m else 1.0
    return total / pictures


def plain_voc(world: World) -> tuple[float, float]:
    """AP since 2010, and until 2009."""
    points, objects = [], 0
    for picture in plain_pictures(world, cut=False):
        objects += len(picture.objects)
        taken = set()
        for score, box in picture.found:
            told = [*picture.objects, *picture.regions]
            overlaps = [iou(box, other) for other in told]
            most = max(overlaps, default=0.0)
            index = overlaps.index(most) if told else -1
            if most < 0.5:
                points.append((score, False))
            elif index < len(picture.objects):
                points.append((score, index not in taken))
                taken.add(index)
    points.sort(key=lambda point: -point[0])
    right, curve = 0, []
    for count, (_, is_right) in enumerate(points, 1):
        right += is_right
        curve.append((right, right / count))
    area = sum(max(p for r, p in curve if r >= wanted) / objects for wanted in range(1, right + 1))
    eleven = [
        max((p for r, p in curve if 10 * r >= tenth * objects), default=0.0) for tenth in range(11)
    ]
    return area, sum(eleven) / 11
