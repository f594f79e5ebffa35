"""FairMOT's association, which is that of JDE (Zhang et al., IJCV 2021; Wang et al., ECCV 2020).

Embeddings mixed with the filter's distance first, then IoU for those just followed, then the
unconfirmed. Departures from the authors' code are those of `bytetrack.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import ByteTrackLife
from mot.trackers.table import CONFIRMED, TENTATIVE
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class FairMotSettings:
    """The paper's values."""

    track_high_thresh: float = 0.4  # detections below this score are not used
    appearance_thresh: float = 0.4  # of the mixed cost
    appearance_weight: float = 0.98  # of the cosine distance, the rest is the Mahalanobis distance
    embedding_momentum: float = 0.9  # weight of the old in the moving average of the looks
    match_thresh: float = 0.5  # 1 - IoU in the second stage
    unconfirmed_match_thresh: float = 0.7  # 1 - IoU of tracks seen once
    track_buffer: float = 1.0  # seconds that a track lives without a detection
    duplicate_iou: float = field(
        default=0.85, metadata=bounds(max=1)
    )  # a lost and a followed track that overlap more are one


class FairMot(AppearanceTracker, ByteTrackLife):
    settings: FairMotSettings
    needs_embeddings = True
    uses_motion = True
    still_axes_when_lost = (3,)  # the height

    def __init__(self, settings: FairMotSettings | None = None) -> None:
        self.settings = settings or FairMotSettings()
        self.appearance_weight = self.settings.appearance_weight
        super().__init__(XYAH_MODEL, self.settings.track_high_thresh)

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        tentative, followed = table.phases == TENTATIVE, table.phases == CONFIRMED
        looks = self._looks_and_motion(candidates)
        overlap = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match(APPEARANCE, looks, settings.appearance_thresh, ~tentative)
        stages.match("IoU", overlap, settings.match_thresh, followed)
        limit = settings.unconfirmed_match_thresh
        stages.match("unconfirmed", overlap, limit, tentative)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        return self._live(candidates, stages, stages.free_found, elapsed, overlap)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._remember(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
