"""CrowdHuman's metrics: average precision, log-average miss rate, Jaccard index.

Boxes are clipped to their images. Objects and detections are matched at an IoU above 0.5. An
unmatched detection does not count if more than half of it is in an ignored region.

- AP: the area under the points (recall, precision) after each detection of all images, by falling
  score, joined by straight lines from the first point to the last. Nothing is interpolated, and
  the part before the first point does not count.
- MR^-2: the geometric mean of the miss rates at nine rates of false positives per image (FPPI),
  evenly spaced in the logarithm from 0.01 to 1. At each it is that of the last point of at most
  this FPPI, 1 without such a point, and at least 1e-10 so that the logarithm exists.
- JI: objects of an image and detections above a score are matched one to one at an IoU above 0.5
  with the greatest sum of IoU: k pairs. Of both, unmatched ones do not count if more than half of
  them is in an ignored region; n and m remain. JI is the mean over images of k / (n + m - k), 1
  without any of both; the best one at the scores 0.0, 0.1 to 0.9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot import boxes
from mot.evaluation.assignment import maximize_sum
from mot.evaluation.detection.matching import match_crowdhuman
from mot.evaluation.detection.pairs import DetectionPairs, find_intersections, mean_over_classes
from mot.evaluation.detection.pr_curve import PrecisionRecallCurve, compute_curve
from mot.evaluation.sequence_pairs import Mask, Values

IOU = 0.5
REFERENCES = np.array([0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0])  # FPPI
SCORES = (np.arange(10) / 10).astype(np.float32)  # float32 as scores are, so that 0.3 equals 0.3
_MIN_MISS_RATE = 1e-10


@dataclass(frozen=True, slots=True)
class CrowdHumanScores:
    """From 0 to 1; NaN without objects."""

    ap: float
    miss_rate: float  # MR^-2; lower is better
    jaccard: float
    jaccard_threshold: float  # the score above which it is reached


def crowdhuman_scores(clipped: DetectionPairs) -> CrowdHumanScores:
    """Means over the classes that have objects; boxes must be clipped to their images."""
    classes = list(clipped.per_class())
    curves = [
        compute_curve(each.detections.scores, match_crowdhuman(each, IOU), each.num_objects)
        for each in classes
    ]
    jaccard = np.array([jaccard_indices(each) for each in classes]).reshape(-1, len(SCORES))
    means = jaccard.mean(axis=0) if len(jaccard) else np.full(len(SCORES), np.nan)
    best = int(means.argmax())
    return CrowdHumanScores(
        mean_over_classes([_raw_area_under(curve) for curve in curves]),
        mean_over_classes([log_average_miss_rate(curve, clipped.num_images) for curve in curves]),
        float(means[best]),
        float(SCORES[best]) if len(jaccard) else float("nan"),
    )


def _raw_area_under(curve: PrecisionRecallCurve) -> float:
    precision = curve.precision
    return float(np.diff(curve.recall) @ (precision[1:] + precision[:-1]) / 2)


def log_average_miss_rate(curve: PrecisionRecallCurve, num_images: int) -> float:
    last = np.searchsorted(curve.fp / num_images, REFERENCES, side="right")
    missed = 1 - np.append(0.0, curve.recall)[last]
    return float(np.exp(np.log(np.maximum(missed, _MIN_MISS_RATE)).mean()))


def jaccard_indices(clipped: DetectionPairs) -> Values:
    """(10,) of one class, with the detections above each of SCORES."""
    detections, gt, pairs = clipped.detections, clipped.gt, clipped.pairs
    candidates = pairs[(pairs.iou > IOU) & ~gt.ignored[pairs.gt]]
    not_counted = gt.ignored | _find_covered(clipped)
    covered = np.zeros(len(detections), np.bool_)
    covered[pairs.detection[gt.ignored[pairs.gt] & (pairs.coverage > IOU)]] = True
    indices = []
    for score in SCORES:
        shown = detections.scores > score
        chosen = candidates[shown[candidates.detection]]
        chosen = chosen[maximize_sum(chosen.detection, chosen.gt, chosen.iou)]
        is_matched = np.zeros(len(detections), np.bool_)
        is_matched[chosen.detection] = True
        is_found = np.zeros(len(gt), np.bool_)
        is_found[chosen.gt] = True
        counted = is_matched | (shown & ~covered)
        indices.append(_mean_index(clipped, is_matched, counted, is_found | ~not_counted))
    return np.array(indices)


def _mean_index(clipped: DetectionPairs, matched: Mask, counted: Mask, objects: Mask) -> float:
    """Mean over images."""
    detections = clipped.detections
    common, found, gt = (
        np.bincount(images, minlength=clipped.num_images)
        for images in (
            detections.images[matched],
            detections.images[counted],
            clipped.gt.images[objects],
        )
    )
    union = found + gt - common
    ones = np.ones(clipped.num_images)
    return float(np.divide(common, union, out=ones, where=union > 0).mean())


def _find_covered(clipped: DetectionPairs) -> Mask:
    """(G,) whether more than half of a box is in an ignored region."""
    gt = clipped.gt
    regions = gt[gt.ignored]
    covered = np.zeros(len(gt), np.bool_)
    area = boxes.area(gt.boxes)
    for rows, _, shared in find_intersections(gt.boxes, gt.images, regions.boxes, regions.images):
        covered[rows[shared > IOU * area[rows]]] = True
    return covered
