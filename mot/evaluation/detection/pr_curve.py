"""Precision and recall at all minimum scores, and the best operating point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import DetectionMatches
from mot.evaluation.sequence_pairs import Values


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """(N,) each: one point per true or false positive, by falling score."""

    scores: Values
    tp: Values  # number up to here
    fp: Values  # number up to here
    num_objects: int

    @property
    def recall(self) -> Values:
        return self.tp / max(self.num_objects, 1)

    @property
    def precision(self) -> Values:
        return self.tp / (self.tp + self.fp)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A detector at a minimum score."""

    threshold: float  # detections of this score are included
    precision: float
    recall: float
    f1: float


def compute_curve(
    scores: Values, matches: DetectionMatches, num_objects: int
) -> PrecisionRecallCurve:
    """At the first IoU threshold; equal scores stay in their order."""
    order = np.argsort(-scores, kind="stable")
    tp, fp = matches.tp[0, order], matches.fp[0, order]
    counts = tp | fp
    return PrecisionRecallCurve(
        scores[order][counts],
        np.cumsum(tp[counts], dtype=np.float64),
        np.cumsum(fp[counts], dtype=np.float64),
        num_objects,
    )


def find_best_f1(curve: PrecisionRecallCurve) -> OperatingPoint:
    """The point of the highest F1; of equals that with the fewest detections."""
    nan, count = float("nan"), curve.num_objects
    if not count or not len(curve.scores):
        return OperatingPoint(nan, nan, 0.0 if count else nan, 0.0)
    f1 = 2 * curve.tp / (curve.tp + curve.fp + count)
    is_last_of_equals = np.diff(curve.scores, append=-np.inf) < 0  # possible minimum scores
    best = int(np.where(is_last_of_equals, f1, -1).argmax())
    tp, fp = float(curve.tp[best]), float(curve.fp[best])
    return OperatingPoint(
        float(curve.scores[best]),
        tp / (tp + fp),
        tp / count,
        2 * tp / (tp + fp + count),
    )
