"""Detections and ground truth of all images as long arrays, and the pairs that overlap.

Overlaps are float64, as in COCO's and CrowdHuman's own tools: a pair exactly at a threshold falls
on the same side of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.datasets.dataset import Dataset
from mot.evaluation.sequence_pairs import Mask, Values
from mot.types import Detections, IntArray

MIN_IOU = 0.1  # pairs that overlap less are left out
_BLOCK = 1 << 20  # pairs whose overlaps are computed together


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The annotated boxes of all images, image by image."""

    boxes: Values  # (G, 4) xyxy
    images: IntArray  # (G,) position in the dataset, rising
    labels: IntArray  # (G,)
    ignored: Mask  # (G,) regions that are neither objects nor background
    visibility: Values  # (G,) visible fraction

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Mask) -> GroundTruth:
        return GroundTruth(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class DetectionTable:
    """The detections of all images, by image number; within an image by falling score."""

    boxes: Values  # (D, 4) xyxy
    images: IntArray  # (D,) position in the dataset
    labels: IntArray  # (D,)
    scores: Values  # (D,)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Mask) -> DetectionTable:
        return DetectionTable(*(getattr(self, column.name)[rows] for column in fields(self)))

    def ranks(self) -> IntArray:
        """(D,) rank by score among the detections of the same image, from 0."""
        return rank_in_runs(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Overlapping pairs of a detection and a ground-truth box of one image, by detection."""

    detection: IntArray  # (P,) row
    gt: IntArray  # (P,) row, rising for each detection
    iou: Values  # (P,)
    coverage: Values  # (P,) share of the detection that is in the ground-truth box

    def __getitem__(self, rows: Mask | IntArray) -> Pairs:
        return Pairs(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class DetectionPairs:
    """Ground truth, detections, and the pairs between them."""

    num_images: int
    gt: GroundTruth
    detections: DetectionTable
    pairs: Pairs

    @property
    def num_objects(self) -> int:
        return int(np.count_nonzero(~self.gt.ignored))

    def limit_per_image(self, limit: int) -> DetectionPairs:
        """The best detections of each image."""
        return self.select(np.ones(len(self.gt), np.bool_), self.detections.ranks() < limit)

    def per_class(self) -> Iterator[DetectionPairs]:
        """One by one the classes that have objects; metrics are defined within a class."""
        for label in np.unique(self.gt.labels[~self.gt.ignored]).tolist():
            yield self.select(self.gt.labels == label, self.detections.labels == label)

    def select(self, gt: Mask, detections: Mask) -> DetectionPairs:
        if gt.all() and detections.all():
            return self
        pairs = self.pairs[gt[self.pairs.gt] & detections[self.pairs.detection]]
        pairs = replace(
            pairs,
            detection=(np.cumsum(detections) - 1)[pairs.detection],
            gt=(np.cumsum(gt) - 1)[pairs.gt],
        )
        return DetectionPairs(self.num_images, self.gt[gt], self.detections[detections], pairs)


def pair_detections(dataset: Dataset, found: Sequence[Detections]) -> DetectionPairs:
    """`found[i]` are the detections of `dataset[i]`."""
    if len(dataset) != len(found):
        raise ValueError(f"detections of {len(found)} images for a dataset of {len(dataset)}")
    gt, detections = _make_ground_truth(dataset), _make_table(dataset, found)
    return DetectionPairs(len(dataset), gt, detections, _find_pairs(gt, detections))


def clip_to_images(pairs: DetectionPairs, dataset: Dataset) -> DetectionPairs:
    """All boxes clipped to their images, if their sizes are known."""
    sizes = np.array([record.size for record in dataset], np.float64).reshape(-1, 2)
    sizes[sizes <= 0] = np.inf
    gt, detections = (
        np.clip(table.boxes, 0, np.tile(sizes[table.images], 2))
        for table in (pairs.gt, pairs.detections)
    )
    if (gt == pairs.gt.boxes).all() and (detections == pairs.detections.boxes).all():
        return pairs
    clipped = replace(pairs.gt, boxes=gt), replace(pairs.detections, boxes=detections)
    return DetectionPairs(pairs.num_images, *clipped, _find_pairs(*clipped))


def _find_pairs(gt: GroundTruth, detections: DetectionTable) -> Pairs:
    """All possible matches: an IoU of at least MIN_IOU, or half of the detection in a region."""
    parts = [Pairs(*(np.zeros(0, np.int64),) * 2, *(np.zeros(0),) * 2)]
    for rows, others, shared in find_intersections(
        detections.boxes, detections.images, gt.boxes, gt.images
    ):
        area = box_areas(detections.boxes)[rows]
        iou = _divide(shared, area + box_areas(gt.boxes)[others] - shared)
        coverage = _divide(shared, area)
        kept = (iou >= MIN_IOU) | (gt.ignored[others] & (coverage >= 0.5))
        parts.append(Pairs(rows[kept], others[kept], iou[kept], coverage[kept]))
    columns = ([getattr(part, column.name) for part in parts] for column in fields(Pairs))
    return Pairs(*(np.concatenate(column) for column in columns))


def find_intersections(
    a: Values, a_images: IntArray, b: Values, b_images: IntArray
) -> Iterator[tuple[IntArray, IntArray, Values]]:
    """Rows of `a` and `b` that overlap in the same image, and the area of overlap; in blocks of
    bounded size. `b_images` must be rising."""
    first = np.searchsorted(b_images, a_images)
    counts = np.searchsorted(b_images, a_images, side="right") - first
    ends = np.cumsum(counts)
    a_planes, b_planes = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    start = 0
    while start < len(a):
        done = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        rows = np.repeat(np.arange(start, stop), counts[start:stop])
        shift = first[start:stop] - (ends[start:stop] - counts[start:stop] - done)
        columns = np.arange(len(rows)) + np.repeat(shift, counts[start:stop])
        yield _keep_overlapping(a_planes, b_planes, rows, columns)
        start = stop


def _keep_overlapping(
    a: Values, b: Values, rows: IntArray, columns: IntArray
) -> tuple[IntArray, IntArray, Values]:
    """The candidates that overlap, and the areas; `a` and `b` are (4, N) planes."""
    width = np.minimum(a[2][rows], b[2][columns]) - np.maximum(a[0][rows], b[0][columns])
    near = np.flatnonzero(width > 0)
    rows, columns, width = rows[near], columns[near], width[near]
    height = np.minimum(a[3][rows], b[3][columns]) - np.maximum(a[1][rows], b[1][columns])
    near = np.flatnonzero(height > 0)
    return rows[near], columns[near], width[near] * height[near]


def rank_in_runs(values: IntArray) -> IntArray:
    """(N,) position of each value in its run of equal neighbors, from 0."""
    index = np.arange(len(values))
    begins = np.r_[True, values[1:] != values[:-1]] if len(values) else np.zeros(0, np.bool_)
    return index - np.maximum.accumulate(np.where(begins, index, 0))


def box_areas(xyxy: Values) -> Values:
    return boxes.area(xyxy).astype(np.float64, copy=False)


def mean_over_classes(values: npt.ArrayLike) -> float:
    """The mean without NaN, which classes without objects have."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def _make_ground_truth(dataset: Dataset) -> GroundTruth:
    source = dataset.annotations
    counts = [len(record.annotations) for record in dataset]
    return GroundTruth(
        source.boxes.astype(np.float64),
        np.repeat(np.arange(len(dataset)), counts),
        source.labels,
        source.ignored,
        source.visibility.astype(np.float64),
    )


def _make_table(dataset: Dataset, found: Sequence[Detections]) -> DetectionTable:
    numbers = np.array([record.number for record in dataset], np.int64)
    order = np.argsort(numbers, kind="stable").tolist()
    ordered = [Detections.empty(), *(found[index] for index in order)]
    counts = [len(each) for each in ordered]
    scores = np.concatenate([each.scores for each in ordered]).astype(np.float64)
    rows = np.lexsort((-scores, np.repeat(np.arange(len(ordered)), counts)))  # stable
    return DetectionTable(
        np.concatenate([each.boxes for each in ordered]).astype(np.float64)[rows],
        np.repeat([-1, *order], counts)[rows],
        np.concatenate([each.labels for each in ordered])[rows],
        scores[rows],
    )


def _divide(part: Values, full: Values) -> Values:
    return np.divide(part, full, out=np.zeros(len(part)), where=full > 0)
