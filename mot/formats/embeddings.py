"""Embeddings of detections, read from NumPy files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mot.errors import MotError
from mot.motfile import MotRows, detections_by_frame, read_rows_of
from mot.types import Detections, FloatArray

# Before the features in DeepSORT's layout: frame, id, left, top, width, height, conf.
_ROW_COLUMNS = 7
_SAME_PLACE = 0.2  # pixels, for files that round differently


def read_detections_with_embeddings(
    path: str | Path, embeddings: str | Path | None
) -> dict[int, Detections]:
    """The detections of each frame, with what they look like where a file of it is given."""
    rows = read_rows_of(path)
    vectors = read_embeddings(embeddings, rows) if embeddings else None
    return detections_by_frame(rows, vectors)


def read_embeddings(path: str | Path, rows: MotRows) -> FloatArray:
    """(N, D), one for each row of a detections file.

    A file holds either N rows of D numbers in the order of the detections, or rows of a
    detection's seven columns and its features, in any order.
    """
    path = Path(path)
    table = _load(path)
    if table.ndim != 2 or len(table) != len(rows):
        raise MotError(
            f"{path}: holds an array of the shape {table.shape}; "
            f"{len(rows)} rows are needed, one for each detection"
        )
    if table.shape[1] > _ROW_COLUMNS and _names_the_boxes(table, rows):
        table = _in_order_of(rows, table, path)
    sound = np.isfinite(table).all(axis=1)
    if not sound.all():
        raise MotError(f"{path}: the embedding in row {int(sound.argmin())} is not finite")
    return np.asarray(table, np.float32)


def _load(path: Path) -> npt.NDArray[np.float64]:
    """Never unpickles anything."""
    try:
        with path.open("rb") as file:
            array = _first_array(file)
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except (OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile):
        raise MotError(f"{path}: not a .npy or .npz file of numbers") from None
    if array.dtype.kind not in "fiub":
        raise MotError(f"{path}: holds {array.dtype}, not numbers")
    return array.astype(np.float64)


def _first_array(file: BinaryIO) -> npt.NDArray[Any]:
    loaded: Any = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        name = "embeddings" if "embeddings" in loaded else loaded.files[0]
        return np.asarray(loaded[name])


def _names_the_boxes(table: npt.NDArray[np.float64], rows: MotRows) -> bool:
    """The first columns are those of the detections, if perhaps in another order."""
    return bool(np.array_equal(np.sort(table[:, 0]), np.sort(rows.frames)))


def _in_order_of(
    rows: MotRows, table: npt.NDArray[np.float64], path: Path
) -> npt.NDArray[np.float64]:
    """The features of each row: those beside the nearest box of its frame."""
    ours = _places(rows.frames, rows.xywh)
    theirs = _places(table[:, 0], table[:, 2:6])
    if np.abs(ours - theirs).max(initial=0) > _SAME_PLACE:  # not in the same order
        distance, found = cKDTree(theirs).query(ours)
        if distance.max() > _SAME_PLACE or len(np.unique(found)) < len(found):
            raise MotError(f"{path}: the boxes beside the features are not those of the detections")
        table = table[found]
    return table[:, _ROW_COLUMNS:]


def _places(frames: npt.NDArray[Any], xywh: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 5) points that are near each other only within a frame."""
    return np.column_stack([frames * 1e6, xywh])
