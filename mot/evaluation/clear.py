"""CLEAR MOT (Bernardin and Stiefelhagen, 2008), matched and counted as MOTChallenge does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from mot.evaluation.assignment import hungarian, settle_few
from mot.evaluation.scene import EPS, Mask, SequencePairs
from mot.types import IntArray

THRESHOLD = 0.5
_STAY = 1000.0  # outweighs any overlaps: who was followed in the last frame is followed on


@dataclass(frozen=True, slots=True, eq=False)
class ClearMatches:
    """The matched pairs, by frame, and what each of them begins."""

    pairs: IntArray  # (M,) of the scene's pairs
    is_switch: Mask  # (M,) the person was last matched to another id
    is_fragment: Mask  # (M,) the person was matched before, but not in the last frame
    before: IntArray  # (M,) the match of the same person before, in this list; -1: the first


@dataclass(frozen=True, slots=True)
class ClearCounts:
    """What adds up over sequences."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    switches: int = 0
    fragments: int = 0
    mostly_tracked: int = 0
    partly_tracked: int = 0
    mostly_lost: int = 0
    frames: int = 0  # 0 where one side has no boxes
    iou: float = 0.0  # summed over the true positives

    def values(self) -> dict[str, float]:
        truth, people = max(1, self.tp + self.fn), self._people
        wrong = self.fp + self.switches
        log_switches = math.log10(self.switches) if self.switches else 0.0
        return {
            "MOTA": (self.tp - wrong) / truth,
            "MOTP": self.iou / max(1, self.tp),
            "sMOTA": (self.iou - wrong) / truth,
            "MODA": (self.tp - self.fp) / truth,
            "MOTAL": (self.tp - self.fp - log_switches) / truth,
            "recall": self.tp / truth,
            "precision": self.tp / max(1, self.tp + self.fp),
            "F1": self.tp / max(1.0, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "FAF": self.fp / max(1, self.frames),
            "MTR": self.mostly_tracked / people,
            "PTR": self.partly_tracked / people,
            "MLR": self.mostly_lost / people,
        } | self._counts

    def values_of_sequence(self) -> dict[str, float]:
        """As TrackEval has them for a sequence that has boxes on one side only: no rate at all."""
        values = self.values()
        if self.frames:
            return values
        return dict.fromkeys(values, 0.0) | {"MLR": 1.0} | self._counts

    @property
    def _people(self) -> int:
        return max(1, self.mostly_tracked + self.partly_tracked + self.mostly_lost)

    @property
    def _counts(self) -> dict[str, float]:
        return {
            "TP": self.tp,
            "FN": self.fn,
            "FP": self.fp,
            "IDSW": self.switches,
            "Frag": self.fragments,
            "MT": self.mostly_tracked,
            "PT": self.partly_tracked,
            "ML": self.mostly_lost,
        }


def match_clear(scene: SequencePairs) -> ClearMatches:
    """Match frame after frame: first who was matched in the last one, then by overlap."""
    pairs = scene.pairs
    close = np.flatnonzero(pairs.iou >= THRESHOLD - EPS)
    rivals = np.bincount(pairs.truth[close], minlength=len(scene.truth))[pairs.truth[close]]
    rivals += np.bincount(pairs.result[close], minlength=len(scene.result))[pairs.result[close]]
    chosen = np.zeros(len(pairs), np.bool_)
    chosen[close] = rivals == 2  # nobody else on either side: matched whatever was before
    _match_contested(scene, close[rivals > 2], chosen)
    return _describe(scene, np.flatnonzero(chosen))


def _match_contested(scene: SequencePairs, contested: IntArray, chosen: Mask) -> None:
    """Choose among the pairs that exclude each other, frame after frame."""
    pairs, frames = scene.pairs, scene.pair_frames
    before = _pairs_before(scene)
    edges = np.flatnonzero(np.diff(frames[contested], prepend=-1, append=-1)).tolist()
    for start, end in pairwise(edges):
        here = contested[start:end]
        stays = (before[here] >= 0) & chosen[before[here]]
        scores = (pairs.iou[here] + _STAY * stays).tolist()
        best = settle_few(pairs.truth[here].tolist(), pairs.result[here].tolist(), scores)
        if best is None:
            _match_frame(scene, int(frames[here[0]]), before, chosen)
        else:
            chosen[here[best]] = True


def _match_frame(scene: SequencePairs, frame: int, before: IntArray, chosen: Mask) -> None:
    """The whole frame by the Hungarian algorithm, for the sake of its ties."""
    pairs = scene.pairs_of(slice(frame, frame + 1))
    stays = (before[pairs] >= 0) & chosen[before[pairs]]
    scores = (_STAY * stays + scene.pairs.iou[pairs]) * (scene.pairs.iou[pairs] >= THRESHOLD - EPS)
    chosen[pairs] = hungarian(scene, frame, pairs, scores)


def _steps(scene: SequencePairs) -> IntArray:
    """(frames,) numbers the frames in which both sides have boxes; the others are passed over."""
    both = (scene.truth.per_frame > 0) & (scene.result.per_frame > 0)
    return np.cumsum(both) - 1


def _pairs_before(scene: SequencePairs) -> IntArray:
    """(E,) the pair of the same two people in the last step; -1 where they did not overlap."""
    people, step = scene.people_pairs, _steps(scene)[scene.pair_frames]
    order = np.lexsort((step, people))
    follows = (np.diff(people[order]) == 0) & (np.diff(step[order]) == 1)
    before = np.full(len(order), -1)
    before[order[1:][follows]] = order[:-1][follows]
    return before


def _describe(scene: SequencePairs, matched: IntArray) -> ClearMatches:
    truth_ids = scene.truth.ids[scene.pairs.truth[matched]]
    result_ids = scene.result.ids[scene.pairs.result[matched]]
    steps = _steps(scene)[scene.pair_frames[matched]]
    order = np.argsort(truth_ids, kind="stable")
    again = np.diff(truth_ids[order]) == 0  # the same person as the one before in this order
    now, last = order[1:][again], order[:-1][again]
    before = np.full(len(matched), -1)
    before[now] = last
    is_switch, is_fragment = np.zeros((2, len(matched)), np.bool_)
    is_switch[now] = result_ids[now] != result_ids[last]
    is_fragment[now] = steps[now] > steps[last] + 1
    return ClearMatches(matched, is_switch, is_fragment, before)


def count_clear(scene: SequencePairs, matches: ClearMatches) -> ClearCounts:
    tp = len(matches.pairs)
    counts = {"tp": tp, "fn": len(scene.truth) - tp, "fp": len(scene.result) - tp}
    if scene.is_one_sided:
        lost = scene.truth.people if not len(scene.result) else 0
        return ClearCounts(**counts, mostly_lost=lost)
    boxes = scene.truth.boxes_of_people
    true_ids = scene.truth.ids[scene.pairs.truth[matches.pairs]]
    share = np.bincount(true_ids, minlength=len(boxes)) / boxes
    mostly, partly = int((share > 0.8).sum()), int((share >= 0.2).sum())
    return ClearCounts(
        **counts,
        switches=int(matches.is_switch.sum()),
        fragments=int(matches.is_fragment.sum()),
        mostly_tracked=mostly,
        partly_tracked=partly - mostly,
        mostly_lost=len(boxes) - partly,
        frames=scene.length,
        iou=float(scene.pairs.iou[matches.pairs].sum()),
    )


def combine_clear(parts: Sequence[ClearCounts]) -> ClearCounts:
    names = [field.name for field in fields(ClearCounts)]
    return ClearCounts(**{name: sum(getattr(part, name) for part in parts) for name in names})
