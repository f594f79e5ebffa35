"""Reading "CVAT for video 1.1" XML. Bad content raises a ValueError that names the track.

Each track is converted to rows as soon as it is complete, so that memory does not grow with the
text. Files are not trusted: a DOCTYPE, which may declare endless entities, is rejected.
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

from mot.formats.safe_xml import SafeBuilder
from mot.formats.video_tracks import (
    CROWD,
    MAX_FRAMES,
    UNKNOWN,
    VideoTracks,
    find_class,
    select_rows,
)
from mot.motfile import DEFAULT_FPS, MAX_INTEGER, MotRows
from mot.rowreader import Table
from mot.types import IntArray

_CHUNK = 1 << 16  # bytes
_EXACT = decimal.Context(prec=400)  # as in cvat_write
# The columns of a track's table; the box is left, top, width, height.
_FRAME, _BOX, _SCORE, _VISIBILITY, _CLASS, _OUTSIDE, _KEYFRAME = 0, slice(1, 5), 5, 6, 7, 8, 9
_COLUMNS = 10
_CLASS_OF_LABEL = -1_000_000  # no class attribute: the class is that of the label
_METADATA = ("name", "size", "fps", "original_size/width", "original_size/height")
_Values = Element | Mapping[str, str]


class _Track(NamedTuple):
    number: int  # CVAT's, from 0
    own_id: int | None  # written by us
    label: str
    table: Table  # (boxes, _COLUMNS) by frame


def read(path: Path) -> list[VideoTracks]:
    builder = _parse(path)
    tracks = _interpolate(builder.tracks)
    classes, names = _assign_classes(tracks)
    rows = _rows(tracks, classes)
    return [_video(path.stem, builder.task, rows, names)]


class _Builder(SafeBuilder):
    """Keeps the task and the table of each track; drops the elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks: list[_Track] = []
        self.task: Element | None = None
        self._is_first = True

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        if self._is_first and tag != "annotations":
            raise ValueError(f"not CVAT: it begins with <{tag[:40]}>, not <annotations>")
        self._is_first = False
        if tag == "image":
            raise ValueError("contains images: export it from CVAT as 'CVAT for video 1.1'")
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
        raise ValueError(f"contains {len(tasks)} tasks: export them from CVAT one by one")
    return tasks[0] if tasks else None


def _track(element: Element, position: int) -> _Track:
    name = f"track {element.get('id', str(position))[:40]}"
    try:
        number = _integer(element, "id") if "id" in element.keys() else position
        other = {child.tag for child in element} - {"box", "attribute"}
        if other:
            raise ValueError(f"only boxes can be converted, not {min(other)[:40]}")
        attributes = _attributes(element)
        boxes = [(box, {**attributes, **_attributes(box)}) for box in element.findall("box")]
        own = next((_integer(values, "id") for _, values in boxes if "id" in values), None)
        table = np.array([_row(box, values) for box, values in boxes]).reshape(-1, _COLUMNS)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    table = table[np.argsort(table[:, _FRAME], kind="stable")]
    return _Track(number, own, element.get("label", "pedestrian"), table)


def _attributes(element: Element) -> dict[str, str]:
    """Numeric attributes and `ignored`; in other files, ours may have other values."""
    found = ((a.get("name", ""), (a.text or "").strip()) for a in element.findall("attribute"))
    return {name: text for name, text in found if name == "ignored" or _is_number(text)}


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except decimal.InvalidOperation:
        return False


def _row(box: Element, attributes: Mapping[str, str]) -> tuple[float, ...]:
    frame = _integer(box, "frame")
    if not 0 <= frame < MAX_FRAMES:
        raise ValueError(f"frame {frame} is not from 0 to {MAX_FRAMES - 1}")
    if _number(box, "rotation", 0):
        raise ValueError(f"the box in frame {frame} is rotated: set its rotation to 0 in CVAT")
    left, width = _span(box, "xtl", "xbr")
    top, height = _span(box, "ytl", "ybr")
    visibility = _number(attributes, "visibility", UNKNOWN)
    number = _integer(attributes, "mot_class", _CLASS_OF_LABEL)
    flags = box.get("outside", "0") == "1", box.get("keyframe", "1") == "1"
    return (frame, left, top, width, height, _score(attributes), visibility, number, *flags)


def _span(box: Element, near: str, far: str) -> tuple[float, float]:
    """Start and exact length of a side."""
    start, end = _decimal(box, near), _decimal(box, far)
    if end < start:
        raise ValueError(f"{far} is less than {near} in frame {box.get('frame')}")
    return float(start), float(_EXACT.subtract(end, start))


