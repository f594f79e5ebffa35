"""What every metric looks at: the boxes of both sides by frame, and the pairs that overlap.

The pairs are found once and shared by all metrics. They are computed in float64 by the same steps
as TrackEval's, so that ties and thresholds fall as they do there.
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
Overlaps = tuple[IntArray, IntArray, Values]  # the fields of `Pairs`

EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 16  # boxes, or pairs to try, at a time: the temporaries stay in the cache


@dataclass(frozen=True, slots=True, eq=False)
class BoxTable:
    """The boxes of the ground truth, or of a result: by frame, within it in the file's order."""

    frames: IntArray  # (N,) from 0
    ids: IntArray  # (N,) from 0 without gaps
    rows: IntArray  # (N,) where each box stands in its file
    starts: IntArray  # (frames + 1,) the first box of each frame
    names: IntArray  # (people,) what each id is called in the file

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def people(self) -> int:
        return len(self.names)

    @property
    def per_frame(self) -> IntArray:
        return np.diff(self.starts)

    @property
    def boxes_of_people(self) -> IntArray:
        """(people,) the number of boxes of each."""
        return np.bincount(self.ids, minlength=self.people)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The overlapping pairs of a truth and a result box of one frame, by frame and truth box."""

    truth: IntArray  # (E,) the box of the truth
    result: IntArray  # (E,) the box of the result
    iou: Values  # (E,) above 0

    def __len__(self) -> int:
        return len(self.iou)

    def __getitem__(self, chosen: Mask | IntArray) -> Pairs:
        return Pairs(self.truth[chosen], self.result[chosen], self.iou[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class SequencePairs:
    """One sequence and one class, ready to be scored."""

    length: int  # frames
    truth: BoxTable
    result: BoxTable
    pairs: Pairs
    lies_in_columns: bool = False  # as TrackEval's matrices do: it decides how sums are rounded

    @property
    def is_one_sided(self) -> bool:
        return not (len(self.truth) and len(self.result))

    @property
    def pair_frames(self) -> IntArray:
        """(E,) from 0."""
        return self.truth.frames[self.pairs.truth]

    def pair_frames_of(self, pairs: IntArray) -> IntArray:
        return self.truth.frames[self.pairs.truth[pairs]]

    @property
    def people_pairs(self) -> IntArray:
        """(E,) one number for each pair of a person of the truth and a person of the result."""
        truth_ids = self.truth.ids[self.pairs.truth]
        return truth_ids * self.result.people + self.result.ids[self.pairs.result]

    def dense(self, frame: int, pairs: slice, values: Values) -> Values:
        """(boxes of the truth, boxes of the result): the values of a frame's pairs, else 0."""
        first, end = self.truth.starts[frame : frame + 2]
        other_first, other_end = self.result.starts[frame : frame + 2]
        matrix = np.zeros((end - first, other_end - other_first))
        found = self.pairs
        matrix[found.truth[pairs] - first, found.result[pairs] - other_first] = values
        return matrix

    def pairs_of(self, frames: slice) -> slice:
        """Where the pairs of some frames are."""
        edges = self.truth.starts[[frames.start, frames.stop]]
        return slice(*np.searchsorted(self.pairs.truth, edges).tolist())


def side_of(rows: MotRows, length: int, kept: Mask | None = None) -> BoxTable:
    """The kept rows of a file, all by default, in the order of their frames."""
    chosen = np.flatnonzero(kept) if kept is not None else np.arange(len(rows))
    order = chosen[np.argsort(rows.frames[chosen], kind="stable")]
    frames = rows.frames[order] - 1
    names, ids = np.unique(rows.ids[order], return_inverse=True)
    starts = np.searchsorted(frames, np.arange(length + 1))
    return BoxTable(frames, ids, order, starts, names)


def chosen_scene(scene: SequencePairs, truth_kept: Mask, result_kept: Mask) -> SequencePairs:
    """The scene with the kept boxes alone."""
    if truth_kept.all() and result_kept.all():
        return scene
    pairs = scene.pairs[truth_kept[scene.pairs.truth] & result_kept[scene.pairs.result]]
    renumbered = Pairs(
        (np.cumsum(truth_kept) - 1)[pairs.truth],
        (np.cumsum(result_kept) - 1)[pairs.result],
        pairs.iou,
    )
    truth, result = _chosen_boxes(scene.truth, truth_kept), _chosen_boxes(scene.result, result_kept)
    return SequencePairs(scene.length, truth, result, renumbered)


def _chosen_boxes(side: BoxTable, kept: Mask) -> BoxTable:
    """The side with the kept boxes alone; people with none left are no longer counted."""
    if kept.all():
        return side
    names, ids = np.unique(side.ids[kept], return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(kept)])[side.starts]
    return BoxTable(side.frames[kept], ids, side.rows[kept], starts, side.names[names])


