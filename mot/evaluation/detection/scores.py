"""All metrics of a detector on a dataset.

scores = evaluate_detections(dataset, found)  # found[i]: detections of dataset[i]
print(scores.coco.ap50, scores.crowdhuman.miss_rate, scores.best.f1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mot.datasets.dataset import Dataset
from mot.evaluation.detection.coco import LIMITS, CocoScores, coco_scores
from mot.evaluation.detection.crowdhuman import CrowdHumanScores, crowdhuman_scores
from mot.evaluation.detection.matching import match_all_classes
from mot.evaluation.detection.pairs import DetectionPairs, clip_to_images, pair_detections
from mot.evaluation.detection.pr_curve import (
    OperatingPoint,
    PrecisionRecallCurve,
    compute_curve,
    find_best_f1,
)
from mot.evaluation.detection.voc import VocScores, voc_scores
from mot.types import Detections


@dataclass(frozen=True, slots=True)
class DetectionScores:
    """From 0 to 1; NaN without objects."""

    images: int
    objects: int
    detections: int
    coco: CocoScores
    voc: VocScores
    crowdhuman: CrowdHumanScores
    best: OperatingPoint  # of the highest F1 at an IoU of 0.5

    def as_dict(self) -> Mapping[str, float]:
        """By their usual names."""
        coco, crowd, best = self.coco, self.crowdhuman, self.best
        return {
            "AP50": coco.ap50,
            "AP": coco.ap,
            "AP75": coco.ap75,
            **{f"AP {name}": value for name, value in coco.ap_by_size.items()},
            **{f"AR{limit}": value for limit, value in coco.recall.items()},
            **{f"AR {name}": value for name, value in coco.recall_by_size.items()},
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
            "images": self.images,
            "objects": self.objects,
            "detections": self.detections,
        }


def evaluate_detections(
    dataset: Dataset, found: Sequence[Detections], limits: Sequence[int] = LIMITS
) -> DetectionScores:
    """`found[i]` are the detections of `dataset[i]`. `limits`: COCO's maxDets; recalls are computed
    at each of them, everything else of COCO at the largest."""
    return score_pairs(pair_detections(dataset, found), dataset, limits)


def score_pairs(
    pairs: DetectionPairs, dataset: Dataset, limits: Sequence[int] = LIMITS
) -> DetectionScores:
    return DetectionScores(
        pairs.num_images,
        pairs.num_objects,
        len(pairs.detections),
        coco_scores(pairs, limits),
        voc_scores(pairs),
        crowdhuman_scores(clip_to_images(pairs, dataset)),
        find_best_f1(overall_curve(pairs)),
    )


def overall_curve(pairs: DetectionPairs) -> PrecisionRecallCurve:
    """At an IoU of 0.5, of all classes together and without a limit per image."""
    return compute_curve(pairs.detections.scores, match_all_classes(pairs), pairs.num_objects)
