"""BoT-SORT: robust associations (Aharon et al., 2022).

ByteTrack with a Kalman filter of width and height, camera-motion compensation, and a cost that is
the smaller of the IoU and appearance distances. Departures from the authors' code are those of
`bytetrack.py`; besides, camera rotation does not mix the axes of the covariance, and embeddings are
also updated from low-score detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.trackers.appearance import AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.bytetrack import ByteTrack, ByteTrackSettings
from mot.trackers.kalman import XYWH_MODEL
from mot.trackers.stages import Cost
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class BotSortSettings(ByteTrackSettings):
    """The values of the paper's code."""

    match_thresh: float = 0.8
    proximity_thresh: float = 0.5  # appearance is used up to this 1 - IoU
    appearance_thresh: float = 0.25  # and up to this half cosine distance
    embedding_momentum: float = 0.9  # weight of the old embedding in the moving average


class BotSort(ByteTrack, AppearanceTracker):
    settings: BotSortSettings
    model = XYWH_MODEL
    appearance_weight = 0.5
    still_axes_when_lost: tuple[int, ...] = (2, 3)

    def __init__(self, settings: BotSortSettings | None = None) -> None:
        super().__init__(settings or BotSortSettings())

    def _high_score_cost(self, cost: Cost, candidates: Candidates) -> Cost:
        """The smaller of the IoU and appearance distances, within both gates."""
        fused = super()._high_score_cost(cost, candidates)
        if not self._width:
            return fused
        settings = self.settings
        appearance = self.appearance_weight * self._appearance_cost(candidates)
        near = (cost <= settings.proximity_thresh) & (appearance <= settings.appearance_thresh)
        smaller: Cost = np.where(near, np.minimum(fused, appearance), fused)
        return smaller

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._update_embedding(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
