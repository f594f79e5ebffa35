"""Optimal one-to-one assignment of scored pairs, in all frames at once.

Most pairs need no Hungarian algorithm. If the score of a pair exceeds the sum of the best
alternatives of its two boxes, the pair is in every optimal assignment: swapping it in always gains.
Such pairs are taken, all other pairs of their boxes are removed, and the rest is checked again. The
Hungarian algorithm solves what remains.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mot.evaluation.sequence_pairs import EPS, Mask, SequencePairs, Values, frame_blocks
from mot.types import IntArray

_MARGIN = 1e-9  # smaller differences may be ties, which only the Hungarian algorithm breaks alike


def take_certain_pairs(
    left: IntArray, right: IntArray, scores: Values, margin: float
) -> tuple[Mask, IntArray]:
    """The pairs in every optimal assignment as a mask, and the indices of the undecided pairs.

    Args:
        left, right: (E,) the two boxes (or tracks) of each pair.
        scores: (E,) pairs with a score of 0 are never chosen.
        margin: by which a score must exceed its alternatives.
    """
    chosen = np.zeros(len(scores), np.bool_)
    rest = np.flatnonzero(scores > 0)
    left_size, right_size = int(left.max(initial=-1)) + 1, int(right.max(initial=-1)) + 1
    while len(rest):
        left_ends, right_ends, score = left[rest], right[rest], scores[rest]
        alternatives = _best_alternatives(left_ends, score, left_size)
        alternatives += _best_alternatives(right_ends, score, right_size)
        certain = score > alternatives + margin
        if not certain.any():
            break
        chosen[rest[certain]] = True
        left_taken, right_taken = np.zeros(left_size, np.bool_), np.zeros(right_size, np.bool_)
        left_taken[left_ends[certain]] = right_taken[right_ends[certain]] = True
        rest = rest[~(left_taken[left_ends] | right_taken[right_ends])]
    return chosen, rest


def _best_alternatives(ends: IntArray, scores: Values, size: int) -> Values:
    """(E,) the best score among the other pairs of each pair's end."""
    best, second = np.zeros(size), np.zeros(size)
    np.maximum.at(best, ends, scores)
    is_best = scores == best[ends]
    np.maximum.at(second, ends[~is_best], scores[~is_best])
    tied = np.bincount(ends[is_best], minlength=size) > 1
    second[tied] = best[tied]
    alternatives: Values = np.where(is_best, second[ends], best[ends])
    return alternatives


def assign_few(left: list[int], right: list[int], scores: list[float]) -> list[int] | None:
    """The optimal assignment of a few pairs in plain Python; None if there may be a tie."""
    rest = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    chosen = []
    while rest:
        first, *others = rest
        score, left_end, right_end = scores[first], left[first], right[first]
        alternative = next((scores[pair] for pair in others if left[pair] == left_end), 0.0)
        alternative += next((scores[pair] for pair in others if right[pair] == right_end), 0.0)
        if score <= alternative + _MARGIN:
            return None
        chosen.append(first)
        rest = [pair for pair in others if left[pair] != left_end and right[pair] != right_end]
    return chosen


def assign_by_frame(seq: SequencePairs, scores: Values) -> Mask:
    """(E,) the pairs of the optimal assignment of each frame.

    Ties are broken as in TrackEval: by the Hungarian algorithm on the frame's full matrix.
    """
    chosen = np.zeros(len(scores), np.bool_)
    for frames in frame_blocks(seq.gt, seq.result):
        pairs = seq.pair_slice(frames)
        gt = seq.pairs.gt[pairs] - seq.gt.starts[frames.start]
        result = seq.pairs.result[pairs] - seq.result.starts[frames.start]
        chosen[pairs], rest = take_certain_pairs(gt, result, scores[pairs], _MARGIN)
        for frame in np.unique(seq.frames_of(rest + pairs.start)).tolist():
            here = seq.pair_slice(slice(frame, frame + 1))
            chosen[here] = assign_frame(seq, frame, here, scores[here])
    return chosen


def assign_frame(seq: SequencePairs, frame: int, pairs: slice, scores: Values) -> Mask:
    """The pairs of one frame that the Hungarian algorithm chooses."""
    matrix = seq.to_matrix(frame, pairs, scores)
    rows, columns = linear_sum_assignment(-matrix)
    partner = np.full(len(matrix), -1)
    partner[rows] = columns
    gt = seq.pairs.gt[pairs] - seq.gt.starts[frame]
    result = seq.pairs.result[pairs] - seq.result.starts[frame]
    chosen: Mask = (partner[gt] == result) & (scores > EPS)
    return chosen


def maximize_sum(left: IntArray, right: IntArray, counts: Values) -> Mask:
    """(E,) an assignment of all pairs with the largest sum of counts; ties are broken arbitrarily.

    Undecided pairs are split into connected components, which are solved one by one.
    """
    chosen, rest = take_certain_pairs(left, right, counts, 0.0)
    if not len(rest):
        return chosen
    for part in _connected_parts(left[rest], right[rest]):
        chosen[rest[part]] = _solve(left[rest[part]], right[rest[part]], counts[rest[part]])
    return chosen


def _connected_parts(left: IntArray, right: IntArray) -> list[IntArray]:
    """The indices of the pairs of each connected component of the bipartite graph."""
    size = int(left.max()) + 1
    nodes = size + int(right.max()) + 1
    graph = coo_array((np.ones(len(left)), (left, size + right)), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1][left]
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _solve(left: IntArray, right: IntArray, counts: Values) -> Mask:
    rows, row = np.unique(left, return_inverse=True)
    columns, column = np.unique(right, return_inverse=True)
    matrix = np.zeros((len(rows), len(columns)))
    matrix[row, column] = -counts
    partner = np.full(len(rows), -1)
    chosen_rows, chosen_columns = linear_sum_assignment(matrix)
    partner[chosen_rows] = chosen_columns
    chosen: Mask = partner[row] == column
    return chosen
