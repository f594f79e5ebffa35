"""Objects by how large they are and how much of them is seen. In a split all others are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.coco import AREAS, average_precision, in_area
from mot.evaluation.detection.crowdhuman import log_average_miss_rate
from mot.evaluation.detection.matching import match_coco
from mot.evaluation.detection.pairs import DetectionPairs, mean
from mot.evaluation.detection.pr_curve import Operation, curve_of
from mot.evaluation.sequence_pairs import Mask, Values

_INF = float("inf")


@dataclass(frozen=True, slots=True)
class Split:
    """Ranges hold their beginning, not their end; but areas both, as COCO has them."""

    name: str
    area: str = ""  # one of COCO's
    heights: tuple[float, float] = (0.0, _INF)  # pixels
    shares: tuple[float, float] = (0.0, _INF)  # of the box that is seen

    def objects(self, sides: DetectionPairs) -> Mask:
        truth = sides.truth
        minimum, end = self.shares
        seen: Mask = (truth.shares >= minimum) & (truth.shares < end)
        return seen & self._of_size(truth.boxes)

    def detections(self, sides: DetectionPairs) -> Mask:
        """Of which one expects an object of the split: no other is false here."""
        return self._of_size(sides.found.boxes)

    def _of_size(self, corners: Values) -> Mask:
        height = corners[:, 3] - corners[:, 1]
        inside: Mask = (height >= self.heights[0]) & (height < self.heights[1])
        return inside & in_area(corners, self.area) if self.area else inside


BY_SIZE = (
    *(Split(f"area {name}", area=name) for name in AREAS),
    Split("height < 32", heights=(0, 32)),
    Split("height 32-64", heights=(32, 64)),
    Split("height 64-128", heights=(64, 128)),
    Split("height >= 128", heights=(128, _INF)),
)
BY_OCCLUSION = (
    Split("bare: seen >= .9", shares=(0.9, _INF)),
    Split("partial: .65-.9", shares=(0.65, 0.9)),
    Split("heavy: .2-.65", shares=(0.2, 0.65)),
    Split("reasonable", heights=(50, _INF), shares=(0.65, _INF)),  # this and the next: CityPersons'
    Split("reasonable small", heights=(50, 75), shares=(0.65, _INF)),
    Split("reasonable heavy", heights=(50, _INF), shares=(0.2, 0.65)),
    Split("reasonable all", heights=(20, _INF), shares=(0.2, _INF)),
)


@dataclass(frozen=True, slots=True)
class SplitScores:
    """Shares, at an IoU of 0.5; nan where the split is empty."""

    objects: int
    ap50: float
    miss_rate: float  # MR^-2, whatever is ignored being a region
    recall: float  # of the detections from a given score on


def split_scores(sides: DetectionPairs, best: Operation) -> Iterator[tuple[str, SplitScores]]:
    """By size; and by occlusion where it is annotated. Means over the classes."""
    tells_occlusion = bool((sides.truth.shares < 1).any())
    for split in (*BY_SIZE, *(BY_OCCLUSION if tells_occlusion else ())):
        scored = [_score(each, split, best.threshold) for each in sides.classes()]
        rates = np.array([part[1:] for part in scored]).reshape(-1, 3).T
        count = sum(part[0] for part in scored)
        yield split.name, SplitScores(count, *(mean(rate) for rate in rates))


def _score(
    sides: DetectionPairs, split: Split, threshold: float
) -> tuple[int, float, float, float]:
    """Of one class."""
    aside, strange = ~split.objects(sides), ~split.detections(sides)
    counts = ~(aside | sides.truth.ignored)
    objects = int(counts.sum())
    if not objects:
        return (0, *(float("nan"),) * 3)
    scores = sides.found.scores
    hits = match_coco(sides, [0.5], aside, strange)
    shown = hits.right[0] & (scores >= threshold)
    return (
        objects,
        float(average_precision(scores, hits, objects)[0]),
        log_average_miss_rate(curve_of(scores, hits, objects), sides.records),
        float(shown.sum() / objects),
    )
