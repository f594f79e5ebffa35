"""Detections of many images beside what is to be found in them, as long arrays.

Overlaps are float64, as COCO's and CrowdHuman's own tools compute them: a pair that lies exactly at
a threshold falls on the same side of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.datasets.dataset import DataSet
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import Detections, IntArray

MIN_IOU = 0.1  # pairs that overlap by less are left out
_AT_ONCE = 1 << 20  # pairs whose overlaps are computed together


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is to be found, image by image."""

    boxes: Values  # (G, 4) xyxy
    records: IntArray  # (G,) rising positions in the dataset
    labels: IntArray  # (G,)
    ignored: Mask  # (G,) regions that are neither objects nor background
    shares: Values  # (G,) of the box that is seen

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Mask) -> Truth:
        return Truth(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Detections in the order of the images' numbers; those of an image by falling score."""

    boxes: Values  # (D, 4) xyxy
    records: IntArray  # (D,) positions in the dataset
    labels: IntArray  # (D,)
    scores: Values  # (D,)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Mask) -> Found:
        return Found(*(getattr(self, column.name)[rows] for column in fields(self)))

    def ranks(self) -> IntArray:
        """(D,) from 0: how many of the same image come before."""
        return places_in_runs(self.records)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Detections and truths of the same image that overlap, in the order of the detections."""

    found: IntArray  # (P,) rows
    truth: IntArray  # (P,) rows, rising for each detection
    iou: Values  # (P,) intersection over union
    cover: Values  # (P,) the share of the detection that lies in the truth

    def __getitem__(self, rows: Mask | IntArray) -> Pairs:
        return Pairs(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class DetectionPairs:
    """Both sides and the pairs between them."""

    records: int
    truth: Truth
    found: Found
    pairs: Pairs

    @property
    def objects(self) -> int:
        """How many there are to find."""
        return int(np.count_nonzero(~self.truth.ignored))

    @property
    def labels(self) -> IntArray:
        """The classes that there are objects of."""
        return np.unique(self.truth.labels[~self.truth.ignored])

    def of_class(self, label: int) -> DetectionPairs:
        """One class alone, within which every metric is defined."""
        return self.chosen(self.truth.labels == label, self.found.labels == label)

    def best_of_each(self, most: int) -> DetectionPairs:
        """At most so many detections of each image."""
        return self.chosen(np.ones(len(self.truth), np.bool_), self.found.ranks() < most)

    def chosen(self, truth: Mask, found: Mask) -> DetectionPairs:
        if truth.all() and found.all():
            return self
        pairs = self.pairs[truth[self.pairs.truth] & found[self.pairs.found]]
        pairs = replace(
            pairs,
            found=(np.cumsum(found) - 1)[pairs.found],
            truth=(np.cumsum(truth) - 1)[pairs.truth],
        )
        return DetectionPairs(self.records, self.truth[truth], self.found[found], pairs)

    def classes(self) -> Iterator[DetectionPairs]:
        yield from (self.of_class(int(label)) for label in self.labels)


def put_side_by_side(dataset: DataSet, found: Sequence[Detections]) -> DetectionPairs:
    """`found[i]` is what was detected in `dataset[i]`."""
    if len(dataset) != len(found):
        raise ValueError(f"detections of {len(found)} images for a dataset of {len(dataset)}")
    truth, table = _truth(dataset), _found(dataset, found)
    return DetectionPairs(len(dataset), truth, table, pair_up(truth, table))


def clipped(sides: DetectionPairs, dataset: DataSet) -> DetectionPairs:
    """All boxes cut to their images, where their sizes are known."""
    sizes = np.array([record.size for record in dataset], np.float64).reshape(-1, 2)
    sizes[sizes <= 0] = np.inf
    truth, found = (
        np.clip(side.boxes, 0, np.tile(sizes[side.records], 2))
        for side in (sides.truth, sides.found)
    )
    if (truth == sides.truth.boxes).all() and (found == sides.found.boxes).all():
        return sides
    cut = replace(sides.truth, boxes=truth), replace(sides.found, boxes=found)
    return DetectionPairs(sides.records, *cut, pair_up(*cut))


def pair_up(truth: Truth, found: Found) -> Pairs:
    """All that may match: an IoU from MIN_IOU on, or half of the detection in a region."""
    parts = [Pairs(*(np.zeros(0, np.int64),) * 2, *(np.zeros(0),) * 2)]
    for rows, others, shared in intersections(
        found.boxes, found.records, truth.boxes, truth.records
    ):
        area = areas(found.boxes)[rows]
        iou = _share(shared, area + areas(truth.boxes)[others] - shared)
        cover = _share(shared, area)
        kept = (iou >= MIN_IOU) | (truth.ignored[others] & (cover >= 0.5))
        parts.append(Pairs(rows[kept], others[kept], iou[kept], cover[kept]))
    columns = ([getattr(part, column.name) for part in parts] for column in fields(Pairs))
    return Pairs(*(np.concatenate(column) for column in columns))


def intersections(
    one: Values, records: IntArray, other: Values, other_pictures: IntArray
) -> Iterator[tuple[IntArray, IntArray, Values]]:
    """Rows of both that share an area in the same image, and the area; the other's images rise.

    In parts of bounded size.
    """
    first = np.searchsorted(other_pictures, records)
    counts = np.searchsorted(other_pictures, records, side="right") - first
    ends = np.cumsum(counts)
    planes, others = np.ascontiguousarray(one.T), np.ascontiguousarray(other.T)
    start = 0
    while start < len(one):
        done = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        rows = np.repeat(np.arange(start, stop), counts[start:stop])
        shift = first[start:stop] - (ends[start:stop] - counts[start:stop] - done)
        columns = np.arange(len(rows)) + np.repeat(shift, counts[start:stop])
        yield _overlapping(planes, others, rows, columns)
        start = stop


def _overlapping(
    a: Values, b: Values, rows: IntArray, columns: IntArray
) -> tuple[IntArray, IntArray, Values]:
    """Of candidates those that overlap; `a` and `b` are planes."""
    width = np.minimum(a[2][rows], b[2][columns]) - np.maximum(a[0][rows], b[0][columns])
    near = np.flatnonzero(width > 0)
    rows, columns, width = rows[near], columns[near], width[near]
    height = np.minimum(a[3][rows], b[3][columns]) - np.maximum(a[1][rows], b[1][columns])
    near = np.flatnonzero(height > 0)
    return rows[near], columns[near], width[near] * height[near]


def places_in_runs(values: IntArray) -> IntArray:
    """(N,) from 0, where equal values stand together: the place of each among its equals."""
    here = np.arange(len(values))
    begins = np.r_[True, values[1:] != values[:-1]] if len(values) else np.zeros(0, np.bool_)
    return here - np.maximum.accumulate(np.where(begins, here, 0))


def areas(corners: Values) -> Values:
    return boxes.area(corners).astype(np.float64, copy=False)


def mean(values: npt.ArrayLike) -> float:
    """The mean over classes with ground truth; others are nan."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def _truth(dataset: DataSet) -> Truth:
    source = dataset.annotations
    counts = [len(record.annotations) for record in dataset]
    return Truth(
        source.boxes.astype(np.float64),
        np.repeat(np.arange(len(dataset)), counts),
        source.labels,
        source.ignored,
        source.shares.astype(np.float64),
    )


def _found(dataset: DataSet, found: Sequence[Detections]) -> Found:
    numbers = np.array([record.number for record in dataset], np.int64)
    order = np.argsort(numbers, kind="stable").tolist()
    ordered = [Detections.empty(), *(found[place] for place in order)]
    records = np.repeat([-1, *order], [len(each) for each in ordered])
    scores = np.concatenate([each.scores for each in ordered]).astype(np.float64)
    turn = np.repeat(np.arange(len(ordered)), [len(each) for each in ordered])
    rows = np.lexsort((-scores, turn))  # which is stable
    return Found(
        np.concatenate([each.boxes for each in ordered]).astype(np.float64)[rows],
        records[rows],
        np.concatenate([each.labels for each in ordered])[rows],
        scores[rows],
    )


def _share(part: Values, full: Values) -> Values:
    return np.divide(part, full, out=np.zeros(len(part)), where=full > 0)
