"""Raw content of annotation files, not yet checked; and the parsing helpers of all readers."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mot.errors import MotError
from mot.files import read_bytes

Box = tuple[float, float, float, float]
Entry = dict[str, Any]
_KIND_NAMES = {str: "a text", int: "an integer", list: "a list"}


class RawObject(NamedTuple):
    """One annotated object. Boxes are xyxy, and may be NaN, empty or anywhere."""

    box: Box
    class_name: str = "person"
    ignored: bool = False
    visible_box: Box | None = None
    visibility: float | None = None  # visible fraction, if annotated
    track: Hashable = None  # key of its identity, unique in the dataset


class RawImage(NamedTuple):
    """One annotated image; its file may be missing."""

    path: Path
    name: str
    objects: list[RawObject]
    size: tuple[int, int] = (0, 0)  # width, height; 0, 0: unknown
    number: int | None = None  # default: its position in the dataset, from 1


class RawDataset(NamedTuple):
    """The result of a reader."""

    images: Iterable[RawImage]
    class_names: tuple[str, ...] = ("person",)
    problems: tuple[tuple[str, tuple[str, ...]], ...] = ()  # kinds, each with examples


@contextmanager
def errors_at(location: object) -> Iterator[None]:
    """Turns a ValueError into a `MotError` that begins with the file or line."""
    try:
        yield
    except ValueError as error:
        raise MotError(f"{location}: {error}") from None


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(FILE:NUMBER, text) of each line that is not blank."""
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        location = f"{path}:{number}"
        with errors_at(location):
            text = _decode(line).strip()
        if text:
            yield location, text


def read_json(path: Path) -> Entry:
    with errors_at(path):
        return parse_json(_decode(read_bytes(path)))


def parse_json(text: str) -> Entry:
    """A JSON object. NaN is accepted: boxes that have it are dropped and counted later."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None


def get_entries(entry: Entry, key: str) -> list[Entry]:
    """The value of a key that must be a list of objects."""
    listed = entry.get(key)
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError(f"{key!r} must be a list of objects")
    return listed


def get_field(entry: Entry, key: str, kind: type) -> Any:
    """The value of a key that must be of a kind."""
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        fault = f"{_shorten(value)} is not {_KIND_NAMES[kind]}" if key in entry else "is missing"
        raise ValueError(f"{key!r} {fault}")
    return value


def get_size(entry: Entry, width: str = "width", height: str = "height") -> tuple[int, int]:
    """(width, height); 0, 0 if the entry has none."""
    sides = entry.get(width), entry.get(height)
    if not all(isinstance(side, int) and side > 0 for side in sides):
        return 0, 0
    return sides[0], sides[1]  # type: ignore[return-value]


def get_corners(entry: Entry, keys: Iterable[str]) -> Box:
    """xyxy, one number per key."""
    return _parse_box([entry.get(key) for key in keys], "corners")


def get_xywh(entry: Entry, key: str) -> Box:
    """xyxy, from a list of left, top, width and height."""
    left, top, width, height = _parse_box(entry.get(key), key)
    return left, top, left + width, top + height


def _parse_box(value: object, key: str) -> Box:
    if isinstance(value, list) and len(value) == 4:
        try:
            first, second, third, fourth = map(float, value)
            return first, second, third, fourth
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError(f"{key} {_shorten(value)} is not a box of four numbers")


def _shorten(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def replace_part(folder: Path, name: str, other: str) -> Path | None:
    """The path with its last part of that name replaced: labels/train -> images/train."""
    parts = list(folder.absolute().parts)
    if name not in parts:
        return None
    index = len(parts) - 1 - parts[::-1].index(name)
    return Path(*parts[:index], other, *parts[index + 1 :])


def find_files(folder: Path, pattern: str) -> list[Path]:
    """The matching files at any depth, sorted; at least one."""
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    found = sorted(folder.rglob(pattern))
    if not found:
        raise MotError(f"{folder}: no {pattern} in it")
    return found


def has_suffix(path: Path, *suffixes: str) -> bool:
    """Whether a path is that of a file with one of the suffixes, in any case."""
    return not path.is_dir() and path.suffix.lower() in suffixes


def contains(path: Path, *patterns: str) -> bool:
    """Whether a path is a folder in which something matches one of the patterns."""
    return path.is_dir() and any(next(path.glob(pattern), None) for pattern in patterns)
