"""Images as a video: a folder, a glob pattern, a MOTChallenge sequence, a single picture."""

from __future__ import annotations

import configparser
import glob
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from mot.errors import MotError
from mot.opencv import cv2
from mot.types import Image
from mot.video.reader import Facts, Picture, Reader

DEFAULT_FPS = 30.0
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}


class ImagesReader(Reader):
    """Numbered images at a constant rate; one that cannot be read leaves a gap."""

    def __init__(self, facts: Facts, numbered: Sequence[tuple[int, Path]], label: str) -> None:
        super().__init__(facts)
        self._numbered = numbered
        self._label = label
        self._tried = 0
        self._unread: list[Path] = []
        facts.size = self._first_size()

    @classmethod
    def from_paths(cls, paths: Sequence[Path], name: str, label: str) -> Self:
        facts = Facts(name, DEFAULT_FPS, frame_count=len(paths))
        return cls(facts, list(enumerate(paths, 1)), label)

    def _first_size(self) -> tuple[int, int]:
        for _, path in self._numbered:
            image = read_image(path)
            if image is not None:
                return image.shape[1], image.shape[0]
        raise MotError(f"{self._label}: not one image can be read: copy or export again")

    def pictures(self) -> Iterator[Picture]:
        for index, path in self._numbered:
            yield Picture(index, (index - 1) / self.facts.fps, partial(self._load, path))

    def _load(self, path: Path) -> Image | None:
        self._tried += 1
        image = read_image(path)
        if image is None:
            self._unread.append(path)
        return image

    def notes(self) -> list[str]:
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
    """A folder of images in natural order; with seqinfo.ini, a MOTChallenge sequence."""
    if (path / "seqinfo.ini").is_file():
        return open_sequence(path)
    images = _images(path.iterdir())
    if not images:
        raise MotError(f"{path}: the folder holds no images: give a video file in it, or images")
    return ImagesReader.from_paths(images, path.resolve().name, str(path))


def open_glob(pattern: str) -> ImagesReader:
    images = _images(map(Path, glob.glob(pattern, recursive=True)))
    if not images:
        raise MotError(f"{pattern}: matches no image: check the pattern, and quote it")
    name = images[0].resolve().parent.name
    return ImagesReader.from_paths(images, name, pattern)


def open_sequence(folder: Path) -> ImagesReader:
    """Image file number N is frame N."""
    info = _seqinfo(folder / "seqinfo.ini")
    home = folder / info.get("imDir", "img1")
    images = _images(home.iterdir()) if home.is_dir() else []
    numbered = sorted((int(path.stem), path) for path in images if path.stem.isdigit())
    if not numbered:
        raise MotError(f"{home}: the sequence has no images: download them, or give detections")
    facts = Facts(info.get("name", folder.name), _frame_rate(folder, info))
    facts.frame_count = numbered[-1][0]
    return ImagesReader(facts, numbered, str(home))


def _seqinfo(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        return parser["Sequence"]
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise MotError(f"{path}: not a MOTChallenge seqinfo.ini with a [Sequence] part") from error


def _frame_rate(folder: Path, info: configparser.SectionProxy) -> float:
    text = info.get("frameRate", str(DEFAULT_FPS))
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps < float("inf"):
        raise MotError(f"{folder / 'seqinfo.ini'}: frameRate={text}: give frames per second")
    return fps


def _images(paths: Iterator[Path]) -> list[Path]:
    found = (path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """A key by which img2 comes before img10."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
