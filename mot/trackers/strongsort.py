"""StrongSORT: make DeepSORT great again (Du et al., IEEE TMM 2023).

DeepSORT with one smoothed vector a track in place of the gallery, motion mixed into the appearance
cost, all confirmed tracks matched at once, measurements trusted by their confidence (NSA Kalman)
and the camera's motion, which comes with the frames. Departures are those of `deepsort.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import DeepSortLife
from mot.trackers.table import TENTATIVE
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class StrongSortSettings:
    """The paper's values."""

    track_high_thresh: float = 0.6  # detections below this score are not used
    appearance_thresh: float = 0.4  # of the mixed cost
    appearance_weight: float = 0.98  # of the cosine distance, the rest is the Mahalanobis distance
    embedding_momentum: float = 0.9  # weight of the old in the moving average of the looks
    max_iou_distance: float = field(
        default=0.7, metadata=bounds(max=1)
    )  # 1 - IoU in the last stage
    n_init: int = 3  # detections in a row before a track is confirmed, at 30 frames a second
    max_age: int = 30  # frames that a confirmed track lives without a detection
    track_buffer: float = 1.0  # and seconds: it lives as long as the longer of the two
    report_missed: float = 1 / 30  # seconds that a track is reported without a detection


class StrongSort(AppearanceTracker, DeepSortLife):
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
        looks = self._looks_and_motion(candidates)
        overlap = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match(APPEARANCE, looks, settings.appearance_thresh, ~tentative)
        stages.match("IoU", overlap, settings.max_iou_distance, tentative | just_seen)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        return self._live(candidates, stages, elapsed)

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        """Variance in proportion to the doubt: NSA scales the deviation's square by 1 - score."""
        return np.maximum(1.0 - scores.astype(np.float64), 1e-3)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._remember(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
