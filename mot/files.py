"""Files read whole, and files that stand under their name only when they are complete."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mot.errors import MotError, as_user_error


def read_bytes(path: Path) -> bytes:
    """Of a whole file, without the byte order mark that some editors leave."""
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None


def partial_path(path: Path) -> Path:
    """Where a file is written until it is complete: `demo.partial.txt` for `demo.txt`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextmanager
def written_beside(path: Path) -> Iterator[TextIO]:
    """A file to write to. An interruption keeps it under its partial name; an error removes it."""
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(partial, path)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"; kept {partial}")
        raise
    except Exception as error:
        with suppress(OSError):
            partial.unlink()
        raise as_user_error(error, path) from error


@contextmanager
def bytes_beside(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which are of no use before they are all there."""
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if not isinstance(error, Exception):
            raise
        raise as_user_error(error, path) from error


def write_bytes(path: Path, data: bytes) -> None:
    with bytes_beside(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    with bytes_beside(path) as file:
        file.write(text.encode("utf-8"))


def plain(value: Any) -> Any:
    """For JSON, which knows neither nan nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return value
