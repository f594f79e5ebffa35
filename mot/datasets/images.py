"""Image files of a dataset, read on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mot.datasets.dataset import ImageRecord
from mot.errors import MotError
from mot.files import read_bytes
from mot.image_size import image_size
from mot.types import Image

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"


def read_image(record: ImageRecord) -> Image:
    """(H, W, 3) uint8 BGR, whatever its depth and channels. Its EXIF orientation is not applied,
    since boxes are in the pixels of the file."""
    return decode_image(read_bytes(record.path), record.path)


def decode_image(data: bytes, path: Path) -> Image:
    """(H, W, 3) uint8 BGR; `path` begins error messages."""
    import numpy as np

    from mot.opencv import cv2

    if _is_truncated(data):
        raise MotError(f"{path}: the image is truncated: copy it again, or remove it")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise MotError(f"{path}: not a readable image: copy it again, or remove it")
    decoded: Image = image
    return decoded


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG has no end: decoders fill the rest with gray or noise."""
    if data.startswith(_PNG):
        return b"IEND" not in data
    end = data.rfind(_JPEG_END)  # possibly that of a thumbnail, which precedes the scan
    return data.startswith(_JPEG) and (end < 0 or _JPEG_SCAN in data[end:])


def read_size(path: Path) -> tuple[int, int] | None:
    """(width, height) from the file's header; None if it is unreadable."""
    try:
        size = image_size(path)
        if size:
            return size
        height, width = decode_image(read_bytes(path), path).shape[:2]
        return width, height
    except (OSError, MotError):
        return None
