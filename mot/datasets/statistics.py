"""Statistics of a dataset: object counts, sizes, crowding and visibility."""

from __future__ import annotations

import numpy as np

from mot import boxes as geometry
from mot.datasets.dataset import Dataset, ImageRecord
from mot.types import FloatArray

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def count_objects(data: Dataset) -> dict[str, int]:
    ignored = data.annotations.ignored
    return {
        "images": len(data),
        "without objects": sum(bool(each.annotations.ignored.all()) for each in data),
        "boxes": int((~ignored).sum()),
        "ignored": int(ignored.sum()),
        "beyond the edge": sum(map(_count_beyond, data)),
        "identities": len(np.unique(data.annotations.ids[data.annotations.ids >= 0])),
    }


def _count_beyond(record: ImageRecord) -> int:
    """Number of boxes that extend beyond an image of known size."""
    boxes = record.annotations.boxes[~record.annotations.ignored]
    if not all(record.size):
        return 0
    return int((geometry.clip(boxes, *record.size) != boxes).any(axis=1).sum())


def compute_distributions(data: Dataset) -> dict[str, FloatArray]:
    """The values of each quantity of all objects or images; without ignored objects."""
    found = data.annotations[~data.annotations.ignored]
    width, height = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    counts = [int((~each.annotations.ignored).sum()) for each in data]
    overlaps = [np.zeros(0, np.float32), *map(_max_overlaps, data)]
    return {
        "height in pixels": height,
        "width / height": width / height,
        "visible fraction": found.visibility,
        "maximum IoU with another": np.concatenate(overlaps),
        "objects per image": np.array(counts, np.float32),
        "longer image side": np.array([max(each.size) for each in data], np.float32),
    }


def _max_overlaps(record: ImageRecord) -> FloatArray:
    """(N,) largest IoU of each object with another one."""
    boxes = record.annotations.boxes[~record.annotations.ignored]
    overlaps = geometry.iou(boxes, boxes)
    np.fill_diagonal(overlaps, 0)
    largest: FloatArray = overlaps.max(axis=1, initial=0)
    return largest


def percentiles(values: FloatArray) -> list[float]:
    """The PERCENTILES of the values; zeros if there are none."""
    found: list[float] = np.percentile(values if len(values) else [0.0], PERCENTILES).tolist()
    return found
