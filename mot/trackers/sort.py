"""SORT: Simple Online and Realtime Tracking (Bewley et al., ICIP 2016).

One stage, by the IoU of detections and predicted boxes. Departures from the paper: pairs below the
IoU limit are excluded from the assignment, not removed from it afterwards; the lost time is in
seconds; ids are given when a track is first reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.base import Candidates
from mot.trackers.kalman import SORT_MODEL
from mot.trackers.lifecycle import SortLifecycle


@dataclass(frozen=True, slots=True)
class SortSettings:
    """The paper's values."""

    track_high_thresh: float = 0.5  # detections below this score are not used
    iou_threshold: float = field(default=0.3, metadata=bounds(max=1))  # minimum IoU of a match
    min_hits: int = 3  # consecutive detections after the first, before a track is reported
    track_buffer: float = 1 / 30  # seconds a track lives without a detection


class Sort(SortLifecycle):
    settings: SortSettings

    def __init__(self, settings: SortSettings | None = None) -> None:
        self.settings = settings or SortSettings()
        super().__init__(SORT_MODEL, self.settings.track_high_thresh)

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        cost = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match("IoU", cost, 1 - settings.iou_threshold)
        tracks, found = stages.pairs()
        table.hits[table.idle > elapsed] = 1  # missed a frame: the count starts again
        self._hit(tracks, candidates, found)
        return self._update_lifecycle(candidates, stages.free_found, elapsed)
