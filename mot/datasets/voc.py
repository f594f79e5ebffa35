"""Pascal VOC: an XML file an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mot.datasets.config import DataSettings
from mot.datasets.parsing import (
    Box,
    RawDataset,
    RawImage,
    RawObject,
    at,
    beside,
    files_in,
    lines_of,
)
from mot.errors import MotError
from mot.files import read_bytes
from mot.formats.safe_xml import SafeBuilder
from mot.image_size import IMAGE_SUFFIXES

_HEAD = 1000  # bytes that the first element begins in


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is the folder of the XML files, or the one that holds `Annotations`."""
    inner = settings.source / "Annotations"
    folder = inner if inner.is_dir() else settings.source
    images = beside(folder, folder.absolute().name, "JPEGImages")
    guesses = [path for path in (images, folder) if path]
    files = _listed(folder, settings.split) if settings.split else files_in(folder, "*.xml")
    return RawDataset(_pictures(files, settings.image_folder(guesses)))


def _listed(folder: Path, split: str) -> list[Path]:
    """The first word of each line is a name; a list of one class has 1 or -1 behind it."""
    lists = folder.parent / "ImageSets" / "Main"
    path = next((p for p in (Path(split).expanduser(), lists / split) if p.is_file()), None)
    return [
        folder / f"{line.split()[0]}.xml" for _, line in lines_of(path or lists / f"{split}.txt")
    ]


def _pictures(files: list[Path], images: Path) -> Iterator[RawImage]:
    for path in files:
        with at(path):
            root = _parse(path)
            name = _file_name(root, path)
            things = [_thing(each) for each in root.iter("object")]
            yield RawImage(images / name, name, things, _size(root))


def _parse(path: Path) -> Element:
    parser = ElementTree.XMLParser(target=SafeBuilder())
    try:
        parser.feed(read_bytes(path))
        root: Element = parser.close()
    except (ElementTree.ParseError, LookupError) as error:
        raise MotError(f"{path}: not XML: {error}") from None
    if root.tag != "annotation":
        raise ValueError(f"not VOC's: it begins with <{root.tag[:40]}>, not <annotation>")
    return root


def _file_name(root: Element, path: Path) -> str:
    """Some tools omit the suffix, or write a full path."""
    name = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2].strip()
    return name if Path(name).suffix.lower() in IMAGE_SUFFIXES else f"{path.stem}.jpg"


def _size(root: Element) -> tuple[int, int]:
    sides = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    return (int(sides[0]), int(sides[1])) if all(side.isdecimal() for side in sides) else (0, 0)


def _thing(element: Element) -> RawObject:
    name = (element.findtext("name") or "").strip()
    return RawObject(_box(element), name, (element.findtext("difficult") or "0").strip() == "1")


def _box(element: Element) -> Box:
    """Half-open: the corners in the file are pixels that belong to the box, counted from 1."""
    texts = [element.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        raise ValueError(f"the corners {texts} of a box are not four numbers") from None
    return left - 1, top - 1, right, bottom


def is_voc(path: Path) -> bool:
    """Other tools write XML too."""
    with path.open("rb") as file:
        return b"<annotation>" in file.read(_HEAD)
