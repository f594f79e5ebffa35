"""CityPersons (Zhang et al., 2017): one JSON file per image of Cityscapes."""

from __future__ import annotations

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
    get_entries,
    get_size,
    get_xywh,
    read_json,
    replace_part,
)

_SUFFIX = "_gtBboxCity.json"
_OTHERS = ("rider", "sitting person", "person (other)")
_REGIONS = ("ignore", "person group")


def detect(path: Path) -> bool:
    return contains(path, f"**/*{_SUFFIX}")


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `gtBboxCityPersons/train`, or a part of it."""
    folder = settings.source
    siblings = [
        replace_part(folder, name, "leftImg8bit") for name in ("gtBboxCityPersons", "gtBbox")
    ]
    images = settings.image_folder([path for path in (*siblings, folder) if path])
    return RawDataset(_read_images(folder, images, settings.others))


def _read_images(folder: Path, images: Path, others: str) -> Iterator[RawImage]:
    for path in find_files(folder, f"*{_SUFFIX}"):
        stem = path.relative_to(folder).as_posix().removesuffix(_SUFFIX)
        name = f"{stem}_leftImg8bit.png"
        entry = read_json(path)
        with errors_at(path):
            objects = list(_parse_objects(entry, others))
        yield RawImage(images / name, name, objects, get_size(entry, "imgWidth", "imgHeight"))


def _parse_objects(entry: Entry, others: str) -> Iterator[RawObject]:
    for each in get_entries(entry, "objects"):
        label = each.get("label")
        if label in _OTHERS and others == "drop":
            continue
        is_region = label in _REGIONS or (label in _OTHERS and others == "ignore")
        if is_region or label == "pedestrian" or label in _OTHERS:
            yield RawObject(
                get_xywh(each, "bbox"),
                ignored=is_region,
                visible_box=get_xywh(each, "bboxVis") if "bboxVis" in each else None,
            )
