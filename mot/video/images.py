"""Images as a video: a folder, a glob pattern, a MOTChallenge sequence, a single image."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from mot import motfile
from mot.errors import MotError
from mot.image_size import IMAGE_SUFFIXES
from mot.opencv import cv2
from mot.types import Image
from mot.video.reader import RawFrame, Reader, SourceInfo


class ImagesReader(Reader):
    """Numbered images at a constant rate; one that cannot be read leaves a gap."""

    def __init__(self, info: SourceInfo, numbered: Sequence[tuple[int, Path]], label: str) -> None:
        super().__init__(info)
        self._numbered = numbered
        self._label = label
        self._tried = 0
        self._unread: list[Path] = []
        info.size = self._first_size()

    @classmethod
    def from_paths(cls, paths: Sequence[Path], name: str, label: str) -> Self:
        info = SourceInfo(name, motfile.DEFAULT_FPS, frame_count=len(paths))
        return cls(info, list(enumerate(paths, 1)), label)

    def _first_size(self) -> tuple[int, int]:
        for _, path in self._numbered:
            image = read_image(path)
            if image is not None:
                return image.shape[1], image.shape[0]
        raise MotError(f"{self._label}: not one image can be read: copy or export again")

    def frames(self) -> Iterator[RawFrame]:
        for index, path in self._numbered:
            yield RawFrame(index, (index - 1) / self.info.fps, partial(self._load, path))

    def _load(self, path: Path) -> Image | None:
        self._tried += 1
        image = read_image(path)
        if image is None:
            self._unread.append(path)
        return image

    def warnings(self) -> list[str]:
        if not self._unread:
            return []
        read = self._tried - len(self._unread)
        names = ", ".join(path.name for path in self._unread[:3])
        more = ", ..." if len(self._unread) > 3 else ""
        return [
            f"{self._label}: {read} of {self._tried} images could be read (skipped: {names}{more})"
        ]


def read_image(path: Path) -> Image | None:
    """(H, W, 3) uint8 BGR, whatever the depth and channels; None when it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)
        image: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return image


def open_folder(path: Path) -> ImagesReader:
    """A MOTChallenge sequence, or any folder of images in natural order."""
    if motfile.is_sequence(path):
        return open_sequence(motfile.read_sequence(path))
    images = _images(path.iterdir())
    if not images:
        raise MotError(f"{path}: the folder holds no images: give a video file in it, or images")
    return ImagesReader.from_paths(images, _folder_name(path), str(path))


def open_glob(pattern: str) -> ImagesReader:
    images = _images(map(Path, glob.glob(pattern, recursive=True)))
    if not images:
        raise MotError(f"{pattern}: matches no image: check the pattern, and quote it")
    name = _folder_name(images[0].parent)
    return ImagesReader.from_paths(images, name, pattern)


def open_sequence(sequence: motfile.Sequence) -> ImagesReader:
    """Image file number N is frame N, and N + 1 where the files count from 0."""
    folder = sequence.images
    numbers = (
        [(int(path.stem), path) for path in _images(folder.iterdir()) if path.stem.isdigit()]
        if folder
        else []
    )
    if not folder or not numbers:
        raise MotError(
            f"{sequence.folder}: the sequence has no images: download them, or give detections"
        )
    shift = 1 if min(numbers)[0] == 0 else 0
    numbered = sorted((number + shift, path) for number, path in numbers)
    info = SourceInfo(sequence.name, sequence.fps, frame_count=numbered[-1][0])
    return ImagesReader(info, numbered, str(folder))


def _folder_name(path: Path) -> str:
    return Path(os.path.abspath(path)).name


def _images(paths: Iterator[Path]) -> list[Path]:
    found = (path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted(found, key=lambda path: motfile.natural_key(str(path)))
