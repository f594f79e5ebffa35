"""COCO's average precision and recall, exactly as pycocotools computes them.

Areas are those of the boxes. COCO's own files have the areas of masks, which are smaller and would
move some objects between small, medium and large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import DetectionMatches, match_coco
from mot.evaluation.detection.pairs import DetectionPairs, box_areas, mean_over_classes
from mot.evaluation.sequence_pairs import Mask, Values

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
LIMITS = (1, 10, 100)  # maxDets: detections per image and class
_EPS = np.spacing(1)


@dataclass(frozen=True, slots=True)
class CocoScores:
    """From 0 to 1; NaN without objects. All but `recall` at the largest limit."""

    ap: float  # mean over IoU 0.50 to 0.95
    ap50: float
    ap75: float
    ap_by_size: Mapping[str, float]  # small, medium, large
    recall: Mapping[int, float]  # mean over IoU, by limit
    recall_by_size: Mapping[str, float]  # small, medium, large


def coco_scores(pairs: DetectionPairs, limits: Sequence[int] = LIMITS) -> CocoScores:
    """Means over the classes that have objects."""
    classes = [each.limit_per_image(max(limits)) for each in pairs.per_class()]
    overall = [_match_size(each, None) for each in classes]
    by_size = {name: [_match_size(each, name) for each in classes] for name in AREAS}
    precision = np.array([each.precision() for each in overall]).reshape(-1, len(THRESHOLDS))
    mean = mean_over_classes
    return CocoScores(
        mean(precision),
        mean(precision[:, 0]),
        mean(precision[:, 5]),
        {name: mean([each.precision() for each in parts]) for name, parts in by_size.items()},
        {limit: mean([each.recall(limit) for each in overall]) for limit in limits},
        {name: mean([each.recall() for each in parts]) for name, parts in by_size.items()},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _MatchedSize:
    """One class, all sizes or one."""

    pairs: DetectionPairs
    matches: DetectionMatches
    num_objects: int

    def precision(self) -> Values:
        return average_precision(self.pairs.detections.scores, self.matches, self.num_objects)

    def recall(self, limit: int | None = None) -> Values:
        """(T,) with the best detections of each image; NaN without objects."""
        tp = self.matches.tp
        if limit is not None:
            tp = tp[:, self.pairs.detections.ranks() < limit]
        recall: Values = (
            tp.sum(axis=1) / self.num_objects if self.num_objects else np.full(len(tp), np.nan)
        )
        return recall


def _match_size(pairs: DetectionPairs, name: str | None) -> _MatchedSize:
    if name is None:
        return _MatchedSize(pairs, match_coco(pairs, THRESHOLDS), pairs.num_objects)
    own, found = is_in_area(pairs.gt.boxes, name), is_in_area(pairs.detections.boxes, name)
    matches = match_coco(pairs, THRESHOLDS, ~own, ~found)
    return _MatchedSize(pairs, matches, int((own & ~pairs.gt.ignored).sum()))


def average_precision(scores: Values, matches: DetectionMatches, num_objects: int) -> Values:
    """(T,) of one class: mean over 101 recalls of the best precision from each recall on."""
    if not num_objects:
        return np.full(len(matches.tp), np.nan)
    order = np.argsort(-scores, kind="stable")
    levels = zip(matches.tp[:, order], matches.fp[:, order], strict=True)
    return np.array([_interpolate(*level, num_objects).mean() for level in levels])


def _interpolate(tp: Mask, fp: Mask, num_objects: int) -> Values:
    """(101,) precisions. The best from any point on is that of a true positive."""
    at = np.flatnonzero(tp)
    found = np.arange(1.0, len(at) + 1)
    precision = found / (np.cumsum(fp)[at] + found + _EPS)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # 0: recall not reached
    return best[np.searchsorted(found / num_objects, RECALLS)]


def is_in_area(xyxy: Values, name: str) -> Mask:
    minimum, maximum = AREAS[name]
    area = box_areas(xyxy)
    inside: Mask = (area >= minimum) & (area <= maximum)
    return inside
