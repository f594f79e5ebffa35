"""YOLO text: one file per image, one `class x y width height` per line: box centers and sizes as
fractions of the image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.images import read_size
from mot.datasets.parsing import (
    Box,
    RawDataset,
    RawImage,
    RawObject,
    contains,
    errors_at,
    read_lines,
    replace_part,
)
from mot.errors import MotError
from mot.files import read_bytes
from mot.image_size import IMAGE_SUFFIXES

_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
_YAML_NAMES = re.compile(rb"^names:[ \t]*(\[.*?\]|(?:\s*\n[ \t]*(?:-|\d+[ \t]*:).*)+)", re.M | re.S)


def detect(path: Path) -> bool:
    return contains(path, "labels/**/*.txt", "**/*.txt")


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `labels`, a part of it, or the folder that contains `labels` and `images`.
    An image without a text file has no objects."""
    inner = settings.source / "labels"
    folder = (inner if inner.is_dir() else settings.source) / settings.split
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    candidates = (replace_part(folder, "labels", "images"), folder)
    images = settings.image_folder(path for path in candidates if path)
    names = _read_class_names(folder, settings)
    return RawDataset(_read_images(folder, images, names), names)


def _read_class_names(folder: Path, settings: DataSettings) -> tuple[str, ...]:
    """From a file beside the labels or above; by default as in the settings."""
    folders = (folder, *folder.absolute().parents[:2])
    files = (each / name for each in folders for name in _NAME_FILES)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return settings.classes or ("person",)
    if path.suffix == ".yaml":
        return _read_yaml_names(path)
    return tuple(line for _, line in read_lines(path))


def _read_yaml_names(path: Path) -> tuple[str, ...]:
    found = _YAML_NAMES.search(read_bytes(path))
    if not found:
        raise MotError(f"{path}: no class names in it: put classes.txt beside the labels")
    text = found[1].decode("utf-8", "replace").strip()
    parts = text.strip("[]").split(",") if text.startswith("[") else text.splitlines()
    words = (re.sub(r"^\s*(-|\d+\s*:)\s*", "", part) for part in parts)
    return tuple(word.split(" #")[0].strip().strip("'\"") for word in words if word.strip())


def _read_images(folder: Path, images: Path, names: tuple[str, ...]) -> Iterator[RawImage]:
    """All image files, and the missing images of label files."""
    labels = {_key(p, folder): p for p in folder.rglob("*.txt") if p.name not in _NAME_FILES}
    paths = {_key(p, images): p for p in images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES}
    for key in sorted(labels.keys() | paths.keys()):
        path = paths.get(key)
        if path is None:
            yield RawImage(images / f"{key}.jpg", f"{key}.jpg", [])
            continue
        size = read_size(path)
        lines = read_lines(labels[key]) if key in labels else ()
        objects = [_parse_line(location, line, size, names) for location, line in lines]
        yield RawImage(path, path.relative_to(images).as_posix(), objects, size or (0, 0))


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _parse_line(
    location: str, line: str, size: tuple[int, int] | None, names: tuple[str, ...]
) -> RawObject:
    words = line.split()
    with errors_at(location):
        if len(words) not in (5, 6):
            raise ValueError(f"{len(words)} numbers, where class x y width height is expected")
        return parse_object(words[0], words[1:5], size, names)


def parse_object(
    number: str, fractions: list[str], size: tuple[int, int] | None, names: tuple[str, ...]
) -> RawObject:
    """From the class number and x, y, width, height; `size` is None for unreadable images."""
    if not number.isdecimal() or int(number) >= len(names):
        known = f"the {len(names)} known are {', '.join(names[:5])}"
        raise ValueError(f"class {number[:20]} has no name ({known}): add classes.txt")
    return RawObject(_parse_box(fractions, size or (1, 1)), names[int(number)])


def _parse_box(words: list[str], size: tuple[int, int]) -> Box:
    try:
        x, y, width, height = map(float, words)
    except ValueError:
        raise ValueError(f"{' '.join(words)[:60]!r} are not four numbers") from None
    image_width, image_height = size
    left, top = (x - width / 2) * image_width, (y - height / 2) * image_height
    return left, top, (x + width / 2) * image_width, (y + height / 2) * image_height