def make_scene(
    truth_rows: MotRows,
    result_rows: MotRows,
    length: int,
    truth_kept: Mask | None = None,
    result_kept: Mask | None = None,
) -> SequencePairs:
    truth, result = (
        side_of(truth_rows, length, truth_kept),
        side_of(result_rows, length, result_kept),
    )
    found = [
        _overlaps_in(frames, truth, truth_rows.xywh, result, result_rows.xywh)
        for frames in frames_at_once(truth, result)
    ]
    pairs = Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    return SequencePairs(length, truth, result, pairs)


def frames_at_once(truth: BoxTable, result: BoxTable) -> list[slice]:
    """Runs of frames with so many boxes as stay in the cache together."""
    boxes_before = truth.starts + result.starts
    marks = np.arange(_BLOCK, boxes_before[-1], _BLOCK)
    edges = [0, *np.searchsorted(boxes_before, marks).tolist(), len(boxes_before) - 1]
    return [slice(first, end) for first, end in pairwise(edges)]


def _overlaps_in(
    frames: slice, truth: BoxTable, truth_xywh: Values, result: BoxTable, result_xywh: Values
) -> Overlaps:
    """The pairs of some frames' boxes that share an area.

    A box of the truth is tried only with the result boxes whose left edges lie where they can
    reach it: those stand together once the boxes of a frame are ordered by their left edge.
    """
    first, a, a_frames = _boxes_in(frames, truth, truth_xywh)
    other_first, b, b_frames = _boxes_in(frames, result, result_xywh)
    order = np.lexsort((b[0], b_frames))
    low, high = _reach(a, a_frames, b, b_frames, order)
    tried = np.cumsum(high - low)
    marks = np.searchsorted(tried, np.arange(_BLOCK, tried[-1:].sum(), _BLOCK), side="right")
    edges = np.unique([0, *marks, len(low)])
    found = [
        _overlaps_of(np.arange(start, end), (low, high, order), a, b)
        for start, end in pairwise([0, *edges.tolist()])
    ]
    some, others, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return some + first, others + other_first, iou


def _boxes_in(frames: slice, side: BoxTable, xywh: Values) -> tuple[int, Values, IntArray]:
    """The first box of the frames, the corners of all (4, N) and their frames."""
    here = slice(int(side.starts[frames.start]), int(side.starts[frames.stop]))
    corners = boxes.xywh_to_xyxy(xywh[side.rows[here]]).T.astype(np.float64, copy=False)
    return here.start, corners, side.frames[here] - frames.start


def _reach(
    a: Values, a_frames: IntArray, b: Values, b_frames: IntArray, order: IntArray
) -> tuple[IntArray, IntArray]:
    """The first and end of the result boxes, in order, that each truth box may overlap."""
    count = max(a_frames.max(initial=0), b_frames.max(initial=0)) + 1
    widest = np.zeros(count)  # of each frame's boxes
    np.maximum.at(widest, b_frames, b[2] - b[0])
    left = min(a[0].min(initial=0), b[0].min(initial=0))
    right = max(a[2].max(initial=0), b[2].max(initial=0))
    slack = 1.0 + 1e-6 * (right - left)  # beyond what rounding may take
    span = 2 * (right - left + slack) + widest.max()  # keeps the frames apart
    place = b_frames * span + (b[0][order] - left)
    base = a_frames * span - left
    low = np.searchsorted(place, base + a[0] - widest[a_frames] - slack)
    high = np.searchsorted(place, base + a[2] + slack)
    starts = np.searchsorted(b_frames, np.arange(count + 1))
    np.maximum(low, starts[a_frames], out=low)
    np.minimum(high, starts[a_frames + 1], out=high)
    return low, np.maximum(low, high, out=high)


def _overlaps_of(
    truth: IntArray, reach: tuple[IntArray, IntArray, IntArray], a: Values, b: Values
) -> Overlaps:
    """Of some boxes of the truth with all that they may overlap."""
    low, high, order = reach
    counts = high[truth] - low[truth]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    result = order[np.repeat(low[truth], counts) + within]
    truth = np.repeat(truth, counts)
    width = np.minimum(a[2][truth], b[2][result]) - np.maximum(a[0][truth], b[0][result])
    height = np.minimum(a[3][truth], b[3][result]) - np.maximum(a[1][truth], b[1][result])
    shared = (width > 0) & (height > 0)
    truth, result = truth[shared], result[shared]
    intersection = width[shared] * height[shared]
    area, other = _area(a, truth), _area(b, result)
    union = area + other - intersection
    sound = (area > EPS) & (other > EPS) & (union > EPS) & (intersection > 0)
    if not sound.all():
        truth, result = truth[sound], result[sound]
        intersection, union = intersection[sound], union[sound]
    return truth, result, intersection / union


def _area(corners: Values, chosen: IntArray) -> Values:
    left, top, right, bottom = (plane[chosen] for plane in corners)
    area: Values = (right - left) * (bottom - top)
    return area
