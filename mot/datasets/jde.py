"""The datasets of JDE and FairMOT: beside `images/**/NAME.jpg` a `labels_with_ids/**/NAME.txt`,
`class identity x y width height` a line, centers, in shares of the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.datasets.config import DataSettings
from mot.datasets.images import size_of
from mot.datasets.parsing import RawDataset, RawImage, RawObject, at, beside, lines_of
from mot.datasets.yolo import thing_of
from mot.errors import MotError
from mot.image_size import IMAGE_SUFFIXES

LABELS, IMAGES = "labels_with_ids", "images"
LISTS = (".train", ".val", ".test", ".half")  # suffixes of lists of images
_UNKNOWN_ID = -1


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is a list of images, whose names begin in its folder or in `images`, or a
    folder with one or more `labels_with_ids`. An image without a text file has no objects."""
    source, names = settings.source, settings.classes or ("person",)
    root = settings.image_folder([source.parent]) if source.is_file() else source
    found = _listed(source) if source.is_file() else _lying_in(source, settings.split)
    return RawDataset((_told(root, name, names) for name in found), names)


def _listed(source: Path) -> Iterator[str]:
    for place, line in lines_of(source):
        with at(place):
            if IMAGES not in Path(line).parts:
                raise ValueError(f"{line[:60]!r} is no image below a folder {IMAGES}")
        yield line


def _lying_in(folder: Path, split: str) -> Iterator[str]:
    folders = sorted(folder.rglob(LABELS))
    if not folders:
        raise MotError(f"{folder}: no {LABELS} in it")
    for labels in folders:
        found = sorted((labels.parent / IMAGES / split).rglob("*"))
        records = (path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
        yield from (path.relative_to(folder).as_posix() for path in records)


def _told(root: Path, name: str, names: tuple[str, ...]) -> RawImage:
    path = root / name
    labels = beside(path, IMAGES, LABELS)
    assert labels is not None
    size = size_of(path)
    text = labels.with_suffix(".txt")
    lines = lines_of(text) if text.is_file() else ()
    things = [_thing(place, line, size, names, _data_set(labels)) for place, line in lines]
    return RawImage(path, name, things, size or (0, 0))


def _data_set(labels: Path) -> str:
    """Within which identities differ."""
    parts = labels.parts
    return str(Path(*parts[: len(parts) - parts[::-1].index(LABELS)]))


def _thing(
    place: str, line: str, size: tuple[int, int] | None, names: tuple[str, ...], data_set: str
) -> RawObject:
    words = line.split()
    with at(place):
        if len(words) != 6:
            wanted = "class identity x y width height"
            raise ValueError(f"{len(words)} numbers, where {wanted} is expected")
        thing = thing_of(words[0], words[2:], size, names)
        who = _identity(words[1])
    return thing._replace(track=None if who == _UNKNOWN_ID else (data_set, who))


def _identity(word: str) -> int:
    """Some files have it as -1.0."""
    try:
        number = float(word)
        if number.is_integer() and number >= _UNKNOWN_ID:
            return int(number)
    except ValueError:
        pass
    raise ValueError(f"identity {word[:20]!r} is not an integer from {_UNKNOWN_ID}")
