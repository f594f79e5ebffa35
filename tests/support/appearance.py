"""Plain formulas of the distances that trackers compute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from support.tracking import unit

Array = npt.NDArray[np.float64]


def cosines(tracks: Array, detections: Array) -> Array:
    """(N, M) cosine distances of embeddings."""
    return np.array([[1 - a @ b for b in unit(detections)] for a in unit(tracks)])


def mahalanobis(state: Array, model: object, found: object) -> Array:
    """(N, M) squared distances; measurements deviate by 1/20 of the height, the aspect by 0.1."""
    measured = model.from_xyxy(found.boxes.astype(np.float64))
    distance = np.empty((state.shape[2], len(measured)))
    for row, track in enumerate(np.moveaxis(state, 2, 0)):
        deviation = np.array([track[0, 3] / 20] * 4)
        deviation[2] = 0.1
        inverse = np.linalg.inv(np.diag(track[2] + deviation**2))
        for column, box in enumerate(measured):
            residual = box - track[0]
            distance[row, column] = residual @ inverse @ residual
    return distance
