"""CrowdHuman's `.odgt` files (Shao et al., 2018): one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Entry,
    RawDataset,
    RawImage,
    RawObject,
    errors_at,
    get_entries,
    get_field,
    get_xywh,
    has_suffix,
    parse_json,
    read_lines,
)


def detect(path: Path) -> bool:
    return has_suffix(path, ".odgt")


def read(settings: DataSettings) -> RawDataset:
    folder = settings.source.parent
    images = settings.image_folder([folder / "Images", folder / "images", folder])
    return RawDataset(_read_images(settings.source, images))


def _read_images(path: Path, folder: Path) -> Iterator[RawImage]:
    for location, line in read_lines(path):
        with errors_at(location):
            entry = parse_json(line)
            name = get_field(entry, "ID", str)
            objects = [_parse_object(each) for each in get_entries(entry, "gtboxes")]
        yield RawImage(folder / f"{name}.jpg", name, objects)


def _parse_object(entry: Entry) -> RawObject:
    """Masks (crowds, statues and the like) are ignored; `fbox` is amodal."""
    extra = entry.get("extra")
    flagged = bool(extra.get("ignore")) if isinstance(extra, dict) else False
    return RawObject(
        get_xywh(entry, "fbox"),
        ignored=entry.get("tag") != "person" or flagged,
        visible_box=get_xywh(entry, "vbox") if "vbox" in entry else None,
    )