def _score(attributes: Mapping[str, str]) -> float:
    """The checkbox in CVAT overrides the number."""
    ignored = attributes.get("ignored", "").lower()
    score = _number(attributes, "score", 1.0)
    if ignored == "true":
        return 0.0
    return 1.0 if ignored and score == 0 else score


def _integer(values: _Values, key: str, default: int | None = None) -> int:
    number = _number(values, key, default)
    if not number.is_integer() or abs(number) > MAX_INTEGER:
        raise ValueError(f"{key} {number:g} is not an integer, or too large")
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


# All tracks together


def _interpolate(tracks: list[_Track]) -> list[_Track]:
    """Fill in the boxes between key frames, unless the file has every box, as CVAT's exports do."""
    if not all(track.table[:, _KEYFRAME].all() for track in tracks):
        return tracks
    missing = sum(int((_gaps(track.table) - 1).sum()) for track in tracks)
    if missing > MAX_FRAMES:
        raise ValueError(f"{missing} boxes lie between its key frames: is a frame number wrong?")
    return [track._replace(table=_fill(track.table)) for track in tracks]


def _gaps(table: Table) -> IntArray:
    """(boxes - 1,) frames from each box to the next; 1 after an `outside` box."""
    steps = np.maximum(np.diff(table[:, _FRAME]).astype(np.int64), 1)
    steps[table[:-1, _OUTSIDE] == 1] = 1
    return steps


def _fill(table: Table) -> Table:
    """Boxes between two key frames move linearly; other values are those of the first."""
    steps = _gaps(table)
    if (steps == 1).all():
        return table
    repeats = np.append(steps, 1)
    first = np.repeat(np.arange(len(table)), repeats)
    passed = np.arange(len(first)) - np.searchsorted(first, first)  # frames since the first
    following = np.minimum(first + 1, len(table) - 1)
    filled = table[first]
    filled[:, _FRAME] += passed
    fraction = (passed / repeats[first])[:, None]
    filled[:, _BOX] += fraction * (table[following, _BOX] - filled[:, _BOX])
    return filled


def _rows(tracks: list[_Track], classes: Mapping[str, int]) -> MotRows:
    """All boxes but the `outside` ones."""
    table = np.concatenate([np.zeros((0, _COLUMNS)), *(track.table for track in tracks)])
    lengths = [len(track.table) for track in tracks]
    ids = np.repeat(np.array(_ids(tracks), np.int64), lengths)
    label_classes = np.repeat(np.array([classes[t.label] for t in tracks], np.int64), lengths)
    numbers = table[:, _CLASS].astype(np.int64)
    rows = MotRows(
        table[:, _FRAME].astype(np.int64) + 1,
        ids,
        table[:, _BOX],
        table[:, _SCORE],
        np.where(numbers == _CLASS_OF_LABEL, label_classes, numbers),
        table[:, _VISIBILITY],
    )
    return select_rows(rows, np.flatnonzero(table[:, _OUTSIDE] == 0))


def _ids(tracks: list[_Track]) -> list[int]:
    """Our ids if written, else CVAT's number + 1 or, if that is taken, a free one."""
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


def _assign_classes(tracks: list[_Track]) -> tuple[dict[str, int], dict[int, str]]:
    """Label -> class number, and class number -> label."""
    written = {track.label: _written_class(track.table) for track in tracks}
    free = count(1 + max([CROWD, *(number for number in written.values() if number is not None)]))
    numbers = {}
    for label, number in written.items():
        known = find_class(label)
        numbers[label] = known if known is not None else next(free) if number is None else number
    return numbers, {number: label for label, number in numbers.items()}


def _written_class(table: Table) -> int | None:
    """The first class attribute in the boxes of a track."""
    written = table[table[:, _CLASS] != _CLASS_OF_LABEL, _CLASS]
    return int(written[0]) if len(written) else None


def _video(stem: str, task: Element | None, rows: MotRows, names: dict[int, str]) -> VideoTracks:
    values = {} if task is None else {key: task.findtext(key) or "" for key in _METADATA}
    known = {key: text.strip() for key, text in values.items() if text.strip()}
    length = max(_integer(known, "size", 0), rows.last_frame)
    width, height = (_integer(known, f"original_size/{side}", 0) for side in ("width", "height"))
    fps = _number(known, "fps", DEFAULT_FPS)
    if fps <= 0:
        raise ValueError(f"fps {fps:g} is not positive")
    size = (width, height) if width > 0 and height > 0 else None
    return VideoTracks(known.get("name", stem), rows, length, fps, size, None, names)
