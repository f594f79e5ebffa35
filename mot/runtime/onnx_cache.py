"""Cache of exported networks: each PyTorch network is exported to ONNX once and reused."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mot.errors import MotError
from mot.files import cache_dir
from mot.runtime.devices import is_installed
from mot.runtime.onnx_session import check_device

CACHE_SCHEMA = 1  # raise it when the content of exported files changes
Opened = TypeVar("Opened")


def digest(files: Sequence[Path], *others: object) -> str:
    """SHA-256 digest of files and other values that identify a network."""
    total = hashlib.sha256(repr((CACHE_SCHEMA, others)).encode())
    for path in files:
        try:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError:
            raise MotError(f"{path}: no such file") from None
        except OSError as error:
            raise MotError(f"{path}: cannot be read ({error.strerror})") from None
    return total.hexdigest()


def exported_path(key: str) -> Path:
    """Cache file of the network with this digest."""
    return cache_dir() / "onnx" / f"{key}.onnx"


def open_exported(
    path: Path, device: str, open_file: Callable[[Path, str], Opened]
) -> Opened | None:
    """Opens a cached file on a device; None if it is missing, or damaged and can be replaced."""
    if not path.is_file():
        return None
    check_device(device)  # an error of the device is no damage of the file
    try:
        return open_file(path, device)
    except MotError:
        if not is_installed("torch"):
            raise
        return None


def export_to_cache(path: Path, export: Callable[[Path], None]) -> None:
    """Writes a cached file with `export`; other processes may do the same at the same time."""
    own = path.with_suffix(f".{os.getpid()}.onnx")
    print(f"mot: exporting to ONNX, once, for speed on a CPU: {path}", file=sys.stderr)
    export(own)
    os.replace(own, path)
