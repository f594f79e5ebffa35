"""CrowdHuman's own `.odgt`: a JSON object a line."""

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
    entries,
    field,
    from_xywh,
    lines_of,
    parse_json,
)


def read(settings: DataSettings) -> RawDataset:
    folder = settings.source.parent
    guesses = [folder / "Images", folder / "images", folder]
    return RawDataset(_pictures(settings.source, settings.image_folder(guesses)))


def _pictures(path: Path, images: Path) -> Iterator[RawImage]:
    for place, line in lines_of(path):
        with at(place):
            entry = parse_json(line)
            name = field(entry, "ID", str)
            things = [_thing(each) for each in entries(entry, "gtboxes")]
        yield RawImage(images / f"{name}.jpg", name, things)


def _thing(entry: Entry) -> RawObject:
    """Masks are crowds, statues and the like; `fbox` may reach beyond the image."""
    extra = entry.get("extra")
    flagged = bool(extra.get("ignore")) if isinstance(extra, dict) else False
    return RawObject(
        from_xywh(entry, "fbox"),
        ignored=entry.get("tag") != "person" or flagged,
        visible=from_xywh(entry, "vbox") if "vbox" in entry else None,
    )
