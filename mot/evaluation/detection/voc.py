"""VOC's average precision at an IoU of 0.5, with half-open boxes; difficult objects are ignored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import match_voc
from mot.evaluation.detection.pairs import DetectionPairs, mean_over_classes
from mot.evaluation.detection.pr_curve import PrecisionRecallCurve, compute_curve
from mot.evaluation.sequence_pairs import Values


@dataclass(frozen=True, slots=True)
class VocScores:
    """From 0 to 1; NaN without objects."""

    ap: float  # since 2010: the area under the best precision from each recall on
    ap07: float  # until 2009: the mean of the best precision from each of 11 recalls on


def voc_scores(pairs: DetectionPairs) -> VocScores:
    """Means over the classes that have objects."""
    curves = [
        compute_curve(each.detections.scores, match_voc(each), each.num_objects)
        for each in pairs.per_class()
    ]
    return VocScores(
        mean_over_classes([_area_under(curve) for curve in curves]),
        mean_over_classes([_eleven_point_mean(curve) for curve in curves]),
    )


def _area_under(curve: PrecisionRecallCurve) -> float:
    steps = np.diff(curve.recall, prepend=0.0)
    return float(steps @ _best_from_here(curve))


def _eleven_point_mean(curve: PrecisionRecallCurve) -> float:
    best = np.append(_best_from_here(curve), 0.0)
    # Counts are compared instead of fractions: a recall of 0.3 of 10 objects is 3 of them.
    needed = np.ceil(np.arange(11) * curve.num_objects / 10 - 1e-9)
    return float(best[np.searchsorted(curve.tp, needed)].mean())


def _best_from_here(curve: PrecisionRecallCurve) -> Values:
    best: Values = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return best
