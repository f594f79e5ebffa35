"""Reading embeddings of detections from NumPy files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from mot.errors import MotError
from mot.motfile import MotRows, detections_by_frame, read_mot_rows
from mot.types import Detections, FloatArray

# Columns before the embedding in DeepSORT's layout: frame, id, left, top, width, height, conf.
_ROW_COLUMNS = 7
_MAX_ROUNDING = 0.2  # pixels between equal boxes of files that round differently


def read_detections_with_embeddings(
    path: str | Path, embeddings: str | Path | None
) -> dict[int, Detections]:
    """Detections by frame, from 1, with embeddings if a file of them is given."""
    rows = read_mot_rows(path)
    vectors = read_embeddings(embeddings, rows) if embeddings else None
    return detections_by_frame(rows, vectors)


def read_embeddings(path: str | Path, rows: MotRows) -> FloatArray:
    """(N, D) embeddings, one per row of a detections file.

    The file has either N rows of D numbers in the order of the detections, or rows of the seven
    columns of a detection and its embedding, in any order.
    """
    path = Path(path)
    table = _load(path)
    if table.ndim != 2 or len(table) != len(rows):
        raise MotError(
            f"{path}: has an array of the shape {table.shape}; "
            f"{len(rows)} rows are needed, one per detection"
        )
    # The first columns are those of the detections, in any order.
    if table.shape[1] > _ROW_COLUMNS and np.array_equal(np.sort(table[:, 0]), np.sort(rows.frames)):
        table = _sort_like(rows, table, path)
    is_finite = np.isfinite(table).all(axis=1)
    if not is_finite.all():
        raise MotError(f"{path}: the embedding in row {int(is_finite.argmin())} is not finite")
    return np.asarray(table, np.float32)


def _load(path: Path) -> npt.NDArray[np.float64]:
    """Read without unpickling."""
    try:
        with path.open("rb") as file:
            array = _first_array(file)
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except (OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile):
        raise MotError(f"{path}: not a .npy or .npz file of numbers") from None
    if array.dtype.kind not in "fiub":
        raise MotError(f"{path}: contains {array.dtype}, not numbers")
    return array.astype(np.float64)


def _first_array(file: BinaryIO) -> npt.NDArray[Any]:
    loaded: Any = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        name = "embeddings" if "embeddings" in loaded else loaded.files[0]
        return np.asarray(loaded[name])


def _sort_like(
    rows: MotRows, table: npt.NDArray[np.float64], path: Path
) -> npt.NDArray[np.float64]:
    """The embedding of each row: that of the nearest box of its frame."""
    ours = _box_points(rows.frames, rows.xywh)
    theirs = _box_points(table[:, 0], table[:, 2:6])
    if np.abs(ours - theirs).max(initial=0) > _MAX_ROUNDING:  # another order
        distance, found = cKDTree(theirs).query(ours)
        if distance.max() > _MAX_ROUNDING or len(np.unique(found)) < len(found):
            raise MotError(
                f"{path}: the boxes beside the embeddings are not those of the detections"
            )
        table = table[found]
    return table[:, _ROW_COLUMNS:]


def _box_points(frames: npt.NDArray[Any], xywh: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 5) points, far apart for different frames."""
    return np.column_stack([frames * 1e6, xywh])
