"""The datasets of JDE and FairMOT: one `labels_with_ids/**/NAME.txt` per `images/**/NAME.jpg`, one
`class identity x y width height` per line: box centers and sizes as fractions of the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.dataset import UNKNOWN_ID
from mot.datasets.images import read_size
from mot.datasets.parsing import (
    RawDataset,
    RawImage,
    RawObject,
    contains,
    errors_at,
    has_suffix,
    read_lines,
    replace_part,
)
from mot.datasets.yolo import parse_object
from mot.errors import MotError
from mot.image_size import IMAGE_SUFFIXES

_LABELS, _IMAGES = "labels_with_ids", "images"
_LIST_SUFFIXES = (".train", ".val", ".test", ".half")


def detect(path: Path) -> bool:
    patterns = (f"{parents}{_LABELS}" for parents in ("", "*/", "*/*/"))
    return has_suffix(path, *_LIST_SUFFIXES) or contains(path, *patterns)


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is a list of images relative to its folder or to `images`, or a folder that
    contains `labels_with_ids` at any depth. An image without a text file has no objects."""
    source, names = settings.source, settings.classes or ("person",)
    root = settings.image_folder([source.parent]) if source.is_file() else source
    found = _read_list(source) if source.is_file() else _find_images(source, settings.split)
    return RawDataset((_read_image(root, name, names) for name in found), names)


def _read_list(source: Path) -> Iterator[str]:
    for location, line in read_lines(source):
        with errors_at(location):
            if _IMAGES not in Path(line).parts:
                raise ValueError(f"{line[:60]!r} is not an image in a folder {_IMAGES}")
        yield line


def _find_images(folder: Path, split: str) -> Iterator[str]:
    folders = sorted(folder.rglob(_LABELS))
    if not folders:
        raise MotError(f"{folder}: no {_LABELS} in it")
    for labels in folders:
        for path in sorted((labels.parent / _IMAGES / split).rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                yield path.relative_to(folder).as_posix()


def _read_image(root: Path, name: str, names: tuple[str, ...]) -> RawImage:
    path = root / name
    labels = replace_part(path, _IMAGES, _LABELS)
    assert labels is not None
    size = read_size(path)
    text = labels.with_suffix(".txt")
    lines = read_lines(text) if text.is_file() else ()
    folder = _labels_folder(labels)
    objects = [_parse_line(location, line, size, names, folder) for location, line in lines]
    return RawImage(path, name, objects, size or (0, 0))


def _labels_folder(labels: Path) -> str:
    """The last folder named `labels_with_ids`, within which identities are unique."""
    parts = labels.parts
    return str(Path(*parts[: len(parts) - parts[::-1].index(_LABELS)]))


def _parse_line(
    location: str, line: str, size: tuple[int, int] | None, names: tuple[str, ...], folder: str
) -> RawObject:
    words = line.split()
    with errors_at(location):
        if len(words) != 6:
            wanted = "class identity x y width height"
            raise ValueError(f"{len(words)} numbers, where {wanted} is expected")
        found = parse_object(words[0], words[2:], size, names)
        identity = _parse_identity(words[1])
    return found._replace(track=None if identity == UNKNOWN_ID else (folder, identity))


def _parse_identity(word: str) -> int:
    """Accepts -1.0 as well, which some files have."""
    try:
        number = float(word)
        if number.is_integer() and number >= UNKNOWN_ID:
            return int(number)
    except ValueError:
        pass
    raise ValueError(f"identity {word[:20]!r} is not an integer from {UNKNOWN_ID}")
