"""Appearance matching: embeddings of tracks, their moving average, cosine-distance costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.embeddings import Vectors, cosine_distance, normalize
from mot.errors import MotError
from mot.trackers.base import BaseTracker, Candidates, gate_classes
from mot.trackers.stages import CostTerms
from mot.trackers.table import Column, TrackTable
from mot.types import Detections, IntArray

APPEARANCE = "appearance"  # prefix of the names of stages that match by it
CHI2_95 = 9.4877  # gate of the squared Mahalanobis distance: 95 % of chi-squared with four axes


def _order_by_embedding(found: Candidates) -> Candidates:
    """Ties in box, score and label, ordered by embedding: independent of the caller's order."""
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
    """(N, D) unit vectors: `weight` (a number or (N, 1)) of the old, the rest of the new.

    Zero vectors are unknown and have no weight.
    """
    known = new.any(axis=1, keepdims=True)
    share = np.where(old.any(axis=1, keepdims=True), np.asarray(weight, np.float32), np.float32(0))
    share = np.where(known, share, np.float32(1))
    return normalize(share * old + (1 - share) * new)


class AppearanceTracker(BaseTracker):
    """Keeps an embedding for each track, if the detections have embeddings."""

    uses_embeddings = True
    needs_embeddings = False
    uses_motion = False  # Mahalanobis distances gate the cost, or are part of it
    appearance_weight = 1.0  # of cosine distances in a mixed cost; motion has the rest
    appearance_share = 0.0  # of cosine distances added to an overlap cost
    _width = 0  # D, known from the first embeddings of the stream

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
                f"embeddings of {width} dimensions after {self._width}: "
                "use one embedder for the entire stream"
            )
        if width != self._width:
            self._width = width
            self._set_embedding_width(width)
        return _order_by_embedding(found._replace(embeddings=normalize(found.embeddings)))

    def _set_embedding_width(self, width: int) -> None:
        """Tracks from before the first embeddings have zero vectors."""
        self._table.extra["embedding"] = np.zeros((len(self._table), width), np.float32)

    def _new_table(self) -> TrackTable:
        return TrackTable(embedding=np.zeros((0, 0), np.float32))

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        assert found.embeddings is not None
        return {"embedding": found.embeddings[chosen]}

    def _update_embedding(
        self, tracks: IntArray, vectors: Vectors, weight: float | Vectors
    ) -> None:
        if self._width:
            embedding = self._table.extra["embedding"]
            embedding[tracks] = moving_average(embedding[tracks], vectors, weight)

    def _appearance_and_motion(self, found: Candidates) -> npt.NDArray[np.floating[Any]]:
        """(N, M) weighted cosine and Mahalanobis distances; infinite beyond the gate."""
        weight, motion = self.appearance_weight, self._motion(found)
        cost = weight * self._appearance_cost(found) + (1 - weight) * motion
        cost[motion > CHI2_95] = np.inf
        return cost

    def _motion(self, found: Candidates) -> npt.NDArray[np.float64]:
        """(N, M) squared Mahalanobis distances."""
        return self._filter.squared_mahalanobis(self._table.state, found.measurements)

    def _appearance_cost(self, found: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) cosine distances; infinite between classes."""
        return gate_classes(self._appearance_distance(found), self._table.labels, found.labels)

    def _appearance_distance(self, found: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) cosine distances to the embeddings of the tracks."""
        assert found.embeddings is not None
        return cosine_distance(self._table.extra["embedding"], found.embeddings)

    def _both_known(self, found: Candidates) -> npt.NDArray[np.bool_]:
        """(N, M) pairs whose embeddings are both known."""
        assert found.embeddings is not None
        tracks, detections = self._table.extra["embedding"], found.embeddings
        known: npt.NDArray[np.bool_] = np.logical_and.outer(
            tracks.any(axis=1), detections.any(axis=1)
        )
        return known

    def _cost_terms(self, found: Candidates) -> CostTerms:
        terms = super()._cost_terms(found)
        if not self._width:
            return terms
        motion = self._motion(found) if self.uses_motion else None
        appearance = self._appearance_distance(found)
        return CostTerms(
            terms.overlap, appearance, motion, self.appearance_weight, self.appearance_share
        )
