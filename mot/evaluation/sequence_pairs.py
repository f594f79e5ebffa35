"""The common input of all metrics: the boxes of a sequence by frame, and the pairs that overlap.

The IoU of every overlapping pair of a ground-truth and a result box is computed once and shared by
all metrics, in float64 and by the same operations as in TrackEval, so that ties and thresholds are
decided alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.motfile import MotRows
from mot.types import IntArray

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
PairArrays = tuple[IntArray, IntArray, Values]  # the fields of `Pairs`

EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 16  # boxes or candidate pairs per block: temporaries fit in the cache


@dataclass(frozen=True, slots=True, eq=False)
class BoxTable:
    """The boxes of the ground truth or of a result, sorted by frame, within a frame in file order.

    Tracks are numbered from 0 without gaps; `file_ids` maps the numbers to the ids in the file.
    """

    frames: IntArray  # (N,) from 0
    ids: IntArray  # (N,) track numbers, from 0 without gaps
    rows: IntArray  # (N,) row of each box in the file
    starts: IntArray  # (frames + 1,) index of the first box of each frame
    file_ids: IntArray  # (tracks,) track id in the file

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_tracks(self) -> int:
        return len(self.file_ids)

    @property
    def boxes_per_frame(self) -> IntArray:
        return np.diff(self.starts)

    @property
    def boxes_per_track(self) -> IntArray:
        """(tracks,)"""
        return np.bincount(self.ids, minlength=self.num_tracks)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Overlapping pairs of a ground-truth and a result box of one frame, sorted by gt box."""

    gt: IntArray  # (E,) index of the box in the ground-truth table
    result: IntArray  # (E,) index of the box in the result table
    iou: Values  # (E,) above 0

    def __len__(self) -> int:
        return len(self.iou)

    def __getitem__(self, chosen: Mask | IntArray) -> Pairs:
        return Pairs(self.gt[chosen], self.result[chosen], self.iou[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class SequencePairs:
    """One class of one sequence, ready to be scored."""

    length: int  # frames
    gt: BoxTable
    result: BoxTable
    pairs: Pairs
    column_major: bool = False  # memory order of TrackEval's IoU matrices: decides rounding of sums

    @property
    def is_one_sided(self) -> bool:
        """Whether the ground truth or the result has no boxes."""
        return not (len(self.gt) and len(self.result))

    @property
    def pair_frames(self) -> IntArray:
        """(E,) frame of each pair, from 0."""
        return self.gt.frames[self.pairs.gt]

    def frames_of(self, pairs: IntArray) -> IntArray:
        """Frames of some pairs, from 0."""
        return self.gt.frames[self.pairs.gt[pairs]]

    @property
    def track_pairs(self) -> IntArray:
        """(E,) one number per combination of a gt track and a result track."""
        gt_ids = self.gt.ids[self.pairs.gt]
        return gt_ids * self.result.num_tracks + self.result.ids[self.pairs.result]

    def split_track_pairs(self, track_pairs: IntArray) -> tuple[IntArray, IntArray]:
        """The gt track numbers and result track numbers of `track_pairs`."""
        gt_ids, result_ids = np.divmod(track_pairs, max(1, self.result.num_tracks))
        return gt_ids, result_ids

    def to_matrix(self, frame: int, pairs: slice, values: Values) -> Values:
        """(gt boxes, result boxes) matrix of the values of a frame's pairs, 0 elsewhere."""
        first, end = self.gt.starts[frame : frame + 2]
        other_first, other_end = self.result.starts[frame : frame + 2]
        matrix = np.zeros((end - first, other_end - other_first))
        matrix[self.pairs.gt[pairs] - first, self.pairs.result[pairs] - other_first] = values
        return matrix

    def pair_slice(self, frames: slice) -> slice:
        """The range of pair indices of a range of frames."""
        edges = self.gt.starts[[frames.start, frames.stop]]
        return slice(*np.searchsorted(self.pairs.gt, edges).tolist())

    def filter_boxes(self, keep_gt: Mask, keep_result: Mask) -> SequencePairs:
        """The boxes selected by the masks, and the pairs of those."""
        if keep_gt.all() and keep_result.all():
            return self
        pairs = self.pairs[keep_gt[self.pairs.gt] & keep_result[self.pairs.result]]
        renumbered = Pairs(
            (np.cumsum(keep_gt) - 1)[pairs.gt],
            (np.cumsum(keep_result) - 1)[pairs.result],
            pairs.iou,
        )
        gt, result = _filter_table(self.gt, keep_gt), _filter_table(self.result, keep_result)
        return SequencePairs(self.length, gt, result, renumbered)


def _filter_table(table: BoxTable, keep: Mask) -> BoxTable:
    """The selected boxes; tracks without boxes are removed."""
    if keep.all():
        return table
    used, ids = np.unique(table.ids[keep], return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(keep)])[table.starts]
    return BoxTable(table.frames[keep], ids, table.rows[keep], starts, table.file_ids[used])


def make_box_table(rows: MotRows, length: int, keep: Mask | None = None) -> BoxTable:
    """Sort the rows of a file (those selected by `keep`) by frame; `length` is in frames."""
    chosen = np.flatnonzero(keep) if keep is not None else np.arange(len(rows))
    order = chosen[np.argsort(rows.frames[chosen], kind="stable")]
    frames = rows.frames[order] - 1
    file_ids, ids = np.unique(rows.ids[order], return_inverse=True)
    starts = np.searchsorted(frames, np.arange(length + 1))
    return BoxTable(frames, ids, order, starts, file_ids)


def pair_boxes(
    gt_rows: MotRows,
    result_rows: MotRows,
    length: int,
    keep_gt: Mask | None = None,
    keep_result: Mask | None = None,
) -> SequencePairs:
    """Find all overlapping pairs of the rows (those selected by the masks) of a sequence."""
    gt = make_box_table(gt_rows, length, keep_gt)
    result = make_box_table(result_rows, length, keep_result)
    found = [
        _pairs_in_frames(frames, gt, gt_rows.xywh, result, result_rows.xywh)
        for frames in frame_blocks(gt, result)
    ]
    pairs = Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    return SequencePairs(length, gt, result, pairs)


def frame_blocks(gt: BoxTable, result: BoxTable) -> list[slice]:
    """Ranges of frames with at most so many boxes as fit in the cache together."""
    boxes_before = gt.starts + result.starts
    marks = np.arange(_BLOCK, boxes_before[-1], _BLOCK)
    edges = [0, *np.searchsorted(boxes_before, marks).tolist(), len(boxes_before) - 1]
    return [slice(first, end) for first, end in pairwise(edges)]


def _pairs_in_frames(
    frames: slice, gt: BoxTable, gt_xywh: Values, result: BoxTable, result_xywh: Values
) -> PairArrays:
    """The overlapping pairs of a range of frames.

    With the result boxes sorted by frame and left edge, the candidates of a ground-truth box are
    one contiguous range.
    """
    first, a, a_frames = _corners_in_frames(frames, gt, gt_xywh)
    other_first, b, b_frames = _corners_in_frames(frames, result, result_xywh)
    order = np.lexsort((b[0], b_frames))
    low, high = _candidate_ranges(a, a_frames, b, b_frames, order)
    candidates = np.cumsum(high - low)
    marks = np.arange(_BLOCK, candidates[-1:].sum(), _BLOCK)
    edges = np.unique([0, *np.searchsorted(candidates, marks, side="right"), len(low)])
    found = [
        _compute_ious(np.arange(start, end), (low, high, order), a, b)
        for start, end in pairwise([0, *edges.tolist()])
    ]
    gt_boxes, result_boxes, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return gt_boxes + first, result_boxes + other_first, iou


def _corners_in_frames(
    frames: slice, table: BoxTable, xywh: Values
) -> tuple[int, Values, IntArray]:
    """Index of the first box of the frames, (4, N) xyxy planes and (N,) frames of all."""
    here = slice(int(table.starts[frames.start]), int(table.starts[frames.stop]))
    corners = boxes.xywh_to_xyxy(xywh[table.rows[here]]).T.astype(np.float64, copy=False)
    return here.start, corners, table.frames[here] - frames.start


def _candidate_ranges(
    a: Values, a_frames: IntArray, b: Values, b_frames: IntArray, order: IntArray
) -> tuple[IntArray, IntArray]:
    """(A,) start and end of the range in `order` of the boxes of `b` that each of `a` may overlap.

    Boxes sort by one key: the left edge plus an offset per frame that is larger than the image.
    """
    count = max(a_frames.max(initial=0), b_frames.max(initial=0)) + 1
    widest = np.zeros(count)  # width of the widest box of `b` in each frame
    np.maximum.at(widest, b_frames, b[2] - b[0])
    left = min(a[0].min(initial=0), b[0].min(initial=0))
    right = max(a[2].max(initial=0), b[2].max(initial=0))
    slack = 1.0 + 1e-6 * (right - left)  # larger than rounding errors
    span = 2 * (right - left + slack) + widest.max()  # offset that keeps frames apart
    keys = b_frames * span + (b[0][order] - left)
    base = a_frames * span - left
    low = np.searchsorted(keys, base + a[0] - widest[a_frames] - slack)
    high = np.searchsorted(keys, base + a[2] + slack)
    starts = np.searchsorted(b_frames, np.arange(count + 1))
    np.maximum(low, starts[a_frames], out=low)
    np.minimum(high, starts[a_frames + 1], out=high)
    return low, np.maximum(low, high, out=high)


def _compute_ious(
    gt: IntArray, ranges: tuple[IntArray, IntArray, IntArray], a: Values, b: Values
) -> PairArrays:
    """The overlapping pairs of some gt boxes with the candidates in their ranges."""
    low, high, order = ranges
    counts = high[gt] - low[gt]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    result = order[np.repeat(low[gt], counts) + within]
    gt = np.repeat(gt, counts)
    width = np.minimum(a[2][gt], b[2][result]) - np.maximum(a[0][gt], b[0][result])
    height = np.minimum(a[3][gt], b[3][result]) - np.maximum(a[1][gt], b[1][result])
    overlapping = (width > 0) & (height > 0)
    gt, result = gt[overlapping], result[overlapping]
    intersection = width[overlapping] * height[overlapping]
    area, other_area = boxes.area(a[:, gt].T), boxes.area(b[:, result].T)
    union = area + other_area - intersection
    valid = (area > EPS) & (other_area > EPS) & (union > EPS) & (intersection > 0)
    if not valid.all():
        gt, result = gt[valid], result[valid]
        intersection, union = intersection[valid], union[valid]
    return gt, result, intersection / union
