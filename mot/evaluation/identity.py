"""Identity metrics (Ristani et al., 2016): one tracked id for each person, over all frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mot.evaluation.assignment import most_in_common
from mot.evaluation.scene import Mask, SequencePairs

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class IdentityCounts:
    """What adds up over sequences."""

    tp: int
    fn: int
    fp: int

    def values(self) -> dict[str, float]:
        return {
            "IDF1": self.tp / max(1.0, self.tp + 0.5 * self.fp + 0.5 * self.fn),
            "IDR": self.tp / max(1, self.tp + self.fn),
            "IDP": self.tp / max(1, self.tp + self.fp),
            "IDTP": self.tp,
            "IDFN": self.fn,
            "IDFP": self.fp,
        }


def match_identity(scene: SequencePairs) -> Mask:
    """Which of the scene's pairs are of a person and of the id that stands for it."""
    close = scene.pairs.iou >= THRESHOLD
    couples, couple = np.unique(scene.people_pairs[close], return_inverse=True)
    together = np.bincount(couple, minlength=len(couples)).astype(np.float64)
    true, tracked = np.divmod(couples, max(1, scene.result.people))
    chosen = np.zeros(len(scene.pairs), np.bool_)
    chosen[close] = most_in_common(true, tracked, together)[couple]
    return chosen


def count_identity(scene: SequencePairs, matches: Mask) -> IdentityCounts:
    tp = int(matches.sum())
    return IdentityCounts(tp, len(scene.truth) - tp, len(scene.result) - tp)


def combine_identity(parts: Sequence[IdentityCounts]) -> IdentityCounts:
    return IdentityCounts(
        sum(part.tp for part in parts),
        sum(part.fn for part in parts),
        sum(part.fp for part in parts),
    )
