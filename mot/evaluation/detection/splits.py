"""Scores by object size and visibility. In a split, all other objects are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.coco import AREAS, average_precision, is_in_area
from mot.evaluation.detection.crowdhuman import log_average_miss_rate
from mot.evaluation.detection.matching import match_coco
from mot.evaluation.detection.pairs import DetectionPairs, mean_over_classes
from mot.evaluation.detection.pr_curve import OperatingPoint, compute_curve
from mot.evaluation.sequence_pairs import Mask, Values

_INF = float("inf")


@dataclass(frozen=True, slots=True)
class Split:
    """Ranges include their start, not their end; areas both, as in COCO."""

    name: str
    area: str = ""  # one of COCO's
    heights: tuple[float, float] = (0.0, _INF)  # pixels
    visibility: tuple[float, float] = (0.0, _INF)  # visible fraction

    def find_objects(self, pairs: DetectionPairs) -> Mask:
        """(G,) the objects of the split."""
        gt = pairs.gt
        low, high = self.visibility
        is_visible: Mask = (gt.visibility >= low) & (gt.visibility < high)
        return is_visible & self._has_size(gt.boxes)

    def find_detections(self, pairs: DetectionPairs) -> Mask:
        """(D,) the detections that can be false positives of the split."""
        return self._has_size(pairs.detections.boxes)

    def _has_size(self, xyxy: Values) -> Mask:
        height = xyxy[:, 3] - xyxy[:, 1]
        inside: Mask = (height >= self.heights[0]) & (height < self.heights[1])
        return inside & is_in_area(xyxy, self.area) if self.area else inside


BY_SIZE = (
    *(Split(f"area {name}", area=name) for name in AREAS),
    Split("height < 32", heights=(0, 32)),
    Split("height 32-64", heights=(32, 64)),
    Split("height 64-128", heights=(64, 128)),
    Split("height >= 128", heights=(128, _INF)),
)
BY_OCCLUSION = (
    Split("bare: visible >= .9", visibility=(0.9, _INF)),
    Split("partial: .65-.9", visibility=(0.65, 0.9)),
    Split("heavy: .2-.65", visibility=(0.2, 0.65)),
    # The splits of CityPersons.
    Split("reasonable", heights=(50, _INF), visibility=(0.65, _INF)),
    Split("reasonable small", heights=(50, 75), visibility=(0.65, _INF)),
    Split("reasonable heavy", heights=(50, _INF), visibility=(0.2, 0.65)),
    Split("reasonable all", heights=(20, _INF), visibility=(0.2, _INF)),
)


@dataclass(frozen=True, slots=True)
class SplitScores:
    """From 0 to 1, at an IoU of 0.5; NaN if the split has no objects."""

    objects: int
    ap50: float
    miss_rate: float  # MR^-2; all that is ignored is a region
    recall: float  # at a minimum score


def split_scores(pairs: DetectionPairs, best: OperatingPoint) -> Iterator[tuple[str, SplitScores]]:
    """Names and scores by size, and by occlusion if it is annotated. Means over the classes."""
    has_occlusion = bool((pairs.gt.visibility < 1).any())
    for split in (*BY_SIZE, *(BY_OCCLUSION if has_occlusion else ())):
        scored = [_score_class(each, split, best.threshold) for each in pairs.per_class()]
        rates = np.array([part[1:] for part in scored]).reshape(-1, 3).T
        count = sum(part[0] for part in scored)
        yield split.name, SplitScores(count, *(mean_over_classes(rate) for rate in rates))


def _score_class(
    pairs: DetectionPairs, split: Split, threshold: float
) -> tuple[int, float, float, float]:
    """The fields of SplitScores of one class."""
    ignored_gt, ignored_detections = ~split.find_objects(pairs), ~split.find_detections(pairs)
    count = int((~(ignored_gt | pairs.gt.ignored)).sum())
    if not count:
        return (0, *(float("nan"),) * 3)
    scores = pairs.detections.scores
    matches = match_coco(pairs, [0.5], ignored_gt, ignored_detections)
    found = matches.tp[0] & (scores >= threshold)
    return (
        count,
        float(average_precision(scores, matches, count)[0]),
        log_average_miss_rate(compute_curve(scores, matches, count), pairs.num_images),
        float(found.sum() / count),
    )
