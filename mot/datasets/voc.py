"""Pascal VOC: one XML file per image."""

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
    contains,
    errors_at,
    find_files,
    read_lines,
    replace_part,
)
from mot.errors import MotError
from mot.files import read_bytes
from mot.formats.safe_xml import SafeBuilder
from mot.image_size import IMAGE_SUFFIXES

_HEAD = 1000  # bytes in which the first element begins


def detect(path: Path) -> bool:
    return contains(path, "*.xml", "Annotations/*.xml")


def is_annotation_file(path: Path) -> bool:
    """Whether an XML file is VOC's, not CVAT's."""
    with path.open("rb") as file:
        return b"<annotation>" in file.read(_HEAD)


def read(settings: DataSettings) -> RawDataset:
    """`annotations` is the folder of the XML files, or the one that contains `Annotations`."""
    inner = settings.source / "Annotations"
    folder = inner if inner.is_dir() else settings.source
    sibling = replace_part(folder, folder.absolute().name, "JPEGImages")
    images = settings.image_folder([path for path in (sibling, folder) if path])
    split = settings.split
    files = _read_list(folder, split) if split else find_files(folder, "*.xml")
    return RawDataset(_read_images(files, images))


def _read_list(folder: Path, split: str) -> list[Path]:
    """The first word of each line is a name; lists of one class have 1 or -1 after it."""
    lists = folder.parent / "ImageSets" / "Main"
    candidates = (Path(split).expanduser(), lists / split)
    path = next((each for each in candidates if each.is_file()), lists / f"{split}.txt")
    return [folder / f"{line.split()[0]}.xml" for _, line in read_lines(path)]


def _read_images(files: list[Path], folder: Path) -> Iterator[RawImage]:
    for path in files:
        with errors_at(path):
            root = _parse_xml(path)
            name = _file_name(root, path)
            objects = [_parse_object(each) for each in root.iter("object")]
            yield RawImage(folder / name, name, objects, _parse_size(root))


def _parse_xml(path: Path) -> Element:
    parser = ElementTree.XMLParser(target=SafeBuilder())
    try:
        parser.feed(read_bytes(path))
        root: Element = parser.close()
    except (ElementTree.ParseError, LookupError) as error:
        raise MotError(f"{path}: not XML: {error}") from None
    if root.tag != "annotation":
        raise ValueError(f"not VOC: begins with <{root.tag[:40]}>, not <annotation>")
    return root


def _file_name(root: Element, path: Path) -> str:
    """Some tools omit the suffix, or write a full path."""
    name = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2].strip()
    return name if Path(name).suffix.lower() in IMAGE_SUFFIXES else f"{path.stem}.jpg"


def _parse_size(root: Element) -> tuple[int, int]:
    sides = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    return (int(sides[0]), int(sides[1])) if all(side.isdecimal() for side in sides) else (0, 0)


def _parse_object(element: Element) -> RawObject:
    name = (element.findtext("name") or "").strip()
    is_difficult = (element.findtext("difficult") or "0").strip() == "1"
    return RawObject(_parse_box(element), name, is_difficult)


def _parse_box(element: Element) -> Box:
    """Half-open: corners in the file are pixels of the box, counted from 1."""
    texts = [element.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        raise ValueError(f"the corners {texts} of a box are not four numbers") from None
    return left - 1, top - 1, right, bottom
