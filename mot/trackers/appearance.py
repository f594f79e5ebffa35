"""Appearance on the trackers' side: unit vectors, their distances, the memory of a track."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.embeddings import Vectors, cosine_distance, normalize
from mot.errors import MotError
from mot.trackers.base import Candidates, Tracker, gate_classes
from mot.trackers.stages import Parts
from mot.trackers.table import Column, TrackTable
from mot.types import Detections, IntArray

APPEARANCE = "appearance"  # what the names of stages begin with that match by it
CHI2_95 = 9.4877  # of a squared Mahalanobis distance over four axes


def _by_looks(found: Candidates) -> Candidates:
    """Candidates that are equal in all else, in an order that does not depend on the caller's."""
    assert found.embeddings is not None
    same = (found.boxes[1:] == found.boxes[:-1]).all(axis=1)
    same &= found.scores[1:] == found.scores[:-1]
    same &= found.labels[1:] == found.labels[:-1]
    if not same.any():
        return found
    group = np.concatenate([[0], np.cumsum(~same)])
    order = np.lexsort((*found.embeddings.T, group))
    return Candidates(
        found.boxes[order],
        found.scores[order],
        found.labels[order],
        found.rows[order],
        found.measurements[:, order],
        found.embeddings[order],
    )


def moving_average(old: Vectors, new: Vectors, weight: float | Vectors) -> Vectors:
    """`weight` of the old, (N, 1) or one for all; a track that knew nothing takes the new, and the
    other way round."""
    known = new.any(axis=1, keepdims=True)
    share = np.where(old.any(axis=1, keepdims=True), np.asarray(weight, np.float32), np.float32(0))
    share = np.where(known, share, np.float32(1))
    return normalize(share * old + (1 - share) * new)


class AppearanceTracker(Tracker):
    """A tracker that remembers what its people look like, where the detections say."""

    uses_embeddings = True
    needs_embeddings = False
    uses_motion = False  # the filter's distances are a gate, or a part of the cost
    appearance_weight = 1.0  # of the cosine distances in the cost; the filter's have the rest
    appearance_share = 0.0  # of the cosine distances that come on top of another cost
    _width = 0  # D of the embeddings of this stream, known from the first ones

    def reset(self) -> None:
        super().reset()
        self._width = 0

    def _candidates(self, detections: Detections) -> Candidates:
        found = super()._candidates(detections)
        if found.embeddings is None or not len(found.rows):
            if found.embeddings is None and self.needs_embeddings and len(detections):
                raise MotError(
                    f"{type(self).__name__} needs the embeddings of the detections: "
                    "give --embeddings FILE or an embedder, or another tracker"
                )
            return found._replace(embeddings=np.zeros((len(found.rows), self._width), np.float32))
        width = found.embeddings.shape[1]
        if self._width and width != self._width:
            raise MotError(
                f"embeddings of {width} numbers after some of {self._width}: "
                "use one embedder for the whole stream"
            )
        if width != self._width:
            self._width = width
            self._widen(width)
        return _by_looks(found._replace(embeddings=normalize(found.embeddings)))

    def _widen(self, width: int) -> None:
        """Tracks from before the first embeddings know nothing yet."""
        self._table.extra["looks"] = np.zeros((len(self._table), width), np.float32)

    def _new_table(self) -> TrackTable:
        return TrackTable(looks=np.zeros((0, 0), np.float32))

    def _birth_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        assert found.embeddings is not None
        return {"looks": found.embeddings[chosen]}

    def _remember(self, tracks: IntArray, vectors: Vectors, weight: float | Vectors) -> None:
        if self._width:
            looks = self._table.extra["looks"]
            looks[tracks] = moving_average(looks[tracks], vectors, weight)

    def _looks_and_motion(self, found: Candidates) -> npt.NDArray[np.floating[Any]]:
        """(N, M) cosine distances with a share of the filter's; infinite beyond its gate."""
        weight, motion = self.appearance_weight, self._motion(found)
        cost = weight * self._looks_cost(found) + (1 - weight) * motion
        cost[motion > CHI2_95] = np.inf
        return cost

    def _motion(self, found: Candidates) -> npt.NDArray[np.float64]:
        """(N, M) squared Mahalanobis distances."""
        return self._filter.squared_mahalanobis(self._table.state, found.measurements)

    def _looks_cost(self, found: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) cosine distances; infinite between classes."""
        return gate_classes(self._looks_distance(found), self._table.labels, found.labels)

    def _looks_distance(self, found: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) cosine distances to what is remembered."""
        assert found.embeddings is not None
        return cosine_distance(self._table.extra["looks"], found.embeddings)

    def _known(self, found: Candidates) -> npt.NDArray[np.bool_]:
        """(N, M) pairs of which both looks are known."""
        assert found.embeddings is not None
        remembered, seen = self._table.extra["looks"], found.embeddings
        known: npt.NDArray[np.bool_] = np.logical_and.outer(
            remembered.any(axis=1), seen.any(axis=1)
        )
        return known

    def _parts(self, found: Candidates) -> Parts:
        parts = super()._parts(found)
        if not self._width:
            return parts
        motion = self._motion(found) if self.uses_motion else None
        looks = self._looks_distance(found)
        return Parts(parts.overlap, looks, motion, self.appearance_weight, self.appearance_share)
