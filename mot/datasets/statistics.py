"""How many people a dataset shows, how large, how close, how much of them is seen."""

from __future__ import annotations

import numpy as np

from mot import boxes as geometry
from mot.datasets.dataset import DataSet, ImageRecord
from mot.types import FloatArray

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def counts_of(data: DataSet) -> dict[str, int]:
    ignored = data.annotations.ignored
    return {
        "images": len(data),
        "without people": sum(bool(each.annotations.ignored.all()) for each in data),
        "boxes": int((~ignored).sum()),
        "ignored": int(ignored.sum()),
        "beyond the edge": sum(map(_beyond, data)),
        "identities": len(np.unique(data.annotations.ids[data.annotations.ids >= 0])),
    }


def _beyond(record: ImageRecord) -> int:
    """Boxes that reach out of an image of known size."""
    found = record.annotations
    boxes = found.boxes[~found.ignored]
    if not all(record.size):
        return 0
    return int((geometry.clip(boxes, *record.size) != boxes).any(axis=1).sum())


def distributions(data: DataSet) -> dict[str, FloatArray]:
    """The values of each quantity; of boxes that are not ignored, and of images."""
    found = data.annotations[~data.annotations.ignored]
    width, height = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    people = [int((~each.annotations.ignored).sum()) for each in data]
    return {
        "height in pixels": height,
        "width / height": width / height,
        "visible share": found.shares,
        "IoU with the nearest": np.concatenate([np.zeros(0, np.float32), *map(_crowding, data)]),
        "people in an image": np.array(people, np.float32),
        "longer side of an image": np.array([max(each.size) for each in data], np.float32),
    }


def _crowding(record: ImageRecord) -> FloatArray:
    """(N,) how much of each box another one covers at most."""
    boxes = record.annotations.boxes[~record.annotations.ignored]
    overlaps = geometry.iou(boxes, boxes)
    np.fill_diagonal(overlaps, 0)
    most: FloatArray = overlaps.max(axis=1, initial=0)
    return most


def percentiles(values: FloatArray) -> list[float]:
    """Of nothing, zeros."""
    found: list[float] = np.percentile(values if len(values) else [0.0], PERCENTILES).tolist()
    return found
