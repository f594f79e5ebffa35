"""Embeddings as arrays: unit vectors and the distances between them. NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # (N, D)


def normalize(vectors: npt.NDArray[np.floating[Any]]) -> Vectors:
    """(N, D) unit vectors. A zero vector stands for an unknown embedding and stays zero."""
    vectors = np.asarray(vectors, np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    unit: Vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def cosine_distance(rows: Vectors, columns: Vectors) -> npt.NDArray[np.float32]:
    """(N, M) distances of (N, D) to (M, D) unit vectors: 0 same, 2 opposite, 1 if one is zero."""
    distance: npt.NDArray[np.float32] = rows @ columns.T
    return np.subtract(1, distance, out=distance)
