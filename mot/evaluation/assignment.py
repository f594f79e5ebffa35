"""The best one-to-one choice among scored pairs, over all frames at once.

Most pairs need no Hungarian algorithm. A pair whose score is more than the best alternatives of
both its ends together belongs to every best choice: whatever choice leaves it out gains by putting
it in. Such pairs are taken, with them go all others of their ends, and the rest is looked at again.
What stays open goes to the Hungarian algorithm.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mot.evaluation.scene import EPS, Mask, SequencePairs, Values, frames_at_once
from mot.types import IntArray

_MARGIN = 1e-9  # scores that differ by less may be ties, which only the same algorithm breaks alike


def settle(left: IntArray, right: IntArray, scores: Values, margin: float) -> tuple[Mask, IntArray]:
    """The pairs in every best choice, as a mask, and the pairs that are still open."""
    chosen = np.zeros(len(scores), np.bool_)
    rest = np.flatnonzero(scores > 0)
    sizes = int(left.max(initial=-1)) + 1, int(right.max(initial=-1)) + 1
    while len(rest):
        ends, other_ends, score = left[rest], right[rest], scores[rest]
        alternatives = _alternative(ends, score, sizes[0])
        alternatives += _alternative(other_ends, score, sizes[1])
        sure = score > alternatives + margin
        if not sure.any():
            break
        chosen[rest[sure]] = True
        taken, other_taken = np.zeros(sizes[0], np.bool_), np.zeros(sizes[1], np.bool_)
        taken[ends[sure]] = other_taken[other_ends[sure]] = True
        rest = rest[~(taken[ends] | other_taken[other_ends])]
    return chosen, rest


def _alternative(ends: IntArray, scores: Values, size: int) -> Values:
    """The best score that each pair's end has in its other pairs."""
    best, second = np.zeros(size), np.zeros(size)
    np.maximum.at(best, ends, scores)
    is_best = scores == best[ends]
    np.maximum.at(second, ends[~is_best], scores[~is_best])
    shared = np.bincount(ends[is_best], minlength=size) > 1
    second[shared] = best[shared]
    alternative: Values = np.where(is_best, second[ends], best[ends])
    return alternative


def settle_few(left: list[int], right: list[int], scores: list[float]) -> list[int] | None:
    """The best choice among a few pairs, without the overhead of arrays; None if it may tie."""
    rest = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    chosen = []
    while rest:
        first, *others = rest
        score, end, other_end = scores[first], left[first], right[first]
        alternative = next((scores[pair] for pair in others if left[pair] == end), 0.0)
        alternative += next((scores[pair] for pair in others if right[pair] == other_end), 0.0)
        if score <= alternative + _MARGIN:
            return None
        chosen.append(first)
        rest = [pair for pair in others if left[pair] != end and right[pair] != other_end]
    return chosen


def best_pairs_by_frame(scene: SequencePairs, scores: Values) -> Mask:
    """Which of the scene's pairs make the best choice in their frames.

    Where choices are equally good, the Hungarian algorithm on the frame's whole matrix decides, as
    it does in TrackEval.
    """
    chosen = np.zeros(len(scores), np.bool_)
    for frames in frames_at_once(scene.truth, scene.result):
        pairs = scene.pairs_of(frames)
        left = scene.pairs.truth[pairs] - scene.truth.starts[frames.start]
        right = scene.pairs.result[pairs] - scene.result.starts[frames.start]
        chosen[pairs], rest = settle(left, right, scores[pairs], _MARGIN)
        for frame in np.unique(scene.pair_frames_of(rest + pairs.start)).tolist():
            here = scene.pairs_of(slice(frame, frame + 1))
            chosen[here] = hungarian(scene, frame, here, scores[here])
    return chosen


def hungarian(scene: SequencePairs, frame: int, pairs: slice, scores: Values) -> Mask:
    """Which of a frame's pairs the Hungarian algorithm chooses."""
    matrix = scene.dense(frame, pairs, scores)
    rows, columns = linear_sum_assignment(-matrix)
    partner = np.full(len(matrix), -1)
    partner[rows] = columns
    truth = scene.pairs.truth[pairs] - scene.truth.starts[frame]
    result = scene.pairs.result[pairs] - scene.result.starts[frame]
    chosen: Mask = (partner[truth] == result) & (scores > EPS)
    return chosen


def most_in_common(left: IntArray, right: IntArray, counts: Values) -> Mask:
    """The choice of pairs with the largest sum of counts; any of several."""
    chosen, rest = settle(left, right, counts, 0.0)
    for part in _components(left[rest], right[rest]):
        chosen[rest[part]] = _solve(left[rest[part]], right[rest[part]], counts[rest[part]])
    return chosen


def _components(left: IntArray, right: IntArray) -> list[IntArray]:
    """The pairs that hang together through their ends."""
    if not len(left):
        return []
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
