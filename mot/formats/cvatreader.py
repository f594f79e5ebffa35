"""CVAT for video 1.1, read. What is wrong in it is a ValueError that names the track.

Each track becomes rows as soon as it is complete, so that memory does not grow with the text. The
file is not trusted: one with a DOCTYPE, where entities that expand without end are declared, is
refused.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from mot.formats.model import CROWD, MOST_FRAMES, UNKNOWN, VideoTracks, chosen, class_of_label
from mot.formats.safexml import SafeBuilder
from mot.motfile import DEFAULT_FPS, LARGEST, MotRows
from mot.rowreader import Table
from mot.types import IntArray

_CHUNK = 1 << 16  # bytes
_EXACT = decimal.Context(prec=400)  # as the writer
# The columns of a track's table; the box is left, top, width, height.
_FRAME, _BOX, _SCORE, _VISIBILITY, _CLASS, _OUTSIDE, _KEYFRAME = 0, slice(1, 5), 5, 6, 7, 8, 9
_COLUMNS = 10
_AS_LABELLED = -1_000_000  # no class is written but that of the label
_FACTS = ("name", "size", "fps", "original_size/width", "original_size/height")
_Values = Element | Mapping[str, str]


class _Track(NamedTuple):
    number: int  # CVAT's, from 0
    own_id: int | None  # as we wrote it
    label: str
    table: Table  # (boxes, _COLUMNS) by frame


def read(path: Path) -> list[VideoTracks]:
    builder = _parse(path)
    tracks = _interpolated(builder.tracks)
    classes, names = _number_labels(tracks)
    rows = _rows(tracks, classes)
    return [_video(path.stem, builder.task, rows, names)]


class _Builder(SafeBuilder):
    """Keeps the task and the tables of the tracks, and drops the elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks: list[_Track] = []
        self.task: Element | None = None
        self._is_first = True

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        if self._is_first and tag != "annotations":
            raise ValueError(f"not CVAT's: it begins with <{tag[:40]}>, not <annotations>")
        self._is_first = False
        if tag == "image":
            raise ValueError("holds images: export it from CVAT as 'CVAT for video 1.1'")
        return super().start(tag, attributes)

    def end(self, tag: str) -> Element:
        element = super().end(tag)
        if tag == "track":
            self.tracks.append(_track(element, len(self.tracks)))
            element.clear()
        elif tag == "meta":
            self.task = _task(element)
        return element


def _parse(path: Path) -> _Builder:
    builder = _Builder()
    parser = ElementTree.XMLParser(target=builder)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                parser.feed(chunk)
        parser.close()
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"not XML: {error}") from None
    return builder


def _task(meta: Element) -> Element | None:
    tasks = [*meta.iter("task"), *meta.iter("job")]
    if len(tasks) > 1:
        raise ValueError(f"holds {len(tasks)} tasks: export them from CVAT one by one")
    return tasks[0] if tasks else None


def _track(element: Element, position: int) -> _Track:
    place = f"track {element.get('id', str(position))[:40]}"
    try:
        number = _whole(element, "id") if "id" in element.keys() else position
        other = {child.tag for child in element} - {"box", "attribute"}
        if other:
            raise ValueError(f"only boxes can be converted, not {min(other)[:40]}")
        attributes = _attributes(element)
        boxes = [(box, {**attributes, **_attributes(box)}) for box in element.findall("box")]
        own = next((_whole(said, "id") for _, said in boxes if "id" in said), None)
        table = np.array([_row(box, said) for box, said in boxes]).reshape(-1, _COLUMNS)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    table = table[np.argsort(table[:, _FRAME], kind="stable")]
    return _Track(number, own, element.get("label", "pedestrian"), table)


def _attributes(element: Element) -> dict[str, str]:
    """Those that we wrote, or that read so: `visibility` may be a word in other people's files."""
    found = ((a.get("name", ""), (a.text or "").strip()) for a in element.findall("attribute"))
    return {name: text for name, text in found if name == "ignored" or _is_number(text)}


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except decimal.InvalidOperation:
        return False


def _row(box: Element, attributes: Mapping[str, str]) -> tuple[float, ...]:
    frame = _whole(box, "frame")
    if not 0 <= frame < MOST_FRAMES:
        raise ValueError(f"frame {frame} is not from 0 to {MOST_FRAMES - 1}")
    if _number(box, "rotation", 0):
        raise ValueError(f"the box in frame {frame} is rotated: set its rotation to 0 in CVAT")
    left, width = _span(box, "xtl", "xbr")
    top, height = _span(box, "ytl", "ybr")
    visibility = _number(attributes, "visibility", UNKNOWN)
    number = _whole(attributes, "mot_class", _AS_LABELLED)
    flags = box.get("outside", "0") == "1", box.get("keyframe", "1") == "1"
    return (frame, left, top, width, height, _score(attributes), visibility, number, *flags)


def _span(box: Element, near: str, far: str) -> tuple[float, float]:
    """Where a side begins and its length, to the last digit."""
    begin, end = _decimal(box, near), _decimal(box, far)
    if end < begin:
        raise ValueError(f"{far} is less than {near} in frame {box.get('frame')}")
    return float(begin), float(_EXACT.subtract(end, begin))


