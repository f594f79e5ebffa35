"""CLEAR MOT metrics (Bernardin and Stiefelhagen, 2008), matched and counted as in TrackEval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from mot.evaluation.assignment import assign_few, assign_frame
from mot.evaluation.sequence_pairs import EPS, Mask, SequencePairs
from mot.types import IntArray

THRESHOLD = 0.5  # IoU
_CONTINUITY_BONUS = 1000.0  # outweighs any IoU: matches of the previous frame continue


@dataclass(frozen=True, slots=True, eq=False)
class ClearMatches:
    """The matched pairs by frame, and the id switches and fragmentations among them."""

    pairs: IntArray  # (M,) indices of the matched pairs
    is_switch: Mask  # (M,) the gt track was last matched to another result track
    is_fragment: Mask  # (M,) the gt track was matched before, but not in the previous frame
    previous: IntArray  # (M,) index of the previous match of the same gt track; -1: none


@dataclass(frozen=True, slots=True)
class ClearCounts:
    """Counts that add up over sequences."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    switches: int = 0
    fragments: int = 0
    mostly_tracked: int = 0  # gt tracks matched in more than 80 % of their frames
    partly_tracked: int = 0
    mostly_lost: int = 0  # gt tracks matched in less than 20 % of their frames
    frames: int = 0  # 0 if the ground truth or the result has no boxes
    iou: float = 0.0  # summed over the true positives

    def values(self) -> dict[str, float]:
        gt_boxes = max(1, self.tp + self.fn)
        gt_tracks = max(1, self.mostly_tracked + self.partly_tracked + self.mostly_lost)
        errors = self.fp + self.switches
        log_switches = math.log10(self.switches) if self.switches else 0.0
        return {
            "MOTA": (self.tp - errors) / gt_boxes,
            "MOTP": self.iou / max(1, self.tp),
            "sMOTA": (self.iou - errors) / gt_boxes,
            "MODA": (self.tp - self.fp) / gt_boxes,
            "MOTAL": (self.tp - self.fp - log_switches) / gt_boxes,
            "recall": self.tp / gt_boxes,
            "precision": self.tp / max(1, self.tp + self.fp),
            "F1": self.tp / max(1.0, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "FAF": self.fp / max(1, self.frames),
            "MTR": self.mostly_tracked / gt_tracks,
            "PTR": self.partly_tracked / gt_tracks,
            "MLR": self.mostly_lost / gt_tracks,
        } | self._counts

    def values_of_sequence(self) -> dict[str, float]:
        """As `values`, but without rates if one side has no boxes, as in TrackEval."""
        values = self.values()
        if self.frames:
            return values
        return dict.fromkeys(values, 0.0) | {"MLR": 1.0} | self._counts

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


def match_clear(seq: SequencePairs) -> ClearMatches:
    """Match frame by frame: matches of the previous frame continue, others by IoU."""
    pairs = seq.pairs
    close = np.flatnonzero(pairs.iou >= THRESHOLD - EPS)
    candidates = np.bincount(pairs.gt[close], minlength=len(seq.gt))[pairs.gt[close]]
    candidates += np.bincount(pairs.result[close], minlength=len(seq.result))[pairs.result[close]]
    chosen = np.zeros(len(pairs), np.bool_)
    chosen[close] = candidates == 2  # each the only candidate of the other: always matched
    _match_contested(seq, close[candidates > 2], chosen)
    return _find_switches(seq, np.flatnonzero(chosen))


def _match_contested(seq: SequencePairs, contested: IntArray, chosen: Mask) -> None:
    """Choose frame by frame among pairs that share a box; updates `chosen` in place."""
    pairs, frames = seq.pairs, seq.pair_frames
    previous = _previous_pairs(seq)
    edges = np.flatnonzero(np.diff(frames[contested], prepend=-1, append=-1)).tolist()
    for start, end in pairwise(edges):
        here = contested[start:end]
        continues = (previous[here] >= 0) & chosen[previous[here]]
        scores = (pairs.iou[here] + _CONTINUITY_BONUS * continues).tolist()
        best = assign_few(pairs.gt[here].tolist(), pairs.result[here].tolist(), scores)
        if best is None:
            _match_frame(seq, int(frames[here[0]]), previous, chosen)
        else:
            chosen[here[best]] = True


def _match_frame(seq: SequencePairs, frame: int, previous: IntArray, chosen: Mask) -> None:
    """Match all boxes of a frame by the Hungarian algorithm, which breaks ties as TrackEval."""
    pairs = seq.pair_slice(slice(frame, frame + 1))
    iou = seq.pairs.iou[pairs]
    continues = (previous[pairs] >= 0) & chosen[previous[pairs]]
    scores = (_CONTINUITY_BONUS * continues + iou) * (iou >= THRESHOLD - EPS)
    chosen[pairs] = assign_frame(seq, frame, pairs, scores)


def _steps(seq: SequencePairs) -> IntArray:
    """(frames,) consecutive numbers of the frames in which both sides have boxes."""
    both = (seq.gt.boxes_per_frame > 0) & (seq.result.boxes_per_frame > 0)
    return np.cumsum(both) - 1


def _previous_pairs(seq: SequencePairs) -> IntArray:
    """(E,) the pair of the same two tracks in the previous step; -1 if they did not overlap."""
    tracks, step = seq.track_pairs, _steps(seq)[seq.pair_frames]
    order = np.lexsort((step, tracks))
    follows = (np.diff(tracks[order]) == 0) & (np.diff(step[order]) == 1)
    previous = np.full(len(order), -1)
    previous[order[1:][follows]] = order[:-1][follows]
    return previous


def _find_switches(seq: SequencePairs, matched: IntArray) -> ClearMatches:
    """Compare each match with the previous match of its gt track."""
    gt_ids = seq.gt.ids[seq.pairs.gt[matched]]
    result_ids = seq.result.ids[seq.pairs.result[matched]]
    steps = _steps(seq)[seq.pair_frames[matched]]
    order = np.argsort(gt_ids, kind="stable")
    same_track = np.diff(gt_ids[order]) == 0
    now, last = order[1:][same_track], order[:-1][same_track]
    previous = np.full(len(matched), -1)
    previous[now] = last
    is_switch, is_fragment = np.zeros((2, len(matched)), np.bool_)
    is_switch[now] = result_ids[now] != result_ids[last]
    is_fragment[now] = steps[now] > steps[last] + 1
    return ClearMatches(matched, is_switch, is_fragment, previous)


def count_clear(seq: SequencePairs, matches: ClearMatches) -> ClearCounts:
    tp = len(matches.pairs)
    counts = {"tp": tp, "fn": len(seq.gt) - tp, "fp": len(seq.result) - tp}
    if seq.is_one_sided:
        lost = seq.gt.num_tracks if not len(seq.result) else 0
        return ClearCounts(**counts, mostly_lost=lost)
    boxes = seq.gt.boxes_per_track
    matched_ids = seq.gt.ids[seq.pairs.gt[matches.pairs]]
    ratio = np.bincount(matched_ids, minlength=len(boxes)) / boxes
    mostly, partly = int((ratio > 0.8).sum()), int((ratio >= 0.2).sum())
    return ClearCounts(
        **counts,
        switches=int(matches.is_switch.sum()),
        fragments=int(matches.is_fragment.sum()),
        mostly_tracked=mostly,
        partly_tracked=partly - mostly,
        mostly_lost=len(boxes) - partly,
        frames=seq.length,
        iou=float(seq.pairs.iou[matches.pairs].sum()),
    )


def combine_clear(parts: Sequence[ClearCounts]) -> ClearCounts:
    names = [field.name for field in fields(ClearCounts)]
    return ClearCounts(**{name: sum(getattr(part, name) for part in parts) for name in names})
