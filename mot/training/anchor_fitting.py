"""Fits anchors to a dataset: k-means of box sizes by IoU (YOLOv2).

The distance of two sizes is 1 - IoU of boxes that share a corner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot.types import FloatArray, IntArray

Sizes = npt.NDArray[np.float64]  # (N, 2) widths and heights

_RESTARTS = 20
_MAX_ITERATIONS = 100
_SAMPLE = 2000  # boxes on which restarts are compared


class AnchorFit(NamedTuple):
    """How well anchors fit boxes."""

    mean_iou: float  # of each box with its best anchor
    recall: float  # share of the boxes with an IoU of at least 0.5 with an anchor


def fit_anchors(sizes: npt.ArrayLike, count: int = 9, seed: int = 0) -> FloatArray:
    """(count, 2) widths and heights, by area: those of the highest mean IoU of several restarts."""
    boxes = _check_sizes(sizes)
    if len(np.unique(boxes, axis=0)) < count:
        raise ValueError(f"{count} anchors need as many boxes of different sizes")
    rng = np.random.default_rng(seed)
    few = boxes if len(boxes) <= _SAMPLE else _sample(boxes, count, rng)
    fitted = (_k_means(few, _k_means_plus_plus(few, count, rng)) for _ in range(_RESTARTS))
    anchors = _k_means(boxes, max(fitted, key=lambda each: measure_fit(few, each).mean_iou))
    return anchors[np.argsort(anchors.prod(axis=1))].astype(np.float32)


def measure_fit(sizes: npt.ArrayLike, anchors: npt.ArrayLike) -> AnchorFit:
    best = size_iou(_check_sizes(sizes), np.asarray(anchors, np.float64)).max(axis=1)
    return AnchorFit(float(best.mean()), float((best >= 0.5).mean()))


def size_iou(sizes: Sizes, anchors: Sizes) -> Sizes:
    """(N, A) IoU of boxes that share a corner."""
    width, height = (
        np.minimum(side[:, None], other) for side, other in zip(sizes.T, anchors.T, strict=True)
    )
    shared: Sizes = width * height
    shared /= sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared
    return shared


def _check_sizes(sizes: npt.ArrayLike) -> Sizes:
    boxes = np.asarray(sizes, np.float64).reshape(-1, 2)
    if len(boxes) == 0 or not (np.isfinite(boxes).all() and (boxes > 0).all()):
        raise ValueError("anchors are fitted to at least one box, and to boxes with an area alone")
    return boxes


def _sample(boxes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """A random sample with at least `count` different sizes, else all boxes."""
    sample = rng.choice(boxes, _SAMPLE, replace=False)
    return sample if len(np.unique(sample, axis=0)) >= count else boxes


def _k_means_plus_plus(boxes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """Initial anchors (Arthur and Vassilvitskii, 2007): distant boxes are likelier the next one."""
    chosen = [int(rng.integers(len(boxes)))]
    distance = np.full(len(boxes), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, 1 - size_iou(boxes, boxes[chosen[-1:]])[:, 0])
        weights = np.maximum(distance, 0) ** 2
        chosen.append(int(rng.choice(len(boxes), p=weights / weights.sum())))
    return boxes[chosen]


def _k_means(boxes: Sizes, anchors: Sizes) -> Sizes:
    """Moves each anchor to the median of its nearest boxes while the mean IoU rises: with this
    distance it need not."""
    best, best_iou = anchors, -1.0
    for _ in range(_MAX_ITERATIONS):
        overlaps = size_iou(boxes, anchors)
        mean = float(overlaps.max(axis=1).mean())
        if mean <= best_iou:
            break
        best, best_iou = anchors, mean
        anchors = _medians(boxes, overlaps.argmax(axis=1), anchors)
    return best


def _medians(boxes: Sizes, nearest: IntArray, anchors: Sizes) -> Sizes:
    """Of the boxes nearest to each anchor; an anchor without any stays."""
    groups = (boxes[nearest == index] for index in range(len(anchors)))
    moved = [
        np.median(group, axis=0) if len(group) else anchor
        for group, anchor in zip(groups, anchors, strict=True)
    ]
    return np.array(moved)
