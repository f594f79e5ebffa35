"""YOLO's text: a file an image, `class x y width height` a line, centers, in shares of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.images import size_of
from mot.datasets.parsing import Box, RawDataset, RawImage, RawObject, at, beside, lines_of
from mot.errors import MotError
from mot.files import read_bytes
from mot.image_size import IMAGE_SUFFIXES

_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
_YAML_NAMES = re.compile(rb"^names:[ \t]*(\[.*?\]|(?:\s*\n[ \t]*(?:-|\d+[ \t]*:).*)+)", re.M | re.S)


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is `labels`, a part of it, or the folder with `labels` and `images` in it.
    An image without a text file has no objects."""
    inner = settings.source / "labels"
    folder = (inner if inner.is_dir() else settings.source) / settings.split
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    images = settings.image_folder(
        path for path in (beside(folder, "labels", "images"), folder) if path
    )
    names = _names(folder, settings)
    return RawDataset(_pictures(folder, images, names), names)


def _names(folder: Path, settings: DataSettings) -> tuple[str, ...]:
    """From a names file beside the labels or above, else as given."""
    folders = (folder, *folder.absolute().parents[:2])
    files = (each / name for each in folders for name in _NAME_FILES)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return settings.classes or ("person",)
    if path.suffix == ".yaml":
        return _yaml_names(path)
    return tuple(line for _, line in lines_of(path))


def _yaml_names(path: Path) -> tuple[str, ...]:
    found = _YAML_NAMES.search(read_bytes(path))
    if not found:
        raise MotError(f"{path}: no names of classes in it: put classes.txt beside the labels")
    text = found[1].decode("utf-8", "replace").strip()
    parts = text.strip("[]").split(",") if text.startswith("[") else text.splitlines()
    words = (re.sub(r"^\s*(-|\d+\s*:)\s*", "", part) for part in parts)
    return tuple(word.split(" #")[0].strip().strip("'\"") for word in words if word.strip())


def _pictures(folder: Path, images: Path, names: tuple[str, ...]) -> Iterator[RawImage]:
    """Those that are there, and those that only have labels."""
    labels = {_key(path, folder): path for path in folder.rglob("*.txt") if _is_label(path)}
    paths = {_key(p, images): p for p in images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES}
    for key in sorted(labels.keys() | paths.keys()):
        path = paths.get(key)
        if path is None:
            yield RawImage(images / f"{key}.jpg", f"{key}.jpg", [])
            continue
        size = size_of(path)
        things = [_thing(*line, size, names) for line in _lines(labels.get(key))]
        yield RawImage(path, path.relative_to(images).as_posix(), things, size or (0, 0))


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _is_label(path: Path) -> bool:
    return path.name not in _NAME_FILES


def _lines(path: Path | None) -> Iterator[tuple[str, str]]:
    return lines_of(path) if path else iter(())


def _thing(
    place: str, line: str, size: tuple[int, int] | None, names: tuple[str, ...]
) -> RawObject:
    words = line.split()
    with at(place):
        if len(words) not in (5, 6):
            raise ValueError(f"{len(words)} numbers, where class x y width height is expected")
        return thing_of(words[0], words[1:5], size, names)


def thing_of(
    number: str, shares: list[str], size: tuple[int, int] | None, names: tuple[str, ...]
) -> RawObject:
    """Of the class and the four shares; in an image that cannot be read the box has no place."""
    if not number.isdecimal() or int(number) >= len(names):
        known = f"the {len(names)} known are {', '.join(names[:5])}"
        raise ValueError(f"class {number[:20]} has no name ({known}): add classes.txt")
    return RawObject(_box(shares, size or (1, 1)), names[int(number)])


def _box(words: list[str], size: tuple[int, int]) -> Box:
    try:
        x, y, width, height = map(float, words)
    except ValueError:
        raise ValueError(f"{' '.join(words)[:60]!r} are not four numbers") from None
    across, down = size
    left, top = (x - width / 2) * across, (y - height / 2) * down
    return left, top, (x + width / 2) * across, (y + height / 2) * down
