"""Detections cached on disk, by a digest of all that they depend on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mot.types import Detections

Table = dict[int, Detections]  # by frame index, those that have any
CACHE_SCHEMA = 1  # a larger number discards what is cached: raise it when detections change
_BROKEN = (
    *(OSError, ValueError, TypeError, LookupError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def digest_of(value: object) -> str:
    """SHA-256 digest of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_images(model: Mapping[str, Any], images: Sequence[Path]) -> str:
    """Digest of images or a video, and of a model: its name, settings, a digest of its weights."""
    stats = [(path.name, path.stat()) for path in images]
    files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    return digest_of([CACHE_SCHEMA, dict(model), files])


def file_path(home: Path, digest: str) -> Path:
    return home / "detections" / f"{digest}.npz"


def load_or_make(path: Path, make: Callable[[], Table]) -> tuple[Table, list[str]]:
    """The cached table, or a new one, which is then cached; and warnings."""
    warnings = []
    if path.is_file():
        try:
            return read(path), []
        except _BROKEN:
            warnings.append(f"{path}: the cache is damaged: detecting again")
    table = make()
    try:
        write(path, table)
    except OSError as error:
        warnings.append(f"{path}: the detections cannot be cached ({error.strerror or error})")
    return table, warnings


def read(path: Path) -> Table:
    """Never unpickles anything; a damaged file raises one of several errors."""
    arrays = _read_arrays(path)
    frames = arrays["frames"]
    if any(len(array) != len(frames) for array in arrays.values()):
        raise ValueError("columns of different lengths")
    numbers, starts = np.unique(frames, return_index=True)
    ends = np.append(starts, len(frames))[1:]
    columns = (arrays["boxes"], arrays["scores"], arrays["labels"], arrays.get("embeddings"))
    return {
        number: Detections(*(None if c is None else c[start:end] for c in columns))  # type: ignore[arg-type]
        for number, start, end in zip(numbers.tolist(), starts, ends, strict=True)
    }


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("one array alone")
        arrays = {name: loaded[name] for name in loaded.files}
    if not all(isinstance(array, np.ndarray) and array.ndim for array in arrays.values()):
        raise ValueError("not columns of numbers")
    return arrays


def write(path: Path, table: Table) -> None:
    """Atomic: several processes may write the same file at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **_columns(table))
    number, partial = tempfile.mkstemp(".partial", path.stem, path.parent)
    try:
        with open(number, "wb") as file:
            file.write(buffer.getbuffer())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def _columns(table: Table) -> dict[str, Any]:
    """The rows of all frames as columns, ordered by frame."""
    found = {number: table[number] for number in sorted(table) if len(table[number])}
    parts = list(found.values()) or [Detections.empty()]
    columns = {
        "frames": np.repeat(np.array([*found], np.int64), [len(part) for part in found.values()]),
        "boxes": np.concatenate([part.boxes for part in parts]),
        "scores": np.concatenate([part.scores for part in parts]),
        "labels": np.concatenate([part.labels for part in parts]),
    }
    embeddings = [part.embeddings for part in parts if part.embeddings is not None]
    if embeddings:
        columns["embeddings"] = np.concatenate(embeddings)
    return columns
