"""COCO-style video JSON, read. What is wrong in it is a ValueError that names the entry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mot.formats.model import MOST_FRAMES, PEDESTRIAN, UNKNOWN, VideoTracks, chosen, number_labels
from mot.motfile import DEFAULT_FPS, LARGEST, MotRows, natural_key
from mot.rowreader import Table
from mot.types import IntArray

Entry = dict[str, Any]
_TRACK_KEYS = ("track_id", "instance_id")
_SCORE_KEYS = ("score", "conf", "mot_conf")
_FPS_KEYS = ("fps", "frame_rate", "frameRate")
_LARGEST_SIDE = 1_000_000  # pixels


def read(path: Path) -> list[VideoTracks]:
    data = _load(path)
    images, annotations = _entries(data, "images"), _entries(data, "annotations")
    videos = _videos(data, images)
    owners = _owners(images, videos)
    frames = _frame_numbers(images, owners)
    shown = _images_of(annotations, images)
    numbers, names = _classes(data)
    rows = _rows(annotations, frames[shown], numbers)
    found = []
    for index, video in enumerate(videos):
        pictures = np.flatnonzero(owners == index)
        own = chosen(rows, np.flatnonzero(owners[shown] == index))
        name = _name(video, path.stem, len(videos))
        found.append(
            _video(name, video, own, [images[i] for i in pictures], frames[pictures], names)
        )
    return found


def _load(path: Path) -> Entry:
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except UnicodeDecodeError:
        raise ValueError("not JSON: it is not text in UTF-8") from None
    except RecursionError:
        raise ValueError("not COCO: its parts are nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("not COCO: an object with images and annotations is expected")
    return data


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number that JSON has")


def _entries(data: Entry, key: str) -> list[Entry]:
    if key not in data:
        raise ValueError(f"not COCO: there are no {key!r} in it")
    entries = data[key]
    if not isinstance(entries, list):
        raise ValueError(f"{key!r} must be a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{key}[{index}]: {_short(entry)} is not an object")
    return entries


# One value of each entry, under whichever name it has


def _first(entry: Entry, keys: Sequence[str], default: Any = None) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), default)


def _numbers(values: list[Any], what: str, key: str) -> Table:
    """`what` and `key` are for the message: images, frame_id."""
    try:
        column = np.array(values, np.float64)
        if column.shape == (len(values),) and np.isfinite(column).all():
            return column
    except (TypeError, ValueError, OverflowError):
        pass
    index = next(i for i, value in enumerate(values) if not _is_number(value))
    if values[index] is None:
        raise ValueError(f"{what}[{index}]: {key} is missing")
    raise ValueError(f"{what}[{index}]: {key} {_short(values[index])} is not a number")


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(np.float64(value))) and not isinstance(value, list)
    except (TypeError, ValueError, OverflowError):
        return False


def _whole_numbers(values: list[Any], what: str, key: str, least: int | None = None) -> IntArray:
    column = _numbers(values, what, key)
    for bad, fault in (
        (column != np.floor(column), "is not a whole number"),
        (np.abs(column) > LARGEST, "is too large"),
        (column < (-LARGEST if least is None else least), f"is less than {least}"),
    ):
        if bad.any():
            index = int(bad.argmax())
            raise ValueError(f"{what}[{index}]: {key} {column[index]:g} {fault}")
    return column.astype(np.int64)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


# Videos and images


def _videos(data: Entry, images: list[Entry]) -> list[Entry]:
    """As listed; else those that the images name; else one."""
    listed = _entries(data, "videos") if data.get("videos") else []
    named = (image.get("video_id") for image in images)
    ids = dict.fromkeys(_identity(name, "images", "video_id") for name in named)
    return listed or [{"id": number} for number in ids] or [{"id": None}]


def _identity(value: Any, what: str, key: str) -> int | float | str | None:
    if value is None or isinstance(value, int | float | str):
        return value
    raise ValueError(f"{what}: {key} {_short(value)} is neither a number nor a text")


def _index_by_id(entries: list[Entry], what: str) -> dict[Any, int]:
    index: dict[Any, int] = {}
    for position, entry in enumerate(entries):
        if "id" not in entry:
            raise ValueError(f"{what}[{position}]: id is missing")
        number = _identity(entry["id"], f"{what}[{position}]", "id")
        if number in index:
            raise ValueError(f"{what}[{position}]: id {_short(number)} comes twice")
        index[number] = position
    return index


def _owners(images: list[Entry], videos: list[Entry]) -> IntArray:
    """(images,) the position of the video of each."""
    index = _index_by_id(videos, "videos")
    only = videos[0].get("id") if len(videos) == 1 else None
    owners = []
    for position, image in enumerate(images):
        number = image.get("video_id")
        number = only if number is None else number
        owners.append(_position(index, number, f"images[{position}]: video_id", "videos"))
    return np.array(owners, np.int64)


def _images_of(annotations: list[Entry], images: list[Entry]) -> IntArray:
    """(annotations,) the position of the image of each."""
    index = _index_by_id(images, "images")
    return np.array(
        [
            _position(index, entry.get("image_id"), f"annotations[{position}]: image_id", "images")
            for position, entry in enumerate(annotations)
        ],
        np.int64,
    )


def _position(index: dict[Any, int], number: Any, place: str, among: str) -> int:
    try:
        return index[number]
    except (KeyError, TypeError):
        raise ValueError(f"{place} {_short(number)} is not among the {among}") from None


def _frame_numbers(images: list[Entry], owners: IntArray) -> IntArray:
    """(images,) from 1. `frame_index` counts from 0; `frame_id` too if there is a 0 in the file;
    without either the names of the files say the order."""
    if all(image.get("frame_index") is not None for image in images):
        values = [image["frame_index"] for image in images]
        frames = 1 + _whole_numbers(values, "images", "frame_index", least=0)
    elif any(image.get("frame_id") is not None for image in images):
        values = [image.get("frame_id") for image in images]
        frames = _whole_numbers(values, "images", "frame_id", least=0)
        frames = frames + (frames.min(initial=1) == 0)
    else:
        frames = _in_natural_order(images, owners)
    _check_frames(frames, owners)
    return frames


def _in_natural_order(images: list[Entry], owners: IntArray) -> IntArray:
    keys = [natural_key(str(image.get("file_name", ""))) for image in images]
    order = sorted(range(len(images)), key=lambda i: (owners[i], keys[i], i))
    frames = np.zeros(len(images), np.int64)
    frames[order] = np.arange(len(images)) - np.searchsorted(owners[order], owners[order]) + 1
    return frames


def _check_frames(frames: IntArray, owners: IntArray) -> None:
    late = frames > MOST_FRAMES
    if late.any():
        raise ValueError(f"images[{late.argmax()}]: frame {frames[late][0]} is past {MOST_FRAMES}")
    _, first = np.unique(np.stack([owners, frames], axis=1), axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(frames)), first)
    if len(again):
        raise ValueError(f"images[{again[0]}]: its video has frame {frames[again[0]]} already")


def _name(video: Entry, stem: str, count: int) -> str:
    number = video.get("id")
    spare = stem if count == 1 else f"{stem}-{number}"
    return str(_first(video, ("name", "file_name"), spare))


def _video(
    name: str,
    entry: Entry,
    rows: MotRows,
    images: list[Entry],
    frames: IntArray,
    class_names: dict[int, str],
) -> VideoTracks:
    try:
        length = max(_whole(entry, "length", 0, MOST_FRAMES), int(frames.max(initial=0)))
        size = next((size for size in map(_size, [entry, *images]) if size), None)
        names = _image_names(images, frames, length)
        return VideoTracks(name, rows, length, _fps(entry), size, names, class_names)
    except ValueError as error:
        raise ValueError(f"video {_short(name)}: {error}") from None


def _fps(entry: Entry) -> float:
    fps = _first(entry, _FPS_KEYS, DEFAULT_FPS)
    if not _is_number(fps) or float(fps) <= 0:
        raise ValueError(f"fps {_short(fps)} is not a positive number")
    return float(fps)


def _size(entry: Entry) -> tuple[int, int] | None:
    if entry.get("width") is None or entry.get("height") is None:
        return None
    return _whole(entry, "width", 1, _LARGEST_SIDE), _whole(entry, "height", 1, _LARGEST_SIDE)


def _whole(entry: Entry, key: str, least: int, most: int) -> int:
    value = _first(entry, (key,), least)
    if not _is_number(value) or not (least <= float(value) <= most and float(value).is_integer()):
        raise ValueError(f"{key} {_short(value)} is not a whole number from {least} to {most}")
    return int(value)


def _image_names(images: list[Entry], frames: IntArray, length: int) -> tuple[str, ...] | None:
    if not any(image.get("file_name") for image in images):
        return None
    names = [""] * length
    for image, frame in zip(images, frames.tolist(), strict=True):
        names[frame - 1] = str(image.get("file_name") or "")
    return tuple(names)


# Annotations


def _rows(annotations: list[Entry], frames: IntArray, numbers: dict[int, int]) -> MotRows:
    what = "annotations"
    return MotRows(
        frames,
        _whole_numbers([_track(entry) for entry in annotations], what, "track_id"),
        _boxes(annotations),
        _numbers([_score(entry) for entry in annotations], what, "score"),
        _class_numbers(annotations, numbers),
        _numbers([_first(a, ("visibility",), UNKNOWN) for a in annotations], what, "visibility"),
    )


def _track(entry: Entry) -> Any:
    attributes = entry.get("attributes")
    inner = attributes.get("track_id") if isinstance(attributes, dict) else None
    return _first(entry, _TRACK_KEYS, UNKNOWN if inner is None else inner)


def _score(entry: Entry) -> Any:
    """Where none is written, an ignored one does not count, as the flag of MOTChallenge says."""
    return _first(entry, _SCORE_KEYS, 0 if entry.get("ignore") or entry.get("iscrowd") else 1)


def _boxes(annotations: list[Entry]) -> Table:
    boxes = [entry.get("bbox") for entry in annotations]
    for index, box in enumerate(boxes):
        if not isinstance(box, list) or len(box) != 4:
            fault = "is missing" if box is None else f"{_short(box)} is not [x, y, width, height]"
            raise ValueError(f"annotations[{index}]: bbox {fault}")
    sides = zip(*(box or () for box in boxes), strict=True)
    columns = [_numbers(list(side), "annotations", "in bbox") for side in sides]
    xywh = np.stack(columns, axis=1) if columns else np.zeros((0, 4))
    negative = (xywh[:, 2:] < 0).any(axis=1)
    if negative.any():
        index = int(negative.argmax())
        raise ValueError(
            f"annotations[{index}]: the width or height in bbox {boxes[index]} is negative"
        )
    return xywh


def _classes(data: Entry) -> tuple[dict[int, int], dict[int, str]]:
    """Our number for the id of each category, and the names of those that are not MOTChallenge's
    (or have another name there)."""
    entries = _entries(data, "categories") if data.get("categories") else []
    ids = _whole_numbers([entry.get("id") for entry in entries], "categories", "id").tolist()
    labels = {
        number: str(entry.get("name", f"class_{number}"))
        for number, entry in zip(ids, entries, strict=True)
    }
    numbers = number_labels(labels)
    names = {numbers[number]: label for number, label in labels.items()}
    return numbers, names


def _class_numbers(annotations: list[Entry], numbers: dict[int, int]) -> IntArray:
    """mmtracking calls everything a pedestrian and keeps MOTChallenge's number beside it."""
    what = "annotations"
    values = [_first(entry, ("category_id",), UNKNOWN) for entry in annotations]
    categories = _whole_numbers(values, what, "category_id").tolist()
    classes = [numbers.get(category, category) for category in categories]
    own = [
        _first(entry, ("mot_class_id",), number) if number == PEDESTRIAN else number
        for entry, number in zip(annotations, classes, strict=True)
    ]
    return _whole_numbers(own, what, "mot_class_id")
