"""EuroCity Persons (Braun et al., 2019): a JSON file an image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    at,
    beside,
    corners,
    entries,
    files_in,
    read_json,
    size_in,
)

_NOT_REAL = {"depiction", "reflection"}  # of people
_COVERED = re.compile(r"(?:occluded|truncated)>(\d+)")  # percent


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `labels/train`, or a part of it; the images lie in `img/train`."""
    folder = settings.source
    guesses = [path for path in (beside(folder, "labels", "img"), folder) if path]
    files = files_in(folder, "*.json")
    return RawDataset(_pictures(files, folder, settings.image_folder(guesses), settings.others))


def _pictures(files: list[Path], folder: Path, images: Path, others: str) -> Iterator[RawImage]:
    for path in files:
        name = path.relative_to(folder).with_suffix(".png").as_posix()
        entry = read_json(path)
        with at(path):
            things = list(_things(entry, others))
        yield RawImage(images / name, name, things, size_in(entry, "imagewidth", "imageheight"))


def _things(entry: Entry, others: str) -> Iterator[RawObject]:
    """Vehicles are nested below their riders; groups are annotated as one box."""
    for child in entries(entry, "children"):
        identity = child.get("identity")
        is_group = isinstance(identity, str) and "group" in identity
        is_wanted = identity == "pedestrian" or is_group
        if is_wanted or (identity == "rider" and others != "drop"):
            yield _thing(child, is_group or (identity == "rider" and others == "ignore"))
        if child.get("children"):
            yield from _things(child, others)


def _thing(entry: Entry, ignored: bool) -> RawObject:
    tags = {str(tag) for tag in _list(entry.get("tags"))}
    box = corners(entry, ("x0", "y0", "x1", "y1"))
    covered = [int(match[1]) for match in map(_COVERED.search, tags) if match]
    visibility = 1 - max(covered) / 100 if covered else None
    return RawObject(box, ignored=ignored or bool(tags & _NOT_REAL), visibility=visibility)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
