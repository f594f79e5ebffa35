"""Precision and recall over the minimum score, and the best operating point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import Hits
from mot.evaluation.sequence_pairs import Mask, Values


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """(N,) each; a point for each detection that is right or false, from the highest score on."""

    scores: Values
    right: Values  # so many up to here
    false: Values
    objects: int

    @property
    def recall(self) -> Values:
        return self.right / max(self.objects, 1)

    @property
    def precision(self) -> Values:
        return self.right / (self.right + self.false)

    def ends(self) -> Mask:
        """Possible minimum scores: after the last of equal scores."""
        falls: Mask = np.diff(self.scores, append=-np.inf) < 0
        return falls


@dataclass(frozen=True, slots=True)
class Operation:
    """A detector that is used from some score on, which counts as well."""

    threshold: float
    precision: float
    recall: float
    f1: float


def curve_of(scores: Values, hits: Hits, objects: int) -> Curve:
    """At the first threshold of overlap; equal scores stay in their order."""
    order = np.argsort(-scores, kind="stable")
    right, false = hits.right[0, order], hits.false[0, order]
    counts = right | false
    return Curve(
        scores[order][counts],
        np.cumsum(right[counts], dtype=np.float64),
        np.cumsum(false[counts], dtype=np.float64),
        objects,
    )


def best_operation(curve: Curve) -> Operation:
    """Where F1 is highest; with the fewest detections of several such points."""
    if not curve.objects or not len(curve.scores):
        return Operation(float("nan"), float("nan"), 0.0 if curve.objects else float("nan"), 0.0)
    f1 = 2 * curve.right / (curve.right + curve.false + curve.objects)
    return _at(curve, int(np.where(curve.ends(), f1, -1).argmax()))


def operation_at(curve: Curve, threshold: float) -> Operation:
    """The operating point of a given minimum score."""
    count = int(np.count_nonzero(curve.scores >= threshold))
    if not count:
        return Operation(threshold, float("nan"), 0.0, 0.0)
    found = _at(curve, count - 1)
    return Operation(threshold, found.precision, found.recall, found.f1)


def _at(curve: Curve, place: int) -> Operation:
    right, false = float(curve.right[place]), float(curve.false[place])
    return Operation(
        float(curve.scores[place]),
        right / (right + false),
        right / max(curve.objects, 1),
        2 * right / (right + false + curve.objects),
    )
