"""Market-1501, and datasets in its layout: each image is a crop, its file name holds the id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mot.datasets.config import DataSettings
from mot.datasets.images import size_of
from mot.datasets.parsing import RawDataset, RawImage, RawObject
from mot.errors import MotError
from mot.types import IntArray

TRAIN, QUERIES, GALLERY = "bounding_box_train", "query", "bounding_box_test"  # folders
DISTRACTOR, JUNK = 0, -1  # ids: in the gallery, of no query; not to be counted at all
UNNAMED = "files without an id in their name are left out"
_NAME = re.compile(r"(-1|\d+)_c(\d+)(s\d+)?_\w+\.(jpe?g|png|bmp)", re.IGNORECASE)
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")


class CropFolder(NamedTuple):
    """The crops of a folder, without junk."""

    paths: tuple[Path, ...]
    ids: IntArray  # (N,)
    cameras: IntArray  # (N,)
    unnamed: tuple[str, ...]  # names of files that are left out


def read_crop_folder(folder: Path) -> CropFolder:
    """Parses file names such as `0001_c1s1_000151_01.jpg`: id 1, camera 1."""
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if not _is_system_file(path))
    matches = [(path, _NAME.fullmatch(path.name)) for path in files]
    crops = [(path, int(match[1]), int(match[2])) for path, match in matches if match]
    crops = [crop for crop in crops if crop[1] != JUNK]
    unnamed = tuple(path.name for path, match in matches if not match)
    if not crops:
        example = f" (but {unnamed[0]})" if unnamed else ""
        raise MotError(f"{folder}: has no image named like 0001_c1s1_000151_01.jpg{example}")
    paths, ids, cameras = zip(*crops, strict=True)
    return CropFolder(paths, np.array(ids, np.int64), np.array(cameras, np.int64), unnamed)


def _is_system_file(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES


def read(settings: DataSettings) -> RawDataset:
    """The crops of the folder `split`, by default those to train on.

    Junk is left out, and distractors of the gallery too.
    """
    folder = settings.source / (settings.split or TRAIN)
    folder = folder if settings.split or folder.is_dir() else settings.source
    found = read_crop_folder(folder)
    crops = [
        (path, number)
        for path, number in zip(found.paths, found.ids.tolist(), strict=True)
        if number != DISTRACTOR or folder.name != GALLERY
    ]
    notes = ((UNNAMED, found.unnamed),) if found.unnamed else ()
    return RawDataset(_images(crops), notes=notes)


def _images(crops: list[tuple[Path, int]]) -> Iterator[RawImage]:
    for path, number in crops:
        width, height = size_of(path) or (0, 0)
        full = RawObject((0.0, 0.0, float(width), float(height)), track=number)
        yield RawImage(path, path.name, [full] if width else [], (width, height))
