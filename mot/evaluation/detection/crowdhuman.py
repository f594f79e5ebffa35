"""CrowdHuman's metrics: average precision, log-average miss rate, Jaccard index.

Boxes are cut to their images, objects and detections are matched at an IoU above 0.5, and a
detection that matches nothing is left out where more than half of it lies in an ignored region.

- AP: the points (recall, precision) after each detection, pooled over the images by falling
  score, joined by straight lines; the area under them from the first point to the last. Nothing is
  interpolated, and what lies before the first point does not count.
- MR^-2: the geometric mean of the miss rates at nine rates of false positives per image (FPPI),
  evenly spaced in the logarithm from 0.01 to 1. At each it is that of the last point whose FPPI is
  not higher; 1 where there is no such point, and at least 1e-10 so that the logarithm exists.
- JI: of the detections with a score above a threshold and the objects of an image, those that form
  the one-to-one matching with the greatest sum of IoU are the pairs that agree: k of them. Both
  detections and objects without partner are left out where more than half of them lies in an
  ignored region; n and m remain. JI is the mean over the images of k / (n + m - k), 1 where there
  is nothing on either side; of the thresholds 0.0, 0.1 to 0.9 the best one's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.assignment import maximize_sum
from mot.evaluation.detection.matching import match_crowdhuman
from mot.evaluation.detection.pairs import DetectionPairs, intersections, mean
from mot.evaluation.detection.pr_curve import Curve, curve_of
from mot.evaluation.sequence_pairs import Mask, Values

IOU = 0.5
REFERENCES = np.array([0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0])  # FPPI
SCORES = (np.arange(10) / 10).astype(np.float32)  # as scores are, or 0.3 lies above 0.3
_LEAST_MISS = 1e-10


@dataclass(frozen=True, slots=True)
class CrowdScores:
    """Shares; nan where there is nothing to find."""

    ap: float
    miss_rate: float  # MR^-2; lower is better
    jaccard: float
    jaccard_threshold: float  # the score above which it is reached


def crowdhuman_scores(cut: DetectionPairs) -> CrowdScores:
    """Of boxes that are cut to their images; means over the classes that there are objects of."""
    classes = list(cut.classes())
    curves = [
        curve_of(each.found.scores, match_crowdhuman(each, IOU), each.objects) for each in classes
    ]
    jaccard = np.array([jaccard_indices(each) for each in classes]).reshape(-1, len(SCORES))
    means = jaccard.mean(axis=0) if len(jaccard) else np.full(len(SCORES), np.nan)
    best = int(means.argmax())
    return CrowdScores(
        mean([raw_area_under(curve) for curve in curves]),
        mean([log_average_miss_rate(curve, cut.records) for curve in curves]),
        float(means[best]),
        float(SCORES[best]) if len(jaccard) else float("nan"),
    )


def raw_area_under(curve: Curve) -> float:
    precision = curve.precision
    return float(np.diff(curve.recall) @ (precision[1:] + precision[:-1]) / 2)


def log_average_miss_rate(curve: Curve, records: int) -> float:
    last = np.searchsorted(curve.false / records, REFERENCES, side="right")
    missed = 1 - np.append(0.0, curve.recall)[last]
    return float(np.exp(np.log(np.maximum(missed, _LEAST_MISS)).mean()))


def jaccard_indices(cut: DetectionPairs) -> Values:
    """(10,) of one class, with the detections above each of the scores."""
    found, truth, pairs = cut.found, cut.truth, cut.pairs
    agreeing = pairs[(pairs.iou > IOU) & ~truth.ignored[pairs.truth]]
    hidden = _covered_truths(cut)
    covered = np.zeros(len(found), np.bool_)
    covered[pairs.found[truth.ignored[pairs.truth] & (pairs.cover > IOU)]] = True
    indices = []
    for score in SCORES:
        shown = found.scores > score
        here = agreeing[shown[agreeing.found]]
        here = here[maximize_sum(here.found, here.truth, here.iou)]
        has_partner, is_partner = np.zeros(len(found), np.bool_), np.zeros(len(truth), np.bool_)
        has_partner[here.found], is_partner[here.truth] = True, True
        counted = has_partner | (shown & ~covered)
        objects = is_partner | ~(truth.ignored | hidden)
        indices.append(_mean_index(cut, has_partner, counted, objects))
    return np.array(indices)


def _mean_index(cut: DetectionPairs, agreed: Mask, counted: Mask, objects: Mask) -> float:
    """Over the images."""
    common, found, truth = (
        np.bincount(records, minlength=cut.records)
        for records in (
            cut.found.records[agreed],
            cut.found.records[counted],
            cut.truth.records[objects],
        )
    )
    union = found + truth - common
    return float(np.divide(common, union, out=np.ones(cut.records), where=union > 0).mean())


def _covered_truths(cut: DetectionPairs) -> Mask:
    """Objects that lie by more than half in an ignored region."""
    truth = cut.truth
    regions = truth[truth.ignored]
    covered = np.zeros(len(truth), np.bool_)
    area = boxes.area(truth.boxes)
    for rows, _, shared in intersections(
        truth.boxes, truth.records, regions.boxes, regions.records
    ):
        covered[rows[shared > IOU * area[rows]]] = True
    return covered
