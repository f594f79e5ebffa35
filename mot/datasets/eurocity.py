"""EuroCity Persons (Braun et al., 2019): one JSON file per image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    contains,
    errors_at,
    find_files,
    get_corners,
    get_entries,
    get_size,
    read_json,
    replace_part,
)

_NOT_REAL = {"depiction", "reflection"}  # tags of images of persons
_OCCLUDED = re.compile(r"(?:occluded|truncated)>(\d+)")  # percent


def detect(path: Path) -> bool:
    return contains(path, "**/*.json")


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `labels/train`, or a part of it; its images are in `img/train`."""
    folder = settings.source
    candidates = [path for path in (replace_part(folder, "labels", "img"), folder) if path]
    return RawDataset(_read_images(folder, settings.image_folder(candidates), settings.others))


def _read_images(folder: Path, images: Path, others: str) -> Iterator[RawImage]:
    for path in find_files(folder, "*.json"):
        name = path.relative_to(folder).with_suffix(".png").as_posix()
        entry = read_json(path)
        with errors_at(path):
            objects = list(_parse_objects(entry, others))
        yield RawImage(images / name, name, objects, get_size(entry, "imagewidth", "imageheight"))


def _parse_objects(entry: Entry, others: str) -> Iterator[RawObject]:
    """Vehicles are children of their riders; a group has one box."""
    for child in get_entries(entry, "children"):
        identity = child.get("identity")
        is_group = isinstance(identity, str) and "group" in identity
        is_wanted = identity == "pedestrian" or is_group
        if is_wanted or (identity == "rider" and others != "drop"):
            yield _parse_object(child, is_group or (identity == "rider" and others == "ignore"))
        if child.get("children"):
            yield from _parse_objects(child, others)


def _parse_object(entry: Entry, ignored: bool) -> RawObject:
    listed = entry.get("tags")
    tags = {str(tag) for tag in listed} if isinstance(listed, list) else set()
    box = get_corners(entry, ("x0", "y0", "x1", "y1"))
    occluded = [int(match[1]) for match in map(_OCCLUDED.search, tags) if match]
    visibility = 1 - max(occluded) / 100 if occluded else None
    return RawObject(box, ignored=ignored or bool(tags & _NOT_REAL), visibility=visibility)
