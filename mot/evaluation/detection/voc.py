"""VOC's average precision at an IoU of 0.5, boxes half-open; difficult objects are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import match_voc
from mot.evaluation.detection.pairs import DetectionPairs, mean
from mot.evaluation.detection.pr_curve import Curve, curve_of


@dataclass(frozen=True, slots=True)
class VocScores:
    """Shares; nan where there is nothing to find."""

    ap: float  # since 2010: the area under the curve, each precision the best from there on
    ap07: float  # until 2009: the mean of the best precisions at 11 recalls and beyond


def voc_scores(sides: DetectionPairs) -> VocScores:
    """Means over the classes that there are objects of."""
    curves = [
        curve_of(each.found.scores, match_voc(each), each.objects) for each in sides.classes()
    ]
    return VocScores(
        mean([area_under(curve) for curve in curves]),
        mean([at_eleven_recalls(curve) for curve in curves]),
    )


def area_under(curve: Curve) -> float:
    steps = np.diff(curve.recall, prepend=0.0)
    return float(steps @ _best_from_here(curve))


def at_eleven_recalls(curve: Curve) -> float:
    best = np.append(_best_from_here(curve), 0.0)
    # Shares of integers are compared as such: 0.3 of 10 objects is 3 of them.
    needed = np.ceil(np.arange(11) * curve.objects / 10 - 1e-9)
    return float(best[np.searchsorted(curve.right, needed)].mean())


def _best_from_here(curve: Curve) -> np.ndarray:
    return np.maximum.accumulate(curve.precision[::-1])[::-1]
