"""HOTA (Luiten et al., 2021): detection and association, each over 19 thresholds of overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from mot.evaluation.assignment import best_pairs_by_frame
from mot.evaluation.scene import EPS, SequencePairs, Values
from mot.evaluation.sums import sums_of_result, sums_of_truth
from mot.types import IntArray

ALPHAS = np.arange(0.05, 0.99, 0.05)
_TINY = 1e-10
CURVES = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")


@dataclass(frozen=True, slots=True, eq=False)
class HotaMatches:
    """The matched pairs of a scene; those of overlap `alpha` and more count at `alpha`."""

    pairs: IntArray  # (M,) of the scene's pairs
    level: IntArray  # (M,) how many of the thresholds the pair reaches
    couple: IntArray  # (M,) of the couples below
    # Of each couple of a true and a tracked person, at each threshold: (couples, 19)
    count: Values
    ass_a: Values
    ass_re: Values
    ass_pr: Values


@dataclass(frozen=True, slots=True, eq=False)
class HotaCounts:
    """What adds up over sequences; arrays of the 19 thresholds."""

    tp: Values
    fn: Values
    fp: Values
    ass_a: Values  # the sums over the true positives, as all below
    ass_re: Values
    ass_pr: Values
    iou: Values

    def curves(self) -> dict[str, Values]:
        found = np.maximum(1, self.tp)
        det_re = self.tp / np.maximum(1, self.tp + self.fn)
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass_a = self.ass_a / found
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": det_re,
            "DetPr": self.tp / np.maximum(1, self.tp + self.fp),
            "AssRe": self.ass_re / found,
            "AssPr": self.ass_pr / found,
            "LocA": np.maximum(_TINY, self.iou) / np.maximum(_TINY, self.tp),
            "OWTA": np.sqrt(det_re * ass_a),
        }

    def values(self) -> dict[str, float]:
        """The means over the thresholds, and the values at the first."""
        curves = self.curves()
        means = {name: float(np.mean(curve)) for name, curve in curves.items()}
        first = {"HOTA(0)": float(curves["HOTA"][0]), "LocA(0)": float(curves["LocA"][0])}
        return means | first | {"HOTALocA(0)": first["HOTA(0)"] * first["LocA(0)"]}


def match_hota(scene: SequencePairs) -> HotaMatches:
    """Match each frame for the best association over the whole sequence."""
    pairs = scene.pairs
    people = scene.people_pairs
    chosen = np.flatnonzero(best_pairs_by_frame(scene, _alignment(scene, people) * pairs.iou))
    level = np.searchsorted(ALPHAS - EPS, pairs.iou[chosen], side="right")
    chosen, level = chosen[level > 0], level[level > 0]
    couples, couple = np.unique(people[chosen], return_inverse=True)
    steps = len(ALPHAS) + 1
    histogram = np.bincount(couple * steps + level, minlength=len(couples) * steps)
    count = _at_least(histogram.reshape(-1, steps).astype(np.float64))
    true, tracked = np.divmod(couples, max(1, scene.result.people))
    of_true = scene.truth.boxes_of_people[true][:, None]
    of_tracked = scene.result.boxes_of_people[tracked][:, None]
    ass_a = count / np.maximum(1, of_true + of_tracked - count)
    return HotaMatches(chosen, level, couple, count, ass_a, count / of_true, count / of_tracked)


def _alignment(scene: SequencePairs, people: IntArray) -> Values:
    """Of each pair: how well its two people fit over the whole sequence, in (0, 1]."""
    pairs = scene.pairs
    together = sums_of_result(scene)[pairs.result] + sums_of_truth(scene)[pairs.truth] - pairs.iou
    couples, couple = np.unique(people, return_inverse=True)
    share = np.divide(pairs.iou, together, out=np.zeros(len(pairs)), where=together > EPS)
    shared = np.bincount(couple, weights=share, minlength=len(couples))
    true, tracked = np.divmod(couples, max(1, scene.result.people))
    boxes = scene.truth.boxes_of_people[true] + scene.result.boxes_of_people[tracked]
    alignment: Values = (shared / (boxes - shared))[couple]
    return alignment


def _at_least(histogram: Values) -> Values:
    """From counts of each level, 0 to 19, the counts of those that reach each threshold."""
    return np.cumsum(histogram[..., :0:-1], axis=-1)[..., ::-1]


def count_hota(scene: SequencePairs, matches: HotaMatches) -> HotaCounts:
    steps = len(ALPHAS) + 1
    tp = _at_least(np.bincount(matches.level, minlength=steps).astype(np.float64))
    matched = scene.pairs.iou[matches.pairs]
    iou = np.bincount(matches.level, matched, minlength=steps).astype(np.float64)
    return HotaCounts(
        tp=tp,
        fn=len(scene.truth) - tp,
        fp=len(scene.result) - tp,
        ass_a=(matches.count * matches.ass_a).sum(0),
        ass_re=(matches.count * matches.ass_re).sum(0),
        ass_pr=(matches.count * matches.ass_pr).sum(0),
        iou=_at_least(iou),
    )


def combine_hota(parts: Sequence[HotaCounts]) -> HotaCounts:
    """Of several sequences: the association is weighted by the true positives."""
    names = [field.name for field in fields(HotaCounts)]
    return HotaCounts(**{name: sum(getattr(part, name) for part in parts) for name in names})
