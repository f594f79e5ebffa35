"""Identity metrics (Ristani et al., 2016): one result track per gt track over all frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mot.evaluation.assignment import maximize_sum
from mot.evaluation.sequence_pairs import Mask, SequencePairs

THRESHOLD = 0.5  # IoU


@dataclass(frozen=True, slots=True)
class IdentityCounts:
    """Counts that add up over sequences."""

    tp: int  # IDTP
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


def match_identity(seq: SequencePairs) -> Mask:
    """(E,) the pairs whose tracks are assigned to each other: the identity true positives."""
    close = seq.pairs.iou >= THRESHOLD
    tracks, track_pair = np.unique(seq.track_pairs[close], return_inverse=True)
    frames_together = np.bincount(track_pair, minlength=len(tracks)).astype(np.float64)
    gt_ids, result_ids = seq.split_track_pairs(tracks)
    matched = np.zeros(len(seq.pairs), np.bool_)
    matched[close] = maximize_sum(gt_ids, result_ids, frames_together)[track_pair]
    return matched


def count_identity(seq: SequencePairs, matched: Mask) -> IdentityCounts:
    tp = int(matched.sum())
    return IdentityCounts(tp, len(seq.gt) - tp, len(seq.result) - tp)


def combine_identity(parts: Sequence[IdentityCounts]) -> IdentityCounts:
    return IdentityCounts(
        sum(part.tp for part in parts),
        sum(part.fn for part in parts),
        sum(part.fp for part in parts),
    )
