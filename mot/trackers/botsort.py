"""BoT-SORT: robust associations (Aharon et al., 2022).

ByteTrack with a filter of width and height, the camera's motion, and appearance fused by the
minimum of two distances. Departures from the authors' code are those of `bytetrack.py`; besides,
the camera's rotation does not mix the axes of the covariance, and the looks of detections of low
scores are remembered too.
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
    proximity_thresh: float = 0.5  # appearance counts only at 1 - IoU up to this
    appearance_thresh: float = 0.25  # and at half a cosine distance below this
    embedding_momentum: float = 0.9  # weight of the old in the moving average of the looks


class BotSort(ByteTrack, AppearanceTracker):
    settings: BotSortSettings
    model = XYWH_MODEL
    appearance_weight = 0.5
    still_axes_when_lost: tuple[int, ...] = (2, 3)

    def __init__(self, settings: BotSortSettings | None = None) -> None:
        super().__init__(settings or BotSortSettings())

    def _high_score_cost(self, cost: Cost, candidates: Candidates) -> Cost:
        """The lesser of the two distances, where both gates are open."""
        fused = super()._high_score_cost(cost, candidates)
        if not self._width:
            return fused
        settings = self.settings
        looks = self.appearance_weight * self._looks_cost(candidates)
        near = (cost <= settings.proximity_thresh) & (looks <= settings.appearance_thresh)
        both: Cost = np.where(near, np.minimum(fused, looks), fused)
        return both

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._remember(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
