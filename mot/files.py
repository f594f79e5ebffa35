"""Reading files with user-level errors, and writing them atomically.

Every writer here writes to a partial file beside the target and renames it when it is complete, so
that no incomplete file ever has the final name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mot.errors import MotError, as_user_error


def cache_dir() -> Path:
    """Folder of downloads and other reusable files: `MOT_HOME`, else the user's cache folder."""
    import platformdirs

    named = os.environ.get("MOT_HOME")
    if named:
        return Path(named).expanduser().absolute()
    return platformdirs.user_cache_path("mot", appauthor=False)


def read_bytes(path: Path) -> bytes:
    """The content of a file without a UTF-8 byte order mark."""
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None


def partial_path(path: Path) -> Path:
    """The path of a file while it is written: `demo.partial.txt` for `demo.txt`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextmanager
def atomic_writer(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file that is renamed to `path` when the block ends.

    Ctrl-C keeps the partial file, since its lines are useful on their own; an error removes it.
    """
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
def atomic_binary_writer(path: Path) -> Iterator[BinaryIO]:
    """A binary file that is renamed to `path` when the block ends; removed on any interruption."""
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
    """Write a complete file atomically."""
    with atomic_binary_writer(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a complete UTF-8 file atomically."""
    with atomic_binary_writer(path) as file:
        file.write(text.encode("utf-8"))


def json_safe(value: Any) -> Any:
    """The value with NaN and infinity, which JSON lacks, replaced by None; keys become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): json_safe(part) for key, part in value.items()}
    return value
