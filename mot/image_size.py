"""Image sizes read from file headers, without decoding the image."""

from __future__ import annotations

import struct
from pathlib import Path

IMAGE_SUFFIXES = frozenset(".jpg .jpeg .png .bmp .tif .tiff .webp .ppm .pgm .jp2".split())
_HEAD = 1 << 16  # bytes read first
_JPEG = b"\xff\xd8"
_JPEG_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of a JPEG or PNG file; None for other formats and for broken headers."""
    with path.open("rb") as file:
        data = file.read(_HEAD)
        # Thumbnails and color profiles may precede the size in a JPEG.
        return _parse_size(data) or (
            _parse_size(data + file.read()) if data.startswith(_JPEG) else None
        )


def _parse_size(data: bytes) -> tuple[int, int] | None:
    try:
        if data.startswith(b"\x89PNG"):
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        return _parse_jpeg_size(data) if data.startswith(_JPEG) else None
    except (struct.error, IndexError):
        return None


def _parse_jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        length, _, height, width = struct.unpack(">HBHH", data[position + 2 : position + 9])
        if marker in _JPEG_START_OF_FRAME:
            return width, height
        position += 2 + length
    return None