def _score(attributes: Mapping[str, str]) -> float:
    """What is ticked or not in CVAT goes before the number."""
    ignored = attributes.get("ignored", "").lower()
    score = _number(attributes, "score", 1.0)
    if ignored == "true":
        return 0.0
    return 1.0 if ignored and score == 0 else score


def _whole(values: _Values, key: str, default: int | None = None) -> int:
    number = _number(values, key, default)
    if not number.is_integer() or abs(number) > LARGEST:
        raise ValueError(f"{key} {number:g} is not a whole number that can be")
    return int(number)


def _number(values: _Values, key: str, default: float | None = None) -> float:
    if default is not None and values.get(key) is None:
        return float(default)
    return float(_decimal(values, key))


def _decimal(values: _Values, key: str) -> Decimal:
    text = values.get(key)
    if text is None:
        raise ValueError(f"{key} is missing")
    try:
        number = Decimal(text)
        if abs(float(number)) < float("inf"):
            return number
    except (decimal.InvalidOperation, OverflowError, ValueError):
        pass
    raise ValueError(f"{key} {text[:40]!r} is not a number")


# What tracks are together


def _interpolated(tracks: list[_Track]) -> list[_Track]:
    """With the boxes between key frames, where those alone are in the file: CVAT's own exports
    have every box."""
    if not all(track.table[:, _KEYFRAME].all() for track in tracks):
        return tracks
    missing = sum(int((_gaps(track.table) - 1).sum()) for track in tracks)
    if missing > MOST_FRAMES:
        raise ValueError(f"{missing} boxes lie between its key frames: is a frame number wrong?")
    return [track._replace(table=_filled(track.table)) for track in tracks]


def _gaps(table: Table) -> IntArray:
    """(boxes - 1,) frames from each box to the next; 1 where nothing is seen between."""
    steps = np.maximum(np.diff(table[:, _FRAME]).astype(np.int64), 1)
    steps[table[:-1, _OUTSIDE] == 1] = 1
    return steps


def _filled(table: Table) -> Table:
    """A box between two moves in a straight line, and is otherwise as the first."""
    steps = _gaps(table)
    if (steps == 1).all():
        return table
    repeats = np.append(steps, 1)
    first = np.repeat(np.arange(len(table)), repeats)
    passed = np.arange(len(first)) - np.searchsorted(first, first)  # frames since the first
    following = np.minimum(first + 1, len(table) - 1)
    filled = table[first]
    filled[:, _FRAME] += passed
    share = (passed / repeats[first])[:, None]
    filled[:, _BOX] += share * (table[following, _BOX] - filled[:, _BOX])
    return filled


def _rows(tracks: list[_Track], classes: Mapping[str, int]) -> MotRows:
    """The boxes that are seen."""
    table = np.concatenate([np.zeros((0, _COLUMNS)), *(track.table for track in tracks)])
    lengths = [len(track.table) for track in tracks]
    ids = np.repeat(np.array(_ids(tracks), np.int64), lengths)
    labelled = np.repeat(np.array([classes[t.label] for t in tracks], np.int64), lengths)
    numbers = table[:, _CLASS].astype(np.int64)
    rows = MotRows(
        table[:, _FRAME].astype(np.int64) + 1,
        ids,
        table[:, _BOX],
        table[:, _SCORE],
        np.where(numbers == _AS_LABELLED, labelled, numbers),
        table[:, _VISIBILITY],
    )
    return chosen(rows, np.flatnonzero(table[:, _OUTSIDE] == 0))


def _ids(tracks: list[_Track]) -> list[int]:
    """Ours where they are written; else CVAT's number + 1, unless that is taken."""
    taken = {track.own_id for track in tracks if track.own_id is not None}
    free = count(1 + max([0, *taken, *(track.number + 1 for track in tracks)]))
    ids = []
    for track in tracks:
        number = track.own_id
        if number is None:
            number = next(free) if track.number + 1 in taken else track.number + 1
            taken.add(number)
        ids.append(number)
    return ids


def _number_labels(tracks: list[_Track]) -> tuple[dict[str, int], dict[int, str]]:
    """The class of each label, and the labels of classes that MOTChallenge does not have."""
    said = {track.label: _said_class(track.table) for track in tracks}
    free = count(1 + max([CROWD, *(number for number in said.values() if number is not None)]))
    numbers = {}
    for label, number in said.items():
        known = class_of_label(label)
        numbers[label] = known if known is not None else next(free) if number is None else number
    return numbers, {number: label for label, number in numbers.items()}


def _said_class(table: Table) -> int | None:
    said = table[table[:, _CLASS] != _AS_LABELLED, _CLASS]
    return int(said[0]) if len(said) else None


def _video(stem: str, task: Element | None, rows: MotRows, names: dict[int, str]) -> VideoTracks:
    values = {} if task is None else {key: task.findtext(key) or "" for key in _FACTS}
    known = {key: text.strip() for key, text in values.items() if text.strip()}
    length = max(_whole(known, "size", 0), rows.last_frame)
    width, height = (_whole(known, f"original_size/{side}", 0) for side in ("width", "height"))
    fps = _number(known, "fps", DEFAULT_FPS)
    if fps <= 0:
        raise ValueError(f"fps {fps:g} is not positive")
    size = (width, height) if width > 0 and height > 0 else None
    return VideoTracks(known.get("name", stem), rows, length, fps, size, None, names)
