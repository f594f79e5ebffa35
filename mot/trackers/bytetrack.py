"""ByteTrack: associating every detection box (Zhang et al., ECCV 2022).

Three stages: high-score detections to confirmed and lost tracks, low-score detections to the
confirmed tracks left, high-score detections left to unconfirmed tracks.

Departures from the authors' code: unconfirmed tracks are predicted like all others; duplicates of
lost tracks are found with the matched detection, not the filtered box; the buffer is in seconds and
the filter steps by the real time between frames; ids are given when a track is confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import ByteTrackLifecycle
from mot.trackers.stages import Cost
from mot.trackers.table import CONFIRMED, TENTATIVE


@dataclass(frozen=True, slots=True)
class ByteTrackSettings:
    """The values of the paper's code."""

    track_high_thresh: float = 0.6  # detections above this score are matched first
    track_low_thresh: float = 0.1  # lowest score that is matched, in the second stage
    new_track_thresh: float = 0.7  # minimum score of a detection that starts a track
    match_thresh: float = 0.9  # high-score stage: maximum 1 - IoU * score
    second_match_thresh: float = 0.5  # low-score stage: maximum 1 - IoU
    unconfirmed_match_thresh: float = 0.7  # unconfirmed stage: maximum 1 - IoU * score
    track_buffer: float = 1.0  # seconds a track lives without a detection
    # A lost track and a matched one that overlap more are duplicates.
    duplicate_iou: float = field(default=0.85, metadata=bounds(max=1))


class ByteTrack(ByteTrackLifecycle):
    settings: ByteTrackSettings
    model = XYAH_MODEL  # of the Kalman filter
    still_axes_when_lost: tuple[int, ...] = (3,)  # the height

    def __init__(self, settings: ByteTrackSettings | None = None) -> None:
        self.settings = settings or ByteTrackSettings()
        super().__init__(
            self.model, self.settings.track_high_thresh, self.settings.track_low_thresh
        )

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        cost = self._iou_cost(self._boxes(), table.labels, candidates)
        fused = self._high_score_cost(cost, candidates)
        high = candidates.scores > settings.track_high_thresh
        tentative, followed = table.phases == TENTATIVE, table.phases == CONFIRMED
        stages = self._stages(candidates)
        stages.match("high scores", fused, settings.match_thresh, ~tentative, high)
        stages.match("low scores", cost, settings.second_match_thresh, followed, ~high)
        stages.match("unconfirmed", fused, settings.unconfirmed_match_thresh, tentative, high)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        spawned = stages.free_found & (candidates.scores >= settings.new_track_thresh)
        covers = cost < 1 - settings.duplicate_iou
        return self._update_lifecycle(candidates, stages, spawned, elapsed, covers)

    def _high_score_cost(self, cost: Cost, candidates: Candidates) -> Cost:
        """The cost of the high-score and unconfirmed stages; `cost` is 1 - IoU."""
        return fuse_score(cost, candidates.scores)


def fuse_score(cost: Cost, scores: npt.NDArray[np.floating]) -> Cost:
    """(N, M) 1 - IoU * score, given `cost` = 1 - IoU; infinite without overlap."""
    overlap = np.maximum(1 - cost, 0)
    fused: Cost = 1 - overlap * scores
    fused[overlap <= 0] = np.inf
    return fused
