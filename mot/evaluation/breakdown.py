"""What each frame or track contributes to the metrics, and the metrics of any subset of them.

Boxes are matched over the full sequence, and a true positive keeps its association score A(c), so
the metrics of a subset are its contribution, not what it would score alone.
"""

from __future__ import annotations

import numpy as np

from mot.evaluation.hota import ALPHAS
from mot.evaluation.score import Matches
from mot.evaluation.sequence_pairs import SequencePairs, Values
from mot.types import IntArray

_STEPS = len(ALPHAS)
# Columns: TP at each alpha, sum of A(c) at each alpha, then the counts below.
_GT, _RESULT, _TP, _SWITCHES, _IDTP = range(2 * _STEPS, 2 * _STEPS + 5)
COLUMNS = 2 * _STEPS + 5
METRICS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1")


def by_frame(matches: Matches) -> Values:
    """(frames, COLUMNS) counts of each frame."""
    seq = matches.seq
    return _count_groups(matches, seq.gt.frames, seq.result.frames, seq.length)


def by_block_and_track(matches: Matches, block: int) -> Values:
    """(blocks, gt tracks + 1, COLUMNS) counts of each gt track in blocks of `block` frames.

    A result box counts for the gt track that it is matched to, else for the last, extra one.
    """
    seq = matches.seq
    blocks, tracks = -(-seq.length // block), seq.gt.num_tracks + 1
    gt_groups = seq.gt.frames // block * tracks + seq.gt.ids
    result_groups = seq.result.frames // block * tracks + _matched_gt_tracks(seq, matches)
    table = _count_groups(matches, gt_groups, result_groups, blocks * tracks)
    return table.reshape(blocks, tracks, COLUMNS)


def _matched_gt_tracks(seq: SequencePairs, matches: Matches) -> IntArray:
    """(result boxes,) number of the gt track that each is matched to; past the last if none."""
    track = np.full(len(seq.result), seq.gt.num_tracks)
    pairs = seq.pairs[matches.hota.pairs]
    track[pairs.result] = seq.gt.ids[pairs.gt]
    return track


def _count_groups(
    matches: Matches, gt_groups: IntArray, result_groups: IntArray, groups: int
) -> Values:
    """(groups, COLUMNS) counts, given the group of each gt box and of each result box.

    They add up over groups and over sequences.
    """
    seq, hota, clear = matches.seq, matches.hota, matches.clear
    table = np.zeros((groups, COLUMNS))
    pair_groups = gt_groups[seq.pairs.gt]
    match_groups = pair_groups[hota.pairs]
    ass_a = hota.ass_a[hota.track_pair]
    for step in range(_STEPS):
        reached = hota.level > step
        here = match_groups[reached]
        table[:, step] = np.bincount(here, minlength=groups)
        table[:, _STEPS + step] = np.bincount(here, ass_a[reached, step], minlength=groups)
    counted = {
        _GT: gt_groups,
        _RESULT: result_groups,
        _TP: pair_groups[clear.pairs],
        _SWITCHES: pair_groups[clear.pairs[clear.is_switch]],
        _IDTP: pair_groups[matches.identity],
    }
    for column, found in counted.items():
        table[:, column] = np.bincount(found, minlength=groups)
    return table


def compute_metrics(sums: Values) -> dict[str, Values]:
    """HOTA, DetA, AssA, MOTA and IDF1 of counts summed over groups: (..., COLUMNS) to (...)."""
    tp, association = sums[..., :_STEPS], sums[..., _STEPS : 2 * _STEPS]
    gt, result = sums[..., _GT], sums[..., _RESULT]
    det_a = tp / np.maximum(1, (gt + result)[..., None] - tp)
    ass_a = association / np.maximum(1, tp)
    errors = result - sums[..., _TP] + sums[..., _SWITCHES]
    return {
        "HOTA": np.sqrt(det_a * ass_a).mean(-1),
        "DetA": det_a.mean(-1),
        "AssA": ass_a.mean(-1),
        "MOTA": (sums[..., _TP] - errors) / np.maximum(1, gt),
        "IDF1": sums[..., _IDTP] / np.maximum(1, (gt + result) / 2),
    }
