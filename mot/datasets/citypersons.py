"""CityPersons (Zhang et al., 2017): a JSON file an image of Cityscapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    at,
    beside,
    entries,
    files_in,
    from_xywh,
    read_json,
    size_in,
)

SUFFIX = "_gtBboxCity.json"
_OTHERS = ("rider", "sitting person", "person (other)")
_REGIONS = ("ignore", "person group")


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `gtBboxCityPersons/train`, or a part of it."""
    folder = settings.source
    images = beside(folder, "gtBboxCityPersons", "leftImg8bit")
    guesses = [path for path in (images, beside(folder, "gtBbox", "leftImg8bit"), folder) if path]
    files = files_in(folder, f"*{SUFFIX}")
    return RawDataset(_pictures(files, folder, settings.image_folder(guesses), settings.others))


def _pictures(files: list[Path], folder: Path, images: Path, others: str) -> Iterator[RawImage]:
    for path in files:
        inside = path.relative_to(folder).as_posix()
        name = f"{inside.removesuffix(SUFFIX)}_leftImg8bit.png"
        entry = read_json(path)
        with at(path):
            things = list(_things(entry, others))
        yield RawImage(images / name, name, things, size_in(entry, "imgWidth", "imgHeight"))


def _things(entry: Entry, others: str) -> Iterator[RawObject]:
    for each in entries(entry, "objects"):
        label = each.get("label")
        if label == "pedestrian" or (label in _OTHERS and others == "keep"):
            yield RawObject(from_xywh(each, "bbox"), visible=_visible(each))
        elif label in _REGIONS or (label in _OTHERS and others == "ignore"):
            yield RawObject(from_xywh(each, "bbox"), ignored=True, visible=_visible(each))


def _visible(entry: Entry) -> tuple[float, float, float, float] | None:
    return from_xywh(entry, "bboxVis") if "bboxVis" in entry else None
