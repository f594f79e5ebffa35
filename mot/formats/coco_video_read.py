"""Reading COCO-style video JSON. Bad content raises a ValueError that names the entry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mot.formats.video_tracks import (
    MAX_FRAMES,
    PEDESTRIAN,
    UNKNOWN,
    VideoTracks,
    assign_class_numbers,
    select_rows,
)
from mot.motfile import DEFAULT_FPS, MAX_INTEGER, MotRows, natural_key
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
    image_of = _images_of(annotations, images)
    numbers, names = _classes(data)
    rows = _rows(annotations, frames[image_of], numbers)
    found = []
    for index, video in enumerate(videos):
        own_images = np.flatnonzero(owners == index)
        own = select_rows(rows, np.flatnonzero(owners[image_of] == index))
        name = _name(video, path.stem, len(videos))
        found.append(
            _make_video(
                name, video, own, [images[i] for i in own_images], frames[own_images], names
            )
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
        raise ValueError("not COCO: expected an object with images and annotations")
    return data


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _entries(data: Entry, key: str) -> list[Entry]:
    if key not in data:
        raise ValueError(f"not COCO: it has no {key!r}")
    entries = data[key]
    if not isinstance(entries, list):
        raise ValueError(f"{key!r} must be a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{key}[{index}]: {_short(entry)} is not an object")
    return entries


# Values of entries, under alternative keys


def _first(entry: Entry, keys: Sequence[str], default: Any = None) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), default)


def _numbers(values: list[Any], what: str, key: str) -> Table:
    """(N,) `what` and `key`, such as images and frame_id, are for the message."""
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


def _integers(values: list[Any], what: str, key: str, minimum: int | None = None) -> IntArray:
    column = _numbers(values, what, key)
    for bad, fault in (
        (column != np.floor(column), "is not an integer"),
        (np.abs(column) > MAX_INTEGER, "is too large"),
        (column < (-MAX_INTEGER if minimum is None else minimum), f"is less than {minimum}"),
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
    """The listed videos, or those that the images name, or one."""
    listed = _entries(data, "videos") if data.get("videos") else []
    named = (image.get("video_id") for image in images)
    ids = dict.fromkeys(_check_id(name, "images", "video_id") for name in named)
    return listed or [{"id": number} for number in ids] or [{"id": None}]


def _check_id(value: Any, what: str, key: str) -> int | float | str | None:
    if value is None or isinstance(value, int | float | str):
        return value
    raise ValueError(f"{what}: {key} {_short(value)} is neither a number nor a string")


def _index_by_id(entries: list[Entry], what: str) -> dict[Any, int]:
    index: dict[Any, int] = {}
    for position, entry in enumerate(entries):
        if "id" not in entry:
            raise ValueError(f"{what}[{position}]: id is missing")
        number = _check_id(entry["id"], f"{what}[{position}]", "id")
        if number in index:
            raise ValueError(f"{what}[{position}]: id {_short(number)} occurs twice")
        index[number] = position
    return index


def _owners(images: list[Entry], videos: list[Entry]) -> IntArray:
    """(images,) index of the video of each image."""
    index = _index_by_id(videos, "videos")
    only = videos[0].get("id") if len(videos) == 1 else None
    owners = []
    for position, image in enumerate(images):
        number = image.get("video_id")
        number = only if number is None else number
        owners.append(_position(index, number, f"images[{position}]: video_id", "videos"))
    return np.array(owners, np.int64)


def _images_of(annotations: list[Entry], images: list[Entry]) -> IntArray:
    """(annotations,) index of the image of each annotation."""
    index = _index_by_id(images, "images")
    return np.array(
        [
            _position(index, entry.get("image_id"), f"annotations[{position}]: image_id", "images")
            for position, entry in enumerate(annotations)
        ],
        np.int64,
    )


def _position(index: dict[Any, int], number: Any, location: str, among: str) -> int:
    try:
        return index[number]
    except (KeyError, TypeError):
        raise ValueError(f"{location} {_short(number)} is not among the {among}") from None


def _frame_numbers(images: list[Entry], owners: IntArray) -> IntArray:
    """(images,) frame numbers from 1.

    `frame_index` counts from 0, `frame_id` too if it is 0 anywhere; without either, images are in
    the natural order of their file names.
    """
    if all(image.get("frame_index") is not None for image in images):
        values = [image["frame_index"] for image in images]
        frames = 1 + _integers(values, "images", "frame_index", minimum=0)
    elif any(image.get("frame_id") is not None for image in images):
        values = [image.get("frame_id") for image in images]
        frames = _integers(values, "images", "frame_id", minimum=0)
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
    is_beyond = frames > MAX_FRAMES
    if is_beyond.any():
        raise ValueError(
            f"images[{is_beyond.argmax()}]: frame {frames[is_beyond][0]} is beyond {MAX_FRAMES}"
        )
    _, first = np.unique(np.stack([owners, frames], axis=1), axis=0, return_index=True)
    repeated = np.setdiff1d(np.arange(len(frames)), first)
    if len(repeated):
        raise ValueError(
            f"images[{repeated[0]}]: its video has frame {frames[repeated[0]]} already"
        )


def _name(video: Entry, stem: str, count: int) -> str:
    number = video.get("id")
    default = stem if count == 1 else f"{stem}-{number}"
    return str(_first(video, ("name", "file_name"), default))


def _make_video(
    name: str,
    entry: Entry,
    rows: MotRows,
    images: list[Entry],
    frames: IntArray,
    class_names: dict[int, str],
) -> VideoTracks:
    try:
        length = max(_integer(entry, "length", 0, MAX_FRAMES), int(frames.max(initial=0)))
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
    return _integer(entry, "width", 1, _LARGEST_SIDE), _integer(entry, "height", 1, _LARGEST_SIDE)


def _integer(entry: Entry, key: str, minimum: int, maximum: int) -> int:
    value = _first(entry, (key,), minimum)
    if not _is_number(value) or not (
        minimum <= float(value) <= maximum and float(value).is_integer()
    ):
        raise ValueError(f"{key} {_short(value)} is not an integer from {minimum} to {maximum}")
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
        _integers([_track(entry) for entry in annotations], what, "track_id"),
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
    """By default 0 (does not count, as in MOTChallenge) for ignored objects, else 1."""
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
    """Category id -> our class number, and the names of our class numbers."""
    entries = _entries(data, "categories") if data.get("categories") else []
    ids = _integers([entry.get("id") for entry in entries], "categories", "id").tolist()
    category_names = {
        number: str(entry.get("name", f"class_{number}"))
        for number, entry in zip(ids, entries, strict=True)
    }
    numbers = assign_class_numbers(category_names)
    names = {numbers[number]: name for number, name in category_names.items()}
    return numbers, names


def _class_numbers(annotations: list[Entry], numbers: dict[int, int]) -> IntArray:
    """mmtracking labels everything as pedestrian and keeps MOTChallenge's class in its own key."""
    what = "annotations"
    values = [_first(entry, ("category_id",), UNKNOWN) for entry in annotations]
    categories = _integers(values, what, "category_id").tolist()
    classes = [numbers.get(category, category) for category in categories]
    own = [
        _first(entry, ("mot_class_id",), number) if number == PEDESTRIAN else number
        for entry, number in zip(annotations, classes, strict=True)
    ]
    return _integers(own, what, "mot_class_id")
