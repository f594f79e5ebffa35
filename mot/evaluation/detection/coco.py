"""COCO's average precision and recall, to the last digit what pycocotools gives.

Areas are those of the boxes. COCO's own files have areas of masks, which are smaller: with those,
some objects would change between small, medium and large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import Hits, match_coco
from mot.evaluation.detection.pairs import DetectionPairs, areas, mean
from mot.evaluation.sequence_pairs import Mask, Values

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
LIMITS = (1, 10, 100)  # detections of an image and class, the best ones
_EPS = np.spacing(1)


@dataclass(frozen=True, slots=True)
class CocoScores:
    """Shares; nan where there is nothing to find. All but `recall` with the largest limit."""

    ap: float  # mean over IoU 0.50 to 0.95
    ap50: float
    ap75: float
    ap_of: Mapping[str, float]  # small, medium, large
    recall: Mapping[int, float]  # mean over IoU, with each limit
    recall_of: Mapping[str, float]  # small, medium, large


def coco_scores(sides: DetectionPairs, limits: Sequence[int] = LIMITS) -> CocoScores:
    """Means over the classes that there are objects of."""
    counted = [each.best_of_each(max(limits)) for each in sides.classes()]
    overall = [_of_size(each, None) for each in counted]
    parts = {name: [_of_size(each, name) for each in counted] for name in AREAS}
    precision = np.array([size.precision() for size in overall]).reshape(-1, len(THRESHOLDS))
    return CocoScores(
        mean(precision),
        mean(precision[:, 0]),
        mean(precision[:, 5]),
        {name: mean([size.precision() for size in sizes]) for name, sizes in parts.items()},
        {limit: mean([size.recall(limit) for size in overall]) for limit in limits},
        {name: mean([size.recall() for size in sizes]) for name, sizes in parts.items()},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _OfSize:
    """One class, of all sizes or of one."""

    sides: DetectionPairs
    hits: Hits
    objects: int

    def precision(self) -> Values:
        return average_precision(self.sides.found.scores, self.hits, self.objects)

    def recall(self, limit: int | None = None) -> Values:
        """(T,) with the best detections of each image."""
        right = self.hits.right
        if limit is not None:
            right = right[:, self.sides.found.ranks() < limit]
        return recall_of(right, self.objects)


def _of_size(sides: DetectionPairs, name: str | None) -> _OfSize:
    if name is None:
        return _OfSize(sides, match_coco(sides, THRESHOLDS), sides.objects)
    own, found = in_area(sides.truth.boxes, name), in_area(sides.found.boxes, name)
    hits = match_coco(sides, THRESHOLDS, ~own, ~found)
    return _OfSize(sides, hits, int((own & ~sides.truth.ignored).sum()))


def average_precision(scores: Values, hits: Hits, objects: int) -> Values:
    """(T,) of one class: precision at 101 recalls, each the best from there on."""
    if not objects:
        return np.full(len(hits.right), np.nan)
    order = np.argsort(-scores, kind="stable")
    levels = zip(hits.right[:, order], hits.false[:, order], strict=True)
    return np.array([_interpolated(*level, objects).mean() for level in levels])


def _interpolated(right: Mask, false: Mask, objects: int) -> Values:
    """(101,) precisions. The best from any place on is that of a right detection."""
    at = np.flatnonzero(right)
    found = np.arange(1.0, len(at) + 1)
    precision = found / (np.cumsum(false)[at] + found + _EPS)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # 0: never so many found
    return best[np.searchsorted(found / objects, RECALLS)]


def recall_of(right: Mask, objects: int) -> Values:
    """(T,) the share of the objects that is found."""
    found: Values = right.sum(axis=1) / objects if objects else np.full(len(right), np.nan)
    return found


def in_area(corners: Values, name: str) -> Mask:
    minimum, most = AREAS[name]
    area = areas(corners)
    inside: Mask = (area >= minimum) & (area <= most)
    return inside
