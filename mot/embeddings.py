"""Embeddings of detections, read from NumPy files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.errors import MotError
from mot.motfile import MotRows
from mot.types import FloatArray

# Before the features in DeepSORT's layout: frame, id, left, top, width, height, conf.
_ROW_COLUMNS = 7


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
        table = _in_order_of(rows, table)
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table).all(axis=1)).argmax())
        raise MotError(f"{path}: the embedding in row {bad} is not finite")
    return np.asarray(table, np.float32)


def _load(path: Path) -> npt.NDArray[Any]:
    """Never unpickles anything."""
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded.astype(np.float64)
        with loaded:
            name = "embeddings" if "embeddings" in loaded else loaded.files[0]
            return np.asarray(loaded[name], np.float64)
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except (OSError, ValueError, IndexError, EOFError):
        raise MotError(f"{path}: not a .npy or .npz file of numbers") from None


def _names_the_boxes(table: npt.NDArray[np.float64], rows: MotRows) -> bool:
    """The first columns are those of the detections, if perhaps in another order."""
    return bool(np.array_equal(np.sort(table[:, 0]), np.sort(rows.frames)))


def _in_order_of(rows: MotRows, table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ours = _order(rows.frames, rows.xywh)
    theirs = _order(table[:, 0], table[:, 2:6])
    if not np.allclose(rows.xywh[ours], table[theirs, 2:6], atol=0.06):
        raise MotError("the boxes beside the embeddings are not those of the detections")
    ordered = np.empty((len(table), table.shape[1] - _ROW_COLUMNS))
    ordered[ours] = table[theirs, _ROW_COLUMNS:]
    return ordered


def _order(frames: npt.NDArray[Any], xywh: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    left, top, width, height = np.round(xywh, 1).T
    return np.lexsort((height, width, top, left, frames))
