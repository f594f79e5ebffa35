"""All metrics of a detector on a dataset: what the training loop asks for, and the command line.

scores = evaluate(dataset, found)      # found[i]: the detections in dataset[i]
print(scores.coco.ap50, scores.crowdhuman.miss_rate, scores.best.f1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mot.datasets.dataset import DataSet
from mot.evaluation.detection.coco import LIMITS, CocoScores, coco_scores
from mot.evaluation.detection.crowdhuman import CrowdScores, crowdhuman_scores
from mot.evaluation.detection.matching import match_every_class
from mot.evaluation.detection.pairs import DetectionPairs, clipped, put_side_by_side
from mot.evaluation.detection.pr_curve import Curve, Operation, best_operation, curve_of
from mot.evaluation.detection.voc import VocScores, voc_scores
from mot.types import Detections


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares from 0 to 1; nan where there is nothing to find."""

    records: int
    objects: int
    detections: int
    coco: CocoScores
    voc: VocScores
    crowdhuman: CrowdScores
    best: Operation  # from the score on that has the best F1, at an IoU of 0.5

    def as_dict(self) -> Mapping[str, float]:
        """By the names that people know them by."""
        coco, crowd, best = self.coco, self.crowdhuman, self.best
        return {
            "AP50": coco.ap50,
            "AP": coco.ap,
            "AP75": coco.ap75,
            **{f"AP {name}": value for name, value in coco.ap_of.items()},
            **{f"AR{limit}": value for limit, value in coco.recall.items()},
            **{f"AR {name}": value for name, value in coco.recall_of.items()},
            "VOC AP": self.voc.ap,
            "VOC07 AP": self.voc.ap07,
            "CrowdHuman AP": crowd.ap,
            "MR-2": crowd.miss_rate,
            "JI": crowd.jaccard,
            "JI threshold": crowd.jaccard_threshold,
            "F1": best.f1,
            "threshold": best.threshold,
            "precision": best.precision,
            "recall": best.recall,
            "images": self.records,
            "objects": self.objects,
            "detections": self.detections,
        }


def evaluate(
    dataset: DataSet, found: Sequence[Detections], limits: Sequence[int] = LIMITS
) -> Scores:
    """`found[i]` is what was detected in `dataset[i]`. `limits` are COCO's maxDets: how many
    detections of an image count for its recalls; for its precision the most of them."""
    return score(put_side_by_side(dataset, found), dataset, limits)


def score(sides: DetectionPairs, dataset: DataSet, limits: Sequence[int] = LIMITS) -> Scores:
    return Scores(
        sides.records,
        sides.objects,
        len(sides.found),
        coco_scores(sides, limits),
        voc_scores(sides),
        crowdhuman_scores(clipped(sides, dataset)),
        best_operation(whole_curve(sides)),
    )


def whole_curve(sides: DetectionPairs) -> Curve:
    """At an IoU of 0.5, all classes together and without a limit."""
    return curve_of(sides.found.scores, match_every_class(sides), sides.objects)
