"""Files of detections, read and written.

COCO's results are a list of objects with image_id, category_id, bbox and score; CrowdHuman's have a
line an image with ID and dtboxes; `mot detect` writes frames, as JSON or as MOTChallenge's text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mot import boxes
from mot.datasets.dataset import DataSet
from mot.datasets.parsing import at, entries, field, lines_of, parse_json, read_json
from mot.errors import MotError
from mot.evaluation.detection.keys import Class, Key, is_same_class, mot_class
from mot.evaluation.sequence_pairs import Values
from mot.files import read_bytes
from mot.motfile import read_detections
from mot.types import FARTHEST, Detections, IntArray


class Row(NamedTuple):
    """One detection of a file."""

    record: int | str  # its number, or its name
    label: Class
    box: Any  # four numbers, one hopes
    score: Any


class RawImage(NamedTuple):
    """The detections of a file that are of the dataset's classes."""

    found: list[Detections]  # one for each image of the dataset
    others: int  # how many are of other classes


def read_results(path: Path, key: Key) -> RawImage:
    """Detections of the dataset's images, from a file of any of the formats."""
    return _READERS[path.suffix.lower()](path, key)


def _read_json(path: Path, key: Key) -> RawImage:
    with at(path):
        listed = _list_of(read_bytes(path))
        if listed and "detections" in listed[0]:
            frames = key.frames(path)
            return _told(path, list(_frame_rows(listed)), key, frames.get, is_corners=True)
        return _told(path, list(_coco_rows(listed, key)), key, key.place_of)


def _list_of(data: bytes) -> list[dict[str, Any]]:
    """JSON whose outermost is a list of objects."""
    try:
        return entries({"it": json.loads(data)}, "it")
    except (ValueError, RecursionError):
        raise ValueError("not detections: a list of objects in JSON is expected") from None


def _coco_rows(listed: Iterable[dict[str, Any]], key: Key) -> Iterator[Row]:
    for entry in listed:
        label = key.category(field(entry, "category_id", int))
        yield Row(_picture(entry, "image_id"), label, entry.get("bbox"), entry.get("score"))


def _frame_rows(listed: Iterable[dict[str, Any]]) -> Iterator[Row]:
    for entry in listed:
        frame = field(entry, "frame", int)
        for found in entries(entry, "detections"):
            label = found.get("name", found.get("label"))
            yield Row(frame, label, found.get("box"), found.get("score"))


def _read_odgt(path: Path, key: Key) -> RawImage:
    rows = []
    for place, line in lines_of(path):
        with at(place):
            entry = parse_json(line)
            name = _picture(entry, "ID")
            for found in entries(entry, "dtboxes"):
                tag = found.get("tag")
                label = tag - 1 if isinstance(tag, int) else tag
                rows.append(Row(name, label, found.get("box"), found.get("score")))
    return _told(path, rows, key, key.place_of)


def _read_mot(path: Path, key: Key) -> RawImage:
    frames, table = key.frames(path), read_detections(path)
    found, others = [Detections.empty()] * len(key.dataset), 0
    numbers = {number for each in table.values() for number in each.labels.tolist()}
    label_of = {number: key.label_of(mot_class(number) or None) for number in numbers}
    for frame, detections in table.items():
        if frame not in frames:
            raise MotError(_strange(path, f"frame {frame}", set(table) - set(frames)))
        labels = [label_of[number] for number in detections.labels.tolist()]
        known = np.array([label is not None for label in labels], np.bool_)
        others += int(np.count_nonzero(~known))
        chosen = detections[known]
        own = [label for label in labels if label is not None]
        found[frames[frame]] = Detections.from_boxes(chosen.boxes, chosen.scores, own)
    return RawImage(found, others)


_READERS = {".json": _read_json, ".odgt": _read_odgt, ".txt": _read_mot}
SUFFIXES = tuple(_READERS)


def _picture(entry: Mapping[str, Any], key: str) -> int | str:
    value = entry.get(key)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError(f"{key!r} is missing" if value is None else f"{key!r} is no number or name")


def _told(
    path: Path,
    rows: Sequence[Row],
    key: Key,
    place_of: Callable[[Any], int | None],
    is_corners: bool = False,
) -> RawImage:
    strange = {row.record for row in rows if place_of(row.record) is None}
    if strange:
        raise MotError(_strange(path, f"image {next(iter(strange))!r}", strange))
    label_of = {value: key.label_of(value) for value in {row.label for row in rows}}
    known = [row for row in rows if label_of[row.label] is not None]
    corners = _numbers(path, known, [row.box for row in known], 4, "box")
    if not is_corners:
        corners = boxes.xywh_to_xyxy(corners).astype(np.float64)
    wrong = (corners[:, 2:] < corners[:, :2]).any(axis=1)
    if wrong.any():
        row = known[int(wrong.argmax())]
        raise MotError(f"{path}: image {row.record!r}: the box {row.box} has a negative size")
    scores = _numbers(path, known, [[row.score] for row in known], 1, "score")[:, 0]
    positions = np.array([place_of(row.record) for row in known], np.int64)
    labels = np.array([label_of[row.label] for row in known], np.int64)
    found = _by_record(positions, corners, scores, labels, len(key.dataset))
    return RawImage(found, len(rows) - len(known))


def _numbers(
    path: Path, rows: Sequence[Row], values: Sequence[Any], count: int, what: str
) -> Values:
    """(N, count), all of them numbers within reach."""
    try:
        table = np.array(values, np.float64).reshape(-1, count)
        if len(table) == len(rows) and (np.abs(table) <= FARTHEST / 2).all():
            return table
    except (TypeError, ValueError, OverflowError):
        pass
    row = next(row for row, value in zip(rows, values, strict=True) if not _is_sound(value, count))
    value = json.dumps(row.box if what == "box" else row.score)
    raise MotError(f"{path}: image {row.record!r}: {what} {value[:60]} is no {what}")


def _is_sound(value: Any, count: int) -> bool:
    try:
        numbers = np.array(value, np.float64)
        return numbers.shape == (count,) and bool((np.abs(numbers) <= FARTHEST / 2).all())
    except (TypeError, ValueError, OverflowError):
        return False


def _by_record(
    positions: IntArray, corners: Values, scores: Values, labels: IntArray, count: int
) -> list[Detections]:
    order = np.argsort(positions, kind="stable")
    ends = np.cumsum(np.bincount(positions, minlength=count))[:-1]
    columns = (np.split(column[order], ends) for column in (corners, scores, labels))
    return [Detections.from_boxes(*part) for part in zip(*columns, strict=True)]


def _strange(path: Path, which: str, strange: set[Any]) -> str:
    more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
    return (
        f"{path}: {which}{more} is not in the ground truth: are the detections of another data "
        "set, or of images that are missing?"
    )


def coco_results(
    dataset: DataSet, found: Sequence[Detections], categories: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """As COCO's `loadRes` reads them, with the ground truth's numbers of images and classes."""
    numbers = _category_numbers(dataset.names, categories)
    return [
        {
            "image_id": record.number,
            "category_id": numbers[label],
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


def _category_numbers(
    names: Sequence[str], categories: Mapping[int, str] | None
) -> Mapping[int, int]:
    if categories is None:
        return {label: label + 1 for label in range(len(names))}
    return {
        label: next(number for number, other in categories.items() if is_same_class(name, other))
        for label, name in enumerate(names)
    }


def read_categories(path: Path) -> Mapping[int, str]:
    """Those of a ground truth in COCO's JSON."""
    data = read_json(path)
    with at(path):
        listed = entries(data, "categories")
        return {field(entry, "id", int): field(entry, "name", str) for entry in listed}
