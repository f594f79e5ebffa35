"""Raw content of dataset files, before it is checked; and helpers of their readers."""

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


class RawObject(NamedTuple):
    """One object. Its boxes are xyxy, and may be NaN, empty or anywhere."""

    box: Box
    name: str = "person"  # of its class
    ignored: bool = False
    visible: Box | None = None
    visibility: float | None = None  # visible fraction, where it is annotated
    track: Hashable = None  # who it is


class RawImage(NamedTuple):
    """One image, which may be missing."""

    path: Path
    name: str
    things: list[RawObject]
    size: tuple[int, int] = (0, 0)
    number: int | None = None  # else its place in the dataset, from 1


class RawDataset(NamedTuple):
    """What a reader gives."""

    records: Iterable[RawImage]
    names: tuple[str, ...] = ("person",)  # of the classes
    notes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # what is wrong, and examples of it


@contextmanager
def at(place: object) -> Iterator[None]:
    """What is wrong in here is wrong at this place of a file."""
    try:
        yield
    except ValueError as error:
        raise MotError(f"{place}: {error}") from None


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Those that hold something, each with its place."""
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        with at(f"{path}:{number}"):
            text = _text(line).strip()
        if text:
            yield f"{path}:{number}", text


def read_json(path: Path) -> Entry:
    with at(path):
        return parse_json(_text(read_bytes(path)))


def parse_json(text: str) -> Entry:
    """An object. NaN is let through: a box that has it is dropped and counted later."""
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


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None


def entries(entry: Entry, key: str) -> list[Entry]:
    """The objects of a list."""
    listed = entry.get(key)
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError(f"{key!r} must be a list of objects")
    return listed


def field(entry: Entry, key: str, kind: type) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        fault = f"{_short(value)} is not {_KINDS[kind]}" if key in entry else "is missing"
        raise ValueError(f"{key!r} {fault}")
    return value


_KINDS = {str: "a text", int: "an integer", list: "a list"}


def size_in(entry: Entry, width: str = "width", height: str = "height") -> tuple[int, int]:
    """(width, height); 0, 0 where the entry has none."""
    sides = entry.get(width), entry.get(height)
    if not all(isinstance(side, int) and side > 0 for side in sides):
        return 0, 0
    return sides[0], sides[1]  # type: ignore[return-value]


def corners(entry: Entry, keys: Iterable[str]) -> Box:
    """xyxy, one number under each key."""
    return _box([entry.get(key) for key in keys], "corners")


def from_xywh(entry: Entry, key: str) -> Box:
    """xyxy of a list."""
    left, top, width, height = _box(entry.get(key), key)
    return left, top, left + width, top + height


def _box(value: object, key: str) -> Box:
    if isinstance(value, list) and len(value) == 4:
        try:
            first, second, third, fourth = map(float, value)
            return first, second, third, fourth
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError(f"{key} {_short(value)} is not a box of four numbers")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def beside(folder: Path, name: str, other: str) -> Path | None:
    """The folder with the last part of that name replaced: labels/train to images/train."""
    parts = list(folder.absolute().parts)
    if name not in parts:
        return None
    place = len(parts) - 1 - parts[::-1].index(name)
    return Path(*parts[:place], other, *parts[place + 1 :])


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The matching files below, in order; there is at least one."""
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    found = sorted(folder.rglob(pattern))
    if not found:
        raise MotError(f"{folder}: no {pattern} in it")
    return found
