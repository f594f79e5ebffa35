"""Row and column sums of each frame's IoU matrix, rounded exactly as in TrackEval.

TrackEval sums dense (gt boxes, result boxes) matrices with NumPy. A different order of additions
may change the last bit, and with it the winner of a tie. NumPy adds along the strided axis one by
one, so zeros can be skipped; along the contiguous axis it adds in eight lanes, so lines with more
than two values are copied into dense rows, many at a time. The contiguous axis is that of the rows,
or of the columns if the protocol last indexed the matrix by columns (`column_major`).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mot.evaluation.sequence_pairs import BoxTable, SequencePairs, Values
from mot.types import IntArray

Entries = tuple[Values, IntArray, IntArray]  # values of a sparse matrix, their rows and columns
_BLOCK = 1 << 17  # numbers per dense block


def gt_overlap_sums(seq: SequencePairs) -> Values:
    """(gt boxes,) sum of the IoUs of each ground-truth box."""
    pairs, gt = seq.pairs, seq.gt
    columns = pairs.result - seq.result.starts[:-1][gt.frames[pairs.gt]]
    widths = seq.result.boxes_per_frame[gt.frames]
    if not seq.column_major:
        return row_sums(pairs.iou, pairs.gt, columns, widths)
    order = np.lexsort((pairs.result, pairs.gt))
    sums = _sequential_sums(pairs.iou[order], pairs.gt[order], len(gt))
    return _resum_single_boxes(sums, gt, (pairs.iou, pairs.gt, columns), widths)


def result_overlap_sums(seq: SequencePairs) -> Values:
    """(result boxes,) sum of the IoUs of each result box."""
    pairs, result = seq.pairs, seq.result
    columns = pairs.gt - seq.gt.starts[:-1][result.frames[pairs.result]]
    widths = seq.gt.boxes_per_frame[result.frames]
    if seq.column_major:
        return row_sums(pairs.iou, pairs.result, columns, widths)
    sums = _sequential_sums(pairs.iou, pairs.result, len(result))
    return _resum_single_boxes(sums, result, (pairs.iou, pairs.result, columns), widths)


def _resum_single_boxes(
    sums: Values, table: BoxTable, entries: Entries, widths: IntArray
) -> Values:
    """Sum in lanes in frames with one box in `table`: such a matrix is contiguous either way."""
    single = (table.boxes_per_frame == 1)[table.frames]
    if single[entries[1]].any():
        sums[single] = row_sums(*entries, widths)[single]
    return sums


def _sequential_sums(values: Values, groups: IntArray, count: int) -> Values:
    """(count,) sums of each group, added one by one in the given order."""
    return np.bincount(groups, values, minlength=count).astype(np.float64)


def row_sums(values: Values, row: IntArray, column: IntArray, widths: IntArray) -> Values:
    """(rows,) equal to `matrix.sum(1)` of dense rows of the given widths."""
    sums = _sequential_sums(values, row, len(widths))
    many = np.bincount(row, minlength=len(widths)) > 2
    if many.any():
        kept = many[row]
        entries = values[kept], row[kept], column[kept]
        _sum_in_lanes(sums, np.flatnonzero(many), entries, widths)
    return sums


def _sum_in_lanes(sums: Values, rows: IntArray, entries: Entries, widths: IntArray) -> None:
    """Replace the sums of some rows by sums of dense rows, in blocks of equal width."""
    values, row, column = entries
    rows = rows[np.argsort(widths[rows], kind="stable")]
    position = np.full(len(widths), len(rows))
    position[rows] = np.arange(len(rows))
    order = np.argsort(position[row], kind="stable")
    positions = position[row[order]]
    for start, end in _equal_width_blocks(widths[rows]):
        chosen = order[slice(*np.searchsorted(positions, [start, end]))]
        dense = np.zeros((end - start, widths[rows[start]]))
        dense[position[row[chosen]] - start, column[chosen]] = values[chosen]
        sums[rows[start:end]] = dense.sum(1)


def _equal_width_blocks(widths: IntArray) -> list[tuple[int, int]]:
    """Ranges of rows of one width, at most `_BLOCK` numbers each."""
    edges = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
    return [
        (start, min(start + step, end))
        for first, end in pairwise(edges)
        for step in (max(1, _BLOCK // int(widths[first])),)
        for start in range(first, end, step)
    ]
