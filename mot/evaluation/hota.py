"""HOTA (Luiten et al., IJCV 2021): detection and association accuracy over 19 IoU thresholds.

At each threshold alpha, with c running over the true positives (matched pairs of IoU >= alpha):

    HOTA = sqrt(DetA * AssA)
    DetA = TP / (TP + FN + FP)
    AssA = 1 / TP * sum over c of A(c),   A(c) = TPA(c) / (TPA(c) + FNA(c) + FPA(c))

TPA(c) counts the true positives with the same gt track and the same result track as c; FNA(c) and
FPA(c) count the other boxes of that gt track and of that result track. Scores are means over alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from mot.evaluation.assignment import assign_by_frame
from mot.evaluation.overlap_sums import gt_overlap_sums, result_overlap_sums
from mot.evaluation.sequence_pairs import EPS, SequencePairs, Values
from mot.types import IntArray

ALPHAS = np.arange(0.05, 0.99, 0.05)  # (19,) IoU thresholds
_TINY = 1e-10
CURVES = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")


@dataclass(frozen=True, slots=True, eq=False)
class HotaMatches:
    """The matched pairs of a sequence. A match counts at the alphas up to its IoU."""

    pairs: IntArray  # (M,) indices of the matched pairs
    level: IntArray  # (M,) number of alphas that the IoU reaches: 1 to 19
    track_pair: IntArray  # (M,) row of each match in the arrays below
    # (T, 19), for each combination of a gt and a result track with matches, at each alpha:
    tpa: Values  # true positive associations TPA(c)
    ass_a: Values  # A(c)
    ass_re: Values  # TPA / (TPA + FNA)
    ass_pr: Values  # TPA / (TPA + FPA)


@dataclass(frozen=True, slots=True, eq=False)
class HotaCounts:
    """(19,) sums at each alpha, which add up over sequences."""

    tp: Values
    fn: Values
    fp: Values
    ass_a: Values  # summed over the true positives, as are all below
    ass_re: Values
    ass_pr: Values
    iou: Values

    def curves(self) -> dict[str, Values]:
        """(19,) each metric at each alpha."""
        num_matches = np.maximum(1, self.tp)
        det_re = self.tp / np.maximum(1, self.tp + self.fn)
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass_a = self.ass_a / num_matches
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": det_re,
            "DetPr": self.tp / np.maximum(1, self.tp + self.fp),
            "AssRe": self.ass_re / num_matches,
            "AssPr": self.ass_pr / num_matches,
            "LocA": np.maximum(_TINY, self.iou) / np.maximum(_TINY, self.tp),
            "OWTA": np.sqrt(det_re * ass_a),
        }

    def values(self) -> dict[str, float]:
        """Each metric averaged over the alphas, and some at the first alpha, named `HOTA(0)`."""
        curves = self.curves()
        means = {name: float(np.mean(curve)) for name, curve in curves.items()}
        first = {"HOTA(0)": float(curves["HOTA"][0]), "LocA(0)": float(curves["LocA"][0])}
        return means | first | {"HOTALocA(0)": first["HOTA(0)"] * first["LocA(0)"]}


def match_hota(seq: SequencePairs) -> HotaMatches:
    """Match the boxes of each frame to maximize IoU weighted by the global track alignment."""
    pairs, track_pairs = seq.pairs, seq.track_pairs
    score = _global_alignment(seq, track_pairs) * pairs.iou
    matched = np.flatnonzero(assign_by_frame(seq, score))
    level = np.searchsorted(ALPHAS - EPS, pairs.iou[matched], side="right")
    matched, level = matched[level > 0], level[level > 0]
    matched_tracks, track_pair = np.unique(track_pairs[matched], return_inverse=True)
    steps = len(ALPHAS) + 1
    histogram = np.bincount(track_pair * steps + level, minlength=len(matched_tracks) * steps)
    tpa = _count_reached(histogram.reshape(-1, steps).astype(np.float64))
    gt_ids, result_ids = seq.split_track_pairs(matched_tracks)
    gt_boxes = seq.gt.boxes_per_track[gt_ids][:, None]  # TPA + FNA
    result_boxes = seq.result.boxes_per_track[result_ids][:, None]  # TPA + FPA
    ass_a = tpa / np.maximum(1, gt_boxes + result_boxes - tpa)
    return HotaMatches(
        matched, level, track_pair, tpa, ass_a, ass_re=tpa / gt_boxes, ass_pr=tpa / result_boxes
    )


def _global_alignment(seq: SequencePairs, track_pairs: IntArray) -> Values:
    """(E,) Jaccard index, in (0, 1], of the two tracks of each pair over the full sequence.

    In its numerator, a pair counts with its IoU relative to all IoUs of its two boxes.
    """
    pairs = seq.pairs
    total = result_overlap_sums(seq)[pairs.result] + gt_overlap_sums(seq)[pairs.gt] - pairs.iou
    relative_iou = np.divide(pairs.iou, total, out=np.zeros(len(pairs)), where=total > EPS)
    tracks, track_pair = np.unique(track_pairs, return_inverse=True)
    matches = np.bincount(track_pair, weights=relative_iou, minlength=len(tracks))
    gt_ids, result_ids = seq.split_track_pairs(tracks)
    boxes = seq.gt.boxes_per_track[gt_ids] + seq.result.boxes_per_track[result_ids]
    alignment: Values = (matches / (boxes - matches))[track_pair]
    return alignment


def _count_reached(histogram: Values) -> Values:
    """(..., 20) counts of each level, 0 to 19, to (..., 19) counts that reach each alpha."""
    return np.cumsum(histogram[..., :0:-1], axis=-1)[..., ::-1]


def count_hota(seq: SequencePairs, matches: HotaMatches) -> HotaCounts:
    steps = len(ALPHAS) + 1
    tp = _count_reached(np.bincount(matches.level, minlength=steps).astype(np.float64))
    matched_iou = seq.pairs.iou[matches.pairs]
    iou = np.bincount(matches.level, matched_iou, minlength=steps).astype(np.float64)
    return HotaCounts(
        tp=tp,
        fn=len(seq.gt) - tp,
        fp=len(seq.result) - tp,
        ass_a=(matches.tpa * matches.ass_a).sum(0),
        ass_re=(matches.tpa * matches.ass_re).sum(0),
        ass_pr=(matches.tpa * matches.ass_pr).sum(0),
        iou=_count_reached(iou),
    )


def combine_hota(parts: Sequence[HotaCounts]) -> HotaCounts:
    """Sum over sequences; the association is thereby weighted by the true positives."""
    names = [field.name for field in fields(HotaCounts)]
    return HotaCounts(**{name: sum(getattr(part, name) for part in parts) for name in names})
