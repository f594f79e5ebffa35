"""The images of a dataset, read when they are wanted."""

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
    """(H, W, 3) uint8 BGR, whatever its depth and channels. It is not turned as its EXIF says:
    boxes are in the pixels of the file."""
    return decode(read_bytes(record.path), record.path)


def decode(data: bytes, path: Path) -> Image:
    import numpy as np

    from mot.opencv import cv2

    if is_cut_off(data):
        raise MotError(f"{path}: the image is cut off: copy it again, or take it out")
    how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), how) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise MotError(f"{path}: not an image that can be read: copy it again, or take it out")
    decoded: Image = image
    return decoded


def is_cut_off(data: bytes) -> bool:
    """A JPEG or PNG without its end, of which decoders make gray areas and noise."""
    if data.startswith(_PNG):
        return b"IEND" not in data
    end = data.rfind(_JPEG_END)  # maybe that of a preview in the head, which the scan comes after
    return data.startswith(_JPEG) and (end < 0 or _JPEG_SCAN in data[end:])


def size_of(path: Path) -> tuple[int, int] | None:
    """(width, height) from the header of the file; None: it cannot be read."""
    try:
        size = image_size(path)
        if size:
            return size
        height, width = decode(read_bytes(path), path).shape[:2]
        return width, height
    except (OSError, MotError):
        return None
