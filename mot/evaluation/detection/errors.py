"""The kinds of errors of a detector at a minimum score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import match_all_classes
from mot.evaluation.detection.pairs import MIN_IOU, DetectionPairs
from mot.evaluation.sequence_pairs import Mask
from mot.types import IntArray

IOU = 0.5
# The kind of a detection. If several fit a false positive, it is the first of them.
BELOW_THRESHOLD, TRUE_POSITIVE, IGNORED = -1, 0, 1
DUPLICATE, CLASSIFICATION, LOCALIZATION, BACKGROUND = 2, 3, 4, 5
KIND_NAMES = {
    TRUE_POSITIVE: "true positives",
    IGNORED: "ignored",
    DUPLICATE: "duplicate",  # IoU >= 0.5 with an object that another detection is matched to
    CLASSIFICATION: "wrong class",  # IoU >= 0.5 with an object of another class
    LOCALIZATION: "localization",  # IoU 0.1 to 0.5 with an object that is missed
    BACKGROUND: "background",
}


@dataclass(frozen=True, slots=True, eq=False)
class DetectionErrors:
    threshold: float
    kinds: IntArray  # (D,) of the detections
    missed: Mask  # (G,)

    def counts(self) -> Mapping[str, int]:
        """Number of detections of each kind, and of missed objects."""
        found = {name: int((self.kinds == kind).sum()) for kind, name in KIND_NAMES.items()}
        return {**found, "missed": int(self.missed.sum())}

    def count_per_image(self, pairs: DetectionPairs) -> IntArray:
        """(images,) number of missed objects and false positives."""
        images = [pairs.detections.images[self.kinds >= DUPLICATE], pairs.gt.images[self.missed]]
        return np.bincount(np.concatenate(images), minlength=pairs.num_images)


def find_errors(pairs: DetectionPairs, threshold: float) -> DetectionErrors:
    """Of detections of at least that score, with COCO's matching at an IoU of 0.5."""
    matches = match_all_classes(pairs, IOU)
    shown = pairs.detections.scores >= threshold
    tp, fp = matches.tp[0] & shown, matches.fp[0] & shown
    kinds = np.select([~shown, tp, fp], [BELOW_THRESHOLD, TRUE_POSITIVE, BACKGROUND], IGNORED)
    missed = ~pairs.gt.ignored
    missed[matches.gt[0, tp]] = False
    for kind, near in _reasons(pairs, missed):
        rows = np.unique(pairs.pairs.detection[near])
        kinds[rows[kinds[rows] == BACKGROUND]] = kind
    return DetectionErrors(threshold, kinds, missed)


def _reasons(pairs: DetectionPairs, missed: Mask) -> list[tuple[int, Mask]]:
    """For each kind of false positive the pairs (P,) that are a reason for it."""
    candidates, gt = pairs.pairs, pairs.gt
    counts = ~gt.ignored[candidates.gt]
    same = pairs.detections.labels[candidates.detection] == gt.labels[candidates.gt]
    close = candidates.iou >= IOU
    return [
        (DUPLICATE, counts & same & close),
        (CLASSIFICATION, counts & ~same & close),
        (LOCALIZATION, same & ~close & (candidates.iou >= MIN_IOU) & missed[candidates.gt]),
    ]
