"""Looking at every image of a dataset: which are broken, which come twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mot.datasets.dataset import BoolArray, DataSet
from mot.datasets.images import decode
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.files import read_bytes
from mot.types import Image

BROKEN = "images cannot be read"
OTHER_SIZE = "images have another size than annotated"
TWICE = "images come twice"
SHARED = "images are in both the training and the validation data"
ALIKE = "images of the validation data look like one of the training data"
_BITS = 64
_BLOCK = 1024  # images that are compared with all others at a time


@dataclass(frozen=True, slots=True, eq=False)
class ImageFingerprint:
    """What one file shows."""

    name: str
    size: tuple[int, int]  # width, height
    digest: bytes  # of the file
    pattern: BoolArray  # (64,) like those of images that look alike


def look_at_all(data: DataSet, problems: Problems) -> Iterator[ImageFingerprint | None]:
    """ImageRecord after image; None where it cannot be read, which is noted."""
    with ThreadPoolExecutor() as pool:  # decoding lets other threads run
        fingerprints = pool.map(
            _try_to_look, (each.path for each in data), (each.name for each in data)
        )
        for record, look in zip(data, fingerprints, strict=True):
            if isinstance(look, MotError):
                problems.note(BROKEN, [str(look)])
                yield None
                continue
            if all(record.size) and look.size != record.size:
                sizes = ["x".join(map(str, size)) for size in (look.size, record.size)]
                problems.note(OTHER_SIZE, [f"{look.name} is {sizes[0]}, not {sizes[1]}"])
            yield look


def _try_to_look(path: Path, name: str) -> ImageFingerprint | MotError:
    try:
        data = read_bytes(path)
        image = decode(data, path)
    except MotError as error:
        return error
    height, width = image.shape[:2]
    return ImageFingerprint(
        name, (width, height), hashlib.blake2b(data, digest_size=16).digest(), dhash(image)
    )


def dhash(image: Image) -> BoolArray:
    """(64,) where the image, made very small, grows brighter to the right."""
    from mot.opencv import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits: BoolArray = (small[:, 1:] > small[:, :-1]).reshape(_BITS)
    return bits


def note_twins(fingerprints: Sequence[ImageFingerprint], problems: Problems) -> None:
    """Files with the same content in one dataset."""
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    for look in fingerprints:
        by_digest[look.digest].append(look.name)
    for names in by_digest.values():
        problems.note(TWICE, (f"{other} = {names[0]}" for other in names[1:]))


def note_shared(
    train: Sequence[ImageFingerprint],
    val: Sequence[ImageFingerprint],
    problems: Problems,
    most: int = 5,
) -> None:
    """Files of the validation data that are among the training data, or differ in `most` bits of
    their patterns from one there."""
    known = {look.digest: look.name for look in train}
    others = []
    for look in val:
        if look.digest in known:
            problems.note(SHARED, [f"{look.name} = {known[look.digest]}"])
        else:
            others.append(look)
    for look, twin, distance in nearest_patterns(others, train):
        if distance <= most:
            problems.note(ALIKE, [f"{look.name} ~ {twin.name}"])


def nearest_patterns(
    fingerprints: Sequence[ImageFingerprint], others: Sequence[ImageFingerprint]
) -> Iterator[tuple[ImageFingerprint, ImageFingerprint, int]]:
    """Each with the other that differs in the fewest bits, and how many."""
    if not others:
        return
    theirs = _signs(others)
    for start in range(0, len(fingerprints), _BLOCK):
        block = fingerprints[start : start + _BLOCK]
        distances = (_BITS - _signs(block) @ theirs.T) / 2
        for look, row, place in zip(block, distances, distances.argmin(axis=1), strict=True):
            yield look, others[place], int(row[place])


def _signs(
    fingerprints: Sequence[ImageFingerprint],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(N, 64) of which the product counts the bits that agree less those that differ."""
    return np.array([look.pattern for look in fingerprints], np.float32) * 2 - 1
