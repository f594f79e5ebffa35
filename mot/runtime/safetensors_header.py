"""What a `.safetensors` file tells of itself, read without opening its arrays."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from mot.errors import MotError

KEY = "mot"  # of the text, in JSON, among the file's metadata
_LARGEST = 100_000_000  # bytes of a header, as safetensors itself has it


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What `save_weights` was given; nothing, of a file that others wrote."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = _read_header(file)
        text = header.get("__metadata__", {}).get(KEY, "{}")
        metadata = json.loads(text)
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise MotError(f"{path}: does not begin as .safetensors files do: truncated, or no such")
    return metadata


def _read_header(file: BinaryIO) -> dict[str, Any]:
    start = file.read(8)
    size = os.fstat(file.fileno()).st_size
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if not 0 < length <= min(_LARGEST, size - len(start)):
        raise ValueError("no header")
    header: dict[str, Any] = json.loads(file.read(length))
    return header
