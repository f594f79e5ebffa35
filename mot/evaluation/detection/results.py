"""Files of detections of a dataset.

COCO results are a list of objects with image_id, category_id, bbox and score. CrowdHuman's have one
line per image with ID and dtboxes. `mot detect` writes frames as JSON or as MOTChallenge text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mot import boxes
from mot.datasets.dataset import Dataset
from mot.datasets.parsing import (
    errors_at,
    get_entries,
    get_field,
    parse_json,
    read_lines,
)
from mot.errors import MotError
from mot.evaluation.detection.dataset_index import ClassKey, DatasetIndex, is_same_class
from mot.evaluation.sequence_pairs import Values
from mot.files import read_bytes
from mot.formats.video_tracks import MOT_CLASSES
from mot.motfile import read_detections
from mot.types import FARTHEST, Detections, IntArray


class DetectionResults(NamedTuple):
    detections: list[Detections]  # one per image of the dataset, of its classes
    num_others: int  # detections of other classes


def read_results(path: Path, index: DatasetIndex) -> DetectionResults:
    """The detections in a file of any of the formats."""
    return _READERS[path.suffix.lower()](path, index)


class _Row(NamedTuple):
    """One detection of a file, not yet checked."""

    image: int | str  # number or name
    label: ClassKey
    box: Any
    score: Any


def _read_json(path: Path, index: DatasetIndex) -> DetectionResults:
    with errors_at(path):
        listed = _parse_list(read_bytes(path))
        if listed and "detections" in listed[0]:
            frames = index.find_frames(path)
            return _build_results(path, list(_frame_rows(listed)), index, frames.get, is_xyxy=True)
        return _build_results(path, list(_coco_rows(listed, index)), index, index.find_image)


def _parse_list(data: bytes) -> list[dict[str, Any]]:
    try:
        return get_entries({"": json.loads(data)}, "")
    except (ValueError, RecursionError):
        raise ValueError("not detections: a list of objects in JSON is expected") from None


def _coco_rows(listed: Iterable[dict[str, Any]], index: DatasetIndex) -> Iterator[_Row]:
    for entry in listed:
        label = index.class_of_category(get_field(entry, "category_id", int))
        image = _get_image_key(entry, "image_id")
        yield _Row(image, label, entry.get("bbox"), entry.get("score"))


def _frame_rows(listed: Iterable[dict[str, Any]]) -> Iterator[_Row]:
    for entry in listed:
        frame = get_field(entry, "frame", int)
        for found in get_entries(entry, "detections"):
            label = found.get("name", found.get("label"))
            yield _Row(frame, label, found.get("box"), found.get("score"))


def _read_odgt(path: Path, index: DatasetIndex) -> DetectionResults:
    rows = []
    for location, line in read_lines(path):
        with errors_at(location):
            entry = parse_json(line)
            name = _get_image_key(entry, "ID")
            for found in get_entries(entry, "dtboxes"):
                tag = found.get("tag")
                label = tag - 1 if isinstance(tag, int) else tag
                rows.append(_Row(name, label, found.get("box"), found.get("score")))
    return _build_results(path, rows, index, index.find_image)


def _read_mot(path: Path, index: DatasetIndex) -> DetectionResults:
    frames, by_frame = index.find_frames(path), read_detections(path)
    results, num_others = [Detections.empty()] * len(index.dataset), 0
    numbers = {number for each in by_frame.values() for number in each.labels.tolist()}
    labels = {number: index.find_label(MOT_CLASSES.get(number)) for number in numbers}
    for frame, detections in by_frame.items():
        if frame not in frames:
            raise _unknown_image(path, f"frame {frame}", set(by_frame) - set(frames))
        own = [labels[number] for number in detections.labels.tolist()]
        known = np.array([label is not None for label in own], np.bool_)
        num_others += int(np.count_nonzero(~known))
        chosen = detections[known]
        kept = [label for label in own if label is not None]
        results[frames[frame]] = Detections.from_boxes(chosen.boxes, chosen.scores, kept)
    return DetectionResults(results, num_others)


_READERS = {".json": _read_json, ".odgt": _read_odgt, ".txt": _read_mot}
SUFFIXES = tuple(_READERS)


def _get_image_key(entry: Mapping[str, Any], key: str) -> int | str:
    value = entry.get(key)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError(f"{key!r} is missing" if value is None else f"{key!r} is no number or name")


def _build_results(
    path: Path,
    rows: Sequence[_Row],
    index: DatasetIndex,
    find_image: Callable[[Any], int | None],
    is_xyxy: bool = False,
) -> DetectionResults:
    """Checks and groups the rows; boxes are xywh unless `is_xyxy`."""
    unknown = {row.image for row in rows if find_image(row.image) is None}
    if unknown:
        raise _unknown_image(path, f"image {next(iter(unknown))!r}", unknown)
    labels = {key: index.find_label(key) for key in {row.label for row in rows}}
    known = [row for row in rows if labels[row.label] is not None]
    xyxy = _to_array(path, known, [row.box for row in known], 4, "box")
    if not is_xyxy:
        xyxy = boxes.xywh_to_xyxy(xyxy).astype(np.float64)
    negative = (xyxy[:, 2:] < xyxy[:, :2]).any(axis=1)
    if negative.any():
        row = known[int(negative.argmax())]
        raise MotError(f"{path}: image {row.image!r}: the box {row.box} has a negative size")
    scores = _to_array(path, known, [[row.score] for row in known], 1, "score")[:, 0]
    images = np.array([find_image(row.image) for row in known], np.int64)
    own = np.array([labels[row.label] for row in known], np.int64)
    detections = _group_by_image(images, xyxy, scores, own, len(index.dataset))
    return DetectionResults(detections, len(rows) - len(known))


def _to_array(
    path: Path, rows: Sequence[_Row], values: Sequence[Any], count: int, what: str
) -> Values:
    """(N, count) finite numbers of limited size; `values` are those of the rows."""
    try:
        table = np.array(values, np.float64).reshape(-1, count)
        if len(table) == len(rows) and (np.abs(table) <= FARTHEST / 2).all():
            return table
    except (TypeError, ValueError, OverflowError):
        pass
    row = next(row for row, value in zip(rows, values, strict=True) if not _is_valid(value, count))
    value = json.dumps(row.box if what == "box" else row.score)
    raise MotError(f"{path}: image {row.image!r}: {what} {value[:60]} is no {what}")


def _is_valid(value: Any, count: int) -> bool:
    try:
        numbers = np.array(value, np.float64)
        return numbers.shape == (count,) and bool((np.abs(numbers) <= FARTHEST / 2).all())
    except (TypeError, ValueError, OverflowError):
        return False


def _group_by_image(
    images: IntArray, xyxy: Values, scores: Values, labels: IntArray, count: int
) -> list[Detections]:
    order = np.argsort(images, kind="stable")
    ends = np.cumsum(np.bincount(images, minlength=count))[:-1]
    columns = (np.split(column[order], ends) for column in (xyxy, scores, labels))
    return [Detections.from_boxes(*part) for part in zip(*columns, strict=True)]


def _unknown_image(path: Path, first: str, unknown: set[Any]) -> MotError:
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    return MotError(
        f"{path}: {first}{more} is not in the ground truth: check that the detections are of this "
        "dataset, and that no images are missing"
    )


def format_coco_results(
    dataset: Dataset, found: Sequence[Detections], categories: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Rows for COCO's `loadRes`, with the image and category ids of the ground truth."""
    category_ids = _category_ids(dataset.names, categories)
    return [
        {
            "image_id": record.number,
            "category_id": category_ids[label],
            "bbox": [round(side, 3) for side in box],
            "score": round(score, 6),
        }
        for record, each in zip(dataset, found, strict=True)
        for box, score, label in zip(
            boxes.xyxy_to_xywh(each.boxes.astype(np.float64)).tolist(),
            each.scores.tolist(),
            each.labels.tolist(),
            strict=True,
        )
    ]


def _category_ids(names: Sequence[str], categories: Mapping[int, str] | None) -> Mapping[int, int]:
    if categories is None:
        return {label: label + 1 for label in range(len(names))}
    return {
        label: next(number for number, other in categories.items() if is_same_class(name, other))
        for label, name in enumerate(names)
    }
