"""FairMOT's association, which is that of JDE (Zhang et al., IJCV 2021; Wang et al., ECCV 2020).

First embeddings mixed with the filter's distance, then IoU for the tracks of the last frame, then
IoU for unconfirmed tracks. Departures from the authors' code are those of `bytetrack.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import ByteTrackLifecycle
from mot.trackers.table import CONFIRMED, TENTATIVE
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class FairMotSettings:
    """The paper's values."""

    track_high_thresh: float = 0.4  # detections below this score are not used
    appearance_thresh: float = 0.4  # appearance stage: maximum mixed cost
    appearance_weight: float = 0.98  # of the cosine distance; the Mahalanobis distance has the rest
    embedding_momentum: float = 0.9  # weight of the old embedding in the moving average
    match_thresh: float = 0.5  # IoU stage: maximum 1 - IoU
    unconfirmed_match_thresh: float = 0.7  # unconfirmed stage: maximum 1 - IoU
    track_buffer: float = 1.0  # seconds a track lives without a detection
    # A lost track and a matched one that overlap more are duplicates.
    duplicate_iou: float = field(default=0.85, metadata=bounds(max=1))


class FairMot(AppearanceTracker, ByteTrackLifecycle):
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
        appearance = self._appearance_and_motion(candidates)
        overlap = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match(APPEARANCE, appearance, settings.appearance_thresh, ~tentative)
        stages.match("IoU", overlap, settings.match_thresh, followed)
        stages.match("unconfirmed", overlap, settings.unconfirmed_match_thresh, tentative)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        covers = overlap < 1 - settings.duplicate_iou
        return self._update_lifecycle(candidates, stages, stages.free_found, elapsed, covers)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        self._update_embedding(tracks, found.embeddings[chosen], self.settings.embedding_momentum)
