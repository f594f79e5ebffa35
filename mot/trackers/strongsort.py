"""StrongSORT: make DeepSORT great again (Du et al., IEEE TMM 2023).

DeepSORT with these changes: a moving average of embeddings replaces the gallery, the Mahalanobis
distance is mixed into the appearance cost, one stage replaces the cascade, measurement noise
depends on the score (NSA Kalman), and camera motion, which comes with the frames, is compensated.
Departures from the paper are those of `deepsort.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import DeepSortLifecycle
from mot.trackers.table import TENTATIVE
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class StrongSortSettings:
    """The paper's values."""

    track_high_thresh: float = 0.6  # detections below this score are not used
    appearance_thresh: float = 0.4  # appearance stage: maximum mixed cost
    appearance_weight: float = 0.98  # of the cosine distance; the Mahalanobis distance has the rest
    embedding_momentum: float = 0.9  # weight of the old embedding in the moving average
    max_iou_distance: float = field(default=0.7, metadata=bounds(max=1))  # IoU stage: max. 1 - IoU
    n_init: int = 3  # consecutive detections before a track is confirmed, at 30 frames a second
    max_age: int = 30  # frames a confirmed track lives without a detection
    track_buffer: float = 1.0  # and seconds: it lives as long as the longer of the two
    report_missed: float = 1 / 30  # seconds a track is reported without a detection


class StrongSort(AppearanceTracker, DeepSortLifecycle):
    settings: StrongSortSettings
    needs_embeddings = True
    uses_motion = True

    def __init__(self, settings: StrongSortSettings | None = None) -> None:
        self.settings = settings or StrongSortSettings()
        self.appearance_weight = self.settings.appearance_weight
        super().__init__(XYAH_MODEL, self.settings.track_high_thresh)

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        tentative = table.phases == TENTATIVE
        just_seen = table.idle <= elapsed
        appearance = self._appearance_and_motion(candidates)
        overlap = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match(APPEARANCE, appearance, settings.appearance_thresh, ~tentative)
        stages.match("IoU", overlap, settings.max_iou_distance, tentative | just_seen)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        return self._update_lifecycle(candidates, stages, elapsed)

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        """NSA Kalman: the measurement variance is scaled by 1 - score."""
        return np.maximum(1.0 - scores.astype(np.float64), 1e-3)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._update_embedding(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
