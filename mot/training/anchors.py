"""Anchors that fit a data set: k-means of the sizes of boxes, by their overlap (YOLOv2).

Boxes are as near as they overlap when their corners lie on each other: the distance is 1 - IoU.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot.types import FloatArray, IntArray

Sizes = npt.NDArray[np.float64]  # (N, 2) widths and heights

_STARTS = 20
_MOST_ROUNDS = 100
_SAMPLE = 2000  # boxes that starts are compared on


class Fit(NamedTuple):
    """How well anchors suit boxes."""

    mean_iou: float  # of each box with its best anchor
    recall: float  # the share of boxes that overlap an anchor by half or more


def fit_anchors(sizes: npt.ArrayLike, count: int = 9, seed: int = 0) -> FloatArray:
    """(count, 2) widths and heights, by area: of several starts, those of the highest mean IoU."""
    boxes = _sound(sizes)
    if len(np.unique(boxes, axis=0)) < count:
        raise ValueError(f"{count} anchors need as many boxes of different sizes")
    rng = np.random.default_rng(seed)
    few = boxes if len(boxes) <= _SAMPLE else _drawn(boxes, count, rng)
    fitted = (_moved(few, _spread(few, count, rng)) for _ in range(_STARTS))
    anchors = _moved(boxes, max(fitted, key=lambda found: fit_of(few, found).mean_iou))
    return anchors[np.argsort(anchors.prod(axis=1))].astype(np.float32)


def fit_of(sizes: npt.ArrayLike, anchors: npt.ArrayLike) -> Fit:
    best = size_iou(_sound(sizes), np.asarray(anchors, np.float64)).max(axis=1)
    return Fit(float(best.mean()), float((best >= 0.5).mean()))


def size_iou(sizes: Sizes, anchors: Sizes) -> Sizes:
    """(N, A) IoU of boxes that share a corner."""
    width, height = (
        np.minimum(side[:, None], other) for side, other in zip(sizes.T, anchors.T, strict=True)
    )
    shared: Sizes = width * height
    shared /= sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared
    return shared


def _sound(sizes: npt.ArrayLike) -> Sizes:
    boxes = np.asarray(sizes, np.float64).reshape(-1, 2)
    if len(boxes) == 0 or not (np.isfinite(boxes).all() and (boxes > 0).all()):
        raise ValueError("anchors are fitted to boxes with an area, of which there must be some")
    return boxes


def _drawn(boxes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """A sample with as many different sizes as there are anchors."""
    sample = rng.choice(boxes, _SAMPLE, replace=False)
    return sample if len(np.unique(sample, axis=0)) >= count else boxes


def _spread(boxes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """k-means++ (Arthur and Vassilvitskii, 2007): far boxes are likelier to be the next start."""
    chosen = [int(rng.integers(len(boxes)))]
    distance = np.full(len(boxes), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, 1 - size_iou(boxes, boxes[chosen[-1:]])[:, 0])
        weights = np.maximum(distance, 0) ** 2
        chosen.append(int(rng.choice(len(boxes), p=weights / weights.sum())))
    return boxes[chosen]


def _moved(boxes: Sizes, anchors: Sizes) -> Sizes:
    """Each to the median of those nearest to it, while that helps: it need not, with this
    distance."""
    best, best_iou = anchors, -1.0
    for _ in range(_MOST_ROUNDS):
        overlaps = size_iou(boxes, anchors)
        mean = float(overlaps.max(axis=1).mean())
        if mean <= best_iou:
            break
        best, best_iou = anchors, mean
        anchors = _medians(boxes, overlaps.argmax(axis=1), anchors)
    return best


def _medians(boxes: Sizes, nearest: IntArray, anchors: Sizes) -> Sizes:
    """An anchor that is nearest to none stays."""
    groups: Iterable[Sizes] = (boxes[nearest == index] for index in range(len(anchors)))
    moved = [
        np.median(group, axis=0) if len(group) else anchor
        for group, anchor in zip(groups, anchors, strict=True)
    ]
    return np.array(moved)
