"""A dataset as COCO's JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mot import boxes as geometry
from mot.datasets.dataset import DataSet, ImageRecord
from mot.formats.coco_video_write import json_document, number_entries
from mot.formats.video_tracks import shortest_numbers
from mot.types import FloatArray

_DIGITS = 9  # behind the point: more than a float32 has


def coco_lines(data: DataSet, images: Path) -> Iterator[str]:
    """The text of the file; names of images begin in the folder `images`.

    What is ignored is a crowd to COCO too, whose evaluation knows no other word for it. Images
    keep their numbers where no two have the same.
    """
    numbers = [record.number for record in data]
    if len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(numbers) + 1))
    records = list(zip(numbers, data, strict=True))
    annotations = (_annotation_entries(*each) for each in records)
    return json_document(
        "images with boxes",
        {
            "images": (_image_entry(*each, images) for each in records),
            "annotations": number_entries(chain.from_iterable(annotations)),
            "categories": ({"id": i, "name": name} for i, name in enumerate(data.names, 1)),
        },
    )


def folder_of(data: DataSet) -> Path:
    """In which all its images lie."""
    return Path(os.path.commonpath([record.path.absolute().parent for record in data]))


def _image_entry(number: int, record: ImageRecord, images: Path) -> dict[str, Any]:
    name = Path(os.path.relpath(record.path.absolute(), images.absolute())).as_posix()
    width, height = record.size
    size = {"width": width, "height": height} if width and height else {}
    return {"id": number, "file_name": name, **size}


def _annotation_entries(number: int, record: ImageRecord) -> Iterator[dict[str, Any]]:
    found = record.annotations
    boxes, visible = _xywh(found.boxes), _xywh(found.visible)
    shares = [float(str(share)) for share in found.visible_fractions]
    columns = (found.labels.tolist(), found.ignored.tolist(), found.ids.tolist(), shares)
    flags = zip(*columns, strict=True)
    for box, part, (label, ignored, track, share) in zip(boxes, visible, flags, strict=True):
        yield {
            "image_id": number,
            "category_id": label + 1,
            "bbox": box,
            **({"vis_bbox": part} if part != box else {}),
            **({"visibility": share} if not math.isnan(share) else {}),
            **({"track_id": track} if track >= 0 else {}),
            "area": round(box[2] * box[3], 2),
            "iscrowd": int(ignored),
            "ignore": int(ignored),
        }


def _xywh(xyxy: FloatArray) -> list[list[int | float]]:
    """Few digits, from which the same float32 corners come back."""
    shortest = np.array([float(str(number)) for number in xyxy.ravel()]).reshape(-1, 4)
    return [shortest_numbers(box) for box in geometry.xyxy_to_xywh(shortest).round(_DIGITS)]
