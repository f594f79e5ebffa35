"""Sums over sparse matrices, rounded as NumPy rounds those over dense ones.

TrackEval sums the rows and columns of each frame's dense matrix of overlaps. In another order the
last bit may differ, and with it who wins a tie. Across the lines that lie in memory one behind the
other NumPy adds one by one, and with it a sum of what is not zero. A line that lies in one piece it
adds in eight lanes, so lines with more than two values are laid out again, many at a time. The
lines are the rows, or the columns where the protocol has cut the matrix last by columns.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mot.evaluation.scene import BoxTable, SequencePairs, Values
from mot.types import IntArray

Entries = tuple[Values, IntArray, IntArray]  # the values of a matrix, their rows and columns
_BLOCK = 1 << 17  # numbers laid out at a time


def sums_of_truth(scene: SequencePairs) -> Values:
    """(truth boxes,) the sums of the overlaps of each."""
    found, mine = scene.pairs, scene.truth
    others = found.result - scene.result.starts[:-1][mine.frames[found.truth]]
    widths = scene.result.per_frame[mine.frames]
    if not scene.lies_in_columns:
        return row_sums(found.iou, found.truth, others, widths)
    order = np.lexsort((found.result, found.truth))
    sums = _sums(found.iou[order], found.truth[order], len(mine))
    return _alone_in_lanes(sums, mine, (found.iou, found.truth, others), widths)


def sums_of_result(scene: SequencePairs) -> Values:
    """(result boxes,) the sums of the overlaps of each."""
    found, mine = scene.pairs, scene.result
    others = found.truth - scene.truth.starts[:-1][mine.frames[found.result]]
    widths = scene.truth.per_frame[mine.frames]
    if scene.lies_in_columns:
        return row_sums(found.iou, found.result, others, widths)
    sums = _sums(found.iou, found.result, len(mine))
    return _alone_in_lanes(sums, mine, (found.iou, found.result, others), widths)


def _alone_in_lanes(sums: Values, mine: BoxTable, entries: Entries, widths: IntArray) -> Values:
    """A matrix with one box on this side lies in one piece either way."""
    alone = (mine.per_frame == 1)[mine.frames]
    if alone[entries[1]].any():
        sums[alone] = row_sums(*entries, widths)[alone]
    return sums


def _sums(values: Values, of: IntArray, count: int) -> Values:
    """One by one in the order given."""
    return np.bincount(of, values, minlength=count).astype(np.float64)


def row_sums(values: Values, row: IntArray, column: IntArray, widths: IntArray) -> Values:
    """(rows,) as `matrix.sum(1)` of dense rows of the given widths."""
    sums = _sums(values, row, len(widths))
    many = np.bincount(row, minlength=len(widths)) > 2
    if many.any():
        kept = many[row]
        entries = values[kept], row[kept], column[kept]
        _sum_in_lanes(sums, np.flatnonzero(many), entries, widths)
    return sums


def _sum_in_lanes(sums: Values, rows: IntArray, entries: Entries, widths: IntArray) -> None:
    """Lay out the rows of each width, in blocks, and put their sums where they belong."""
    values, row, column = entries
    rows = rows[np.argsort(widths[rows], kind="stable")]
    place = np.full(len(widths), len(rows))
    place[rows] = np.arange(len(rows))
    order = np.argsort(place[row], kind="stable")
    places = place[row[order]]
    for start, end in _blocks(widths[rows]):
        chosen = order[slice(*np.searchsorted(places, [start, end]))]
        dense = np.zeros((end - start, widths[rows[start]]))
        dense[place[row[chosen]] - start, column[chosen]] = values[chosen]
        sums[rows[start:end]] = dense.sum(1)


def _blocks(widths: IntArray) -> list[tuple[int, int]]:
    """Runs of rows of one width, cut where they grow large."""
    edges = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
    return [
        (start, min(start + step, end))
        for first, end in pairwise(edges)
        for step in (max(1, _BLOCK // int(widths[first])),)
        for start in range(first, end, step)
    ]
