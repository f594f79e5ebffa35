"""Fingerprints of all images of a dataset: unreadable, repeated and similar ones."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mot.datasets.dataset import BoolArray, Dataset, ImageRecord
from mot.datasets.images import decode_image
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.files import read_bytes
from mot.types import FloatArray, Image

UNREADABLE = "images cannot be read"
OTHER_SIZE = "images have another size than annotated"
REPEATED = "images are repeated"
SHARED = "images are in both the training and the validation data"
SIMILAR = "images of the validation data are similar to one of the training data"
_BITS = 64
_BLOCK = 1024  # images that are compared with all others at a time


@dataclass(frozen=True, slots=True, eq=False)
class ImageFingerprint:
    """Identifies one image, and images that are similar to it."""

    name: str
    size: tuple[int, int]  # width, height
    digest: bytes  # of the file
    bits: BoolArray  # (64,) difference hash: similar images differ in few bits


def fingerprint_images(data: Dataset, problems: Problems) -> Iterator[ImageFingerprint | None]:
    """The fingerprint of each image; None for unreadable ones, which are added to the problems."""
    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        for record, result in zip(data, pool.map(_fingerprint, data), strict=True):
            if isinstance(result, MotError):
                problems.add(UNREADABLE, [str(result)])
                yield None
                continue
            if all(record.size) and result.size != record.size:
                sizes = ["x".join(map(str, size)) for size in (result.size, record.size)]
                problems.add(OTHER_SIZE, [f"{result.name} is {sizes[0]}, not {sizes[1]}"])
            yield result


def _fingerprint(record: ImageRecord) -> ImageFingerprint | MotError:
    try:
        data = read_bytes(record.path)
        image = decode_image(data, record.path)
    except MotError as error:
        return error
    height, width = image.shape[:2]
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return ImageFingerprint(record.name, (width, height), digest, difference_hash(image))


def difference_hash(image: Image) -> BoolArray:
    """(64,) whether brightness rises to the right, at 9x8 pixels."""
    from mot.opencv import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    bits: BoolArray = (small[:, 1:] > small[:, :-1]).reshape(_BITS)
    return bits


def find_repeated(fingerprints: Sequence[ImageFingerprint], problems: Problems) -> None:
    """Adds files with equal content in one dataset to the problems."""
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    for each in fingerprints:
        by_digest[each.digest].append(each.name)
    for names in by_digest.values():
        problems.add(REPEATED, (f"{other} = {names[0]}" for other in names[1:]))


def find_shared(
    train: Sequence[ImageFingerprint],
    val: Sequence[ImageFingerprint],
    problems: Problems,
    max_bits: int = 5,
) -> None:
    """Adds validation images that are also training images to the problems, and those whose hash
    differs from that of one in at most `max_bits`."""
    known = {each.digest: each.name for each in train}
    others = []
    for each in val:
        if each.digest in known:
            problems.add(SHARED, [f"{each.name} = {known[each.digest]}"])
        else:
            others.append(each)
    for each, nearest, distance in find_nearest(others, train):
        if distance <= max_bits:
            problems.add(SIMILAR, [f"{each.name} ~ {nearest.name}"])


def find_nearest(
    fingerprints: Sequence[ImageFingerprint], others: Sequence[ImageFingerprint]
) -> Iterator[tuple[ImageFingerprint, ImageFingerprint, int]]:
    """Each fingerprint, the one of `others` that differs in the fewest bits, and their number."""
    if not others:
        return
    other_signs = _signs(others)
    for start in range(0, len(fingerprints), _BLOCK):
        block = fingerprints[start : start + _BLOCK]
        distances = (_BITS - _signs(block) @ other_signs.T) / 2
        for each, row, nearest in zip(block, distances, distances.argmin(axis=1), strict=True):
            yield each, others[nearest], int(row[nearest])


def _signs(fingerprints: Sequence[ImageFingerprint]) -> FloatArray:
    """(N, 64) of -1 and 1: a dot product is the number of equal bits minus that of others."""
    return np.array([each.bits for each in fingerprints], np.float32) * 2 - 1
