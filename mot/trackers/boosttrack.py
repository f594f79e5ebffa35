"""BoostTrack: boosting the similarity measure and detection confidence (Stanojevic and Todorovic,
2024).

One stage, by a sum of IoU, IoU weighted by both confidences, Mahalanobis similarity and shape
similarity; before it, detections that overlap a predicted track get a higher score. Departures from
the paper: only its "likely objects" boost is used, and a boosted score does not start a track; the
filter is DeepSORT's; the Mahalanobis similarity is linear in the squared distance; pairs below the
IoU limit are excluded from the assignment.
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
from mot.trackers.lifecycle import SortLifecycle
from mot.trackers.stages import Cost
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class BoostTrackSettings:
    """The paper's values."""

    track_low_thresh: float = 0.1  # minimum score of a detection to be boosted
    track_high_thresh: float = 0.6  # minimum boosted score to be matched
    boost: float = 0.65  # the boosted score is at least this times the IoU with a track
    iou_threshold: float = field(default=0.3, metadata=bounds(max=1))  # minimum IoU of a match
    confidence_weight: float = 0.5  # of IoU times both confidences, in the similarity
    distance_weight: float = 0.25  # of the Mahalanobis similarity
    shape_weight: float = 0.25  # of the shape similarity
    min_hits: int = 3  # consecutive detections after the first, before a track is reported
    track_buffer: float = 1.0  # seconds a track lives without a detection


class BoostTrack(SortLifecycle):
    settings: BoostTrackSettings

    def __init__(self, settings: BoostTrackSettings | None = None) -> None:
        self.settings = settings or BoostTrackSettings()
        super().__init__(
            XYAH_MODEL, self.settings.track_high_thresh, self.settings.track_low_thresh
        )

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        cost = self._iou_cost(self._boxes(), table.labels, candidates)
        overlap = 1 - cost
        best_overlap = overlap.max(axis=0, initial=0)  # (M,)
        boosted = np.maximum(candidates.scores, settings.boost * best_overlap)
        high = boosted >= settings.track_high_thresh
        stages = self._stages(candidates)
        stages.match("similarity", self._cost(overlap, candidates), 1.0, found=high)
        table.hits[table.idle > elapsed] = 1  # missed a frame: the count starts again
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        spawned = stages.free_found & (candidates.scores >= settings.track_high_thresh)
        return self._update_lifecycle(candidates, spawned, elapsed)

    def _cost(self, overlap: Cost, found: Candidates) -> Cost:
        """(N, M) 1 - similarity; infinite below the minimum overlap."""
        settings, table = self.settings, self._table
        tracks, columns = (overlap >= settings.iou_threshold).nonzero()
        iou = overlap[tracks, columns]
        confidence = table.scores[tracks] * found.scores[columns]
        distance = self._distance(tracks, found.measurements[:, columns])
        shape = _shape_similarity(self._boxes()[tracks], found.boxes[columns])
        similarity = iou + settings.confidence_weight * confidence * iou
        similarity += settings.distance_weight * np.clip(1 - distance / CHI2_95, 0, None)
        similarity += settings.shape_weight * confidence * shape
        cost = np.full(overlap.shape, np.inf)
        cost[tracks, columns] = 1 - similarity
        return cost

    def _distance(self, tracks: IntArray, measured: Measurement) -> npt.NDArray[np.float64]:
        """(K,) squared Mahalanobis distances, pair by pair."""
        state = self._table.state.take(tracks, axis=2)
        variance = state[2] + self._filter.measurement_variance(state[0])
        distance: npt.NDArray[np.float64] = (np.square(measured - state[0]) / variance).sum(axis=0)
        return distance


def _shape_similarity(first: boxes.Boxes, second: boxes.Boxes) -> npt.NDArray[np.float64]:
    """(K,) 1 for the same width and height, less for others."""
    one, other = boxes.xyxy_to_cxcywh(first)[:, 2:], boxes.xyxy_to_cxcywh(second)[:, 2:]
    larger = np.maximum(np.maximum(one, other), 1e-9)
    similarity: npt.NDArray[np.float64] = np.exp(-(np.abs(one - other) / larger).sum(axis=1))
    return similarity
