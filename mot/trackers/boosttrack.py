"""BoostTrack: boosting the similarity measure and detection confidence (Stanojevic and Todorovic,
2024).

One matching by the sum of IoU, IoU weighted by the confidence of both sides, closeness under the
filter's covariance and likeness of shape; before it, the score of a detection where a track is
expected is raised. Departures from the paper: the raised score is that of "likely objects" alone
and gives no birth, the filter is DeepSORT's, closeness falls with the squared Mahalanobis distance
in a straight line, and pairs below the IoU limit are kept out of the assignment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.settings import bounds
from mot.trackers.appearance import CHI2_95
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL, Measurement
from mot.trackers.lifecycle import SortLife
from mot.trackers.stages import Cost
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class BoostTrackSettings:
    """The paper's values."""

    track_low_thresh: float = 0.1  # detections below this score cannot be boosted
    track_high_thresh: float = 0.6  # those that reach this score, boosted or not, are matched
    boost: float = 0.65  # a detection's score is at least this times its IoU with a track
    iou_threshold: float = field(
        default=0.3, metadata=bounds(max=1)
    )  # the least overlap of a track and its detection
    confidence_weight: float = 0.5
    distance_weight: float = 0.25
    shape_weight: float = 0.25
    min_hits: int = 3  # detections in a row after the first, before a track is reported
    track_buffer: float = 1.0  # seconds that a track lives without a detection


class BoostTrack(SortLife):
    settings: BoostTrackSettings

    def __init__(self, settings: BoostTrackSettings | None = None) -> None:
        self.settings = settings or BoostTrackSettings()
        super().__init__(XYAH_MODEL, self.settings.track_low_thresh)

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        cost = self._iou_cost(self._boxes(), table.labels, candidates)
        overlap = 1 - cost
        expected = overlap.max(axis=0, initial=0)
        scores = np.maximum(candidates.scores, settings.boost * expected)
        high = scores >= settings.track_high_thresh
        near = self._cost(overlap, candidates)
        stages = self._stages(candidates)
        stages.match("similarity", near, 1.0, found=high)
        table.hits[table.idle > elapsed] = 1  # missed a frame: the count starts again
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        born = stages.free_found & (candidates.scores >= settings.track_high_thresh)
        return self._live(candidates, born, elapsed)

    def _cost(self, overlap: Cost, found: Candidates) -> Cost:
        """(N, M) below 1 where anything speaks for a pair; infinite below the least overlap."""
        settings, table = self.settings, self._table
        tracks, columns = (overlap >= settings.iou_threshold).nonzero()
        near = overlap[tracks, columns]
        trust = table.scores[tracks] * found.scores[columns]
        distance = self._distance(tracks, found.measurements[:, columns])
        similarity = near + settings.confidence_weight * trust * near
        similarity += settings.distance_weight * np.clip(1 - distance / CHI2_95, 0, None)
        likeness = _shape_likeness(self._boxes()[tracks], found.boxes[columns])
        similarity += settings.shape_weight * trust * likeness
        cost = np.full(overlap.shape, np.inf)
        cost[tracks, columns] = 1 - similarity
        return cost

    def _distance(self, tracks: IntArray, measured: Measurement) -> npt.NDArray[np.float64]:
        """(K,) squared Mahalanobis distances, pair by pair."""
        state = self._table.state.take(tracks, axis=2)
        variance = state[2] + self._filter.measurement_variance(state[0])
        distance: npt.NDArray[np.float64] = (np.square(measured - state[0]) / variance).sum(axis=0)
        return distance


def _shape_likeness(ours: boxes.Boxes, theirs: boxes.Boxes) -> npt.NDArray[np.float64]:
    """(K,) 1 for the same width and height."""
    one, other = boxes.xyxy_to_cxcywh(ours)[:, 2:], boxes.xyxy_to_cxcywh(theirs)[:, 2:]
    larger = np.maximum(np.maximum(one, other), 1e-9)
    likeness: npt.NDArray[np.float64] = np.exp(-(np.abs(one - other) / larger).sum(axis=1))
    return likeness
