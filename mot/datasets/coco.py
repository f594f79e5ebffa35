"""COCO's JSON, read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    at,
    entries,
    field,
    from_xywh,
    read_json,
    size_in,
)

_TRACK_KEYS = ("track_id", "instance_id")


def read(settings: DataSettings) -> RawDataset:
    path = settings.source
    data = read_json(path)
    with at(path):
        names = {
            field(entry, "id", int): field(entry, "name", str)
            for entry in entries(data, "categories")
        }
        images = _by_id(entries(data, "images"), path)
        annotations = _by_image(entries(data, "annotations"), path)
    folder = settings.image_folder(_guesses(path))
    names_in_order = tuple(names[number] for number in sorted(names))
    return RawDataset(_pictures(path, folder, images, annotations, names), names_in_order)


def _guesses(path: Path) -> Iterator[Path]:
    """Of `annotations/instances_train2017.json`, `train2017` and `images/train2017` beside."""
    for folder in (path.parent, path.parent.parent):
        for name in (path.stem, path.stem.rpartition("_")[2]):
            yield folder / name
            yield folder / "images" / name
    yield path.parent / "images"
    yield path.parent


def _by_id(images: list[Entry], path: Path) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    for index, entry in enumerate(images):
        with at(f"{path}: images[{index}]"):
            number = field(entry, "id", int)
            field(entry, "file_name", str)
            if number in found:
                raise ValueError(f"id {number} comes twice")
        found[number] = entry
    return found


def _by_image(annotations: list[Entry], path: Path) -> dict[int, list[tuple[int, Entry]]]:
    """With their positions in the file."""
    found = defaultdict(list)
    for index, entry in enumerate(annotations):
        with at(f"{path}: annotations[{index}]"):
            found[field(entry, "image_id", int)].append((index, entry))
    return found


def _pictures(
    path: Path,
    folder: Path,
    images: Mapping[int, Entry],
    annotations: Mapping[int, list[tuple[int, Entry]]],
    names: Mapping[int, str],
) -> Iterator[RawImage]:
    """A image that only its boxes know is one that is missing."""
    for number, image in images.items():
        things = []
        for index, entry in annotations.get(number, ()):
            with at(f"{path}: annotations[{index}]"):
                things.append(_thing(entry, image, names))
        name = image["file_name"]
        yield RawImage(folder / name, name, things, size_in(image), number)
    for number in annotations.keys() - images.keys():
        name = f"image_id {number}"
        yield RawImage(folder / name, name, [], number=number)


def _thing(entry: Entry, image: Entry, names: Mapping[int, str]) -> RawObject:
    category = field(entry, "category_id", int)
    if category not in names:
        raise ValueError(f"category_id {category} is not among the categories")
    visible = from_xywh(entry, "vis_bbox") if "vis_bbox" in entry else None
    return RawObject(
        from_xywh(entry, "bbox"),
        names[category],
        bool(entry.get("iscrowd") or entry.get("ignore")),
        visible,
        _share(entry.get("visibility")),
        _track(entry, image),
    )


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def _track(entry: Entry, image: Entry) -> Hashable:
    """Those of different videos are different people."""
    track = next((entry[key] for key in _TRACK_KEYS if entry.get(key) is not None), None)
    if not isinstance(track, int | str):
        return None
    return str(image.get("video_id")), track
