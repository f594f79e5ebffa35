"""What a detector does wrong, from some score on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mot.evaluation.detection.matching import match_every_class
from mot.evaluation.detection.pairs import MIN_IOU, DetectionPairs
from mot.evaluation.sequence_pairs import Mask
from mot.types import IntArray

IOU = 0.5
# What a detection is. Of several that fit a false one, the first.
HIDDEN, RIGHT, LEFT_OUT, DUPLICATE, CONFUSED, MISPLACED, BACKGROUND = range(-1, 6)
NAMES = {
    RIGHT: "right",
    LEFT_OUT: "in ignored regions",
    DUPLICATE: "duplicate",  # IoU >= 0.5 with an object that another detection has taken
    CONFUSED: "of another class",  # IoU >= 0.5 with an object of another class
    MISPLACED: "misplaced",  # IoU 0.1 to 0.5 with an object that no detection has taken
    BACKGROUND: "on background",
}


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    threshold: float
    kinds: IntArray  # (D,) of each detection; HIDDEN below the threshold
    missed: Mask  # (G,)

    def counts(self) -> Mapping[str, int]:
        """Of each kind, and of missed objects."""
        found = {name: int((self.kinds == kind).sum()) for kind, name in NAMES.items()}
        return {**found, "missed": int(self.missed.sum())}

    def by_picture(self, sides: DetectionPairs) -> IntArray:
        """How many objects are missed and how many detections are false, in each image."""
        wrong = np.concatenate(
            [sides.found.records[self.kinds >= DUPLICATE], sides.truth.records[self.missed]]
        )
        return np.bincount(wrong, minlength=sides.records)


def find_mistakes(sides: DetectionPairs, threshold: float) -> Mistakes:
    """With the detections of at least that score; matched as COCO does at an IoU of 0.5."""
    hits = match_every_class(sides, IOU)
    shown = sides.found.scores >= threshold
    right, false = hits.right[0] & shown, hits.false[0] & shown
    kinds = np.select([~shown, right, false], [HIDDEN, RIGHT, BACKGROUND], LEFT_OUT)
    missed = ~sides.truth.ignored
    missed[hits.truth[0, right]] = False
    for kind, near in _reasons(sides, missed):
        rows = np.unique(sides.pairs.found[near])
        kinds[rows[kinds[rows] == BACKGROUND]] = kind
    return Mistakes(threshold, kinds, missed)


def _reasons(sides: DetectionPairs, missed: Mask) -> list[tuple[int, Mask]]:
    """For each kind of false detection the pairs that make one of it, the first kind first."""
    pairs, truth = sides.pairs, sides.truth
    counts = ~truth.ignored[pairs.truth]
    same = sides.found.labels[pairs.found] == truth.labels[pairs.truth]
    close = pairs.iou >= IOU
    return [
        (DUPLICATE, counts & same & close),
        (CONFUSED, counts & ~same & close),
        (MISPLACED, same & ~close & (pairs.iou >= MIN_IOU) & missed[pairs.truth]),
    ]
