"""The project's own method, explained and measured in docs/best.md.

ByteTrack's stages, with four changes. If detections have embeddings, appearance is matched first,
within the Mahalanobis gate, and revives lost tracks (StrongSORT). The median deviation of all
tracks from their predictions is attributed to the camera and removed before matching: camera motion
is compensated without images. (Frames that come with camera motion skip this estimate.) Overlap is
weighted by the agreement of heights (Hybrid-SORT). The filter trusts a detection by its score
(StrongSORT's NSA).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, AppearanceTracker
from mot.trackers.base import FRAMES_PER_SECOND, Candidates
from mot.trackers.bytetrack import ByteTrackSettings, fuse_score
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import ByteTrackLifecycle
from mot.trackers.stages import Cost
from mot.trackers.table import CONFIRMED, LOST, TENTATIVE, Column, TrackTable
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class BestSettings(ByteTrackSettings):
    """Chosen on evidence: docs/best.md."""

    track_high_thresh: float = 0.55
    match_thresh: float = 0.9  # high-score stage: maximum 1 - overlap * score, plus appearance
    unconfirmed_match_thresh: float = 0.8  # unconfirmed stage: the same cost
    track_buffer: float = 1.5
    appearance_thresh: float = 0.25  # appearance stage: maximum mixed cost
    appearance_weight: float = (
        0.995  # of the cosine distance; the Mahalanobis distance has the rest
    )
    embedding_momentum: float = 0.9  # weight of the old embedding in the moving average
    appearance_margin: float = 0.03  # a match must be cheaper than its rivals by this much
    appearance_buffer: float = 2.5  # `track_buffer` where tracks have embeddings
    appearance_share: float = 0.5  # weight of appearance in the high-score stage
    height_power: float = 0.5  # overlap = IoU * (IoU of the heights) ** this
    trust: float = 0.7  # measurement variance is scaled by 1 - trust * score
    drift_pairs: int = 4  # confident pairs needed to estimate the camera's drift
    drift_iou: float = field(default=0.3, metadata=bounds(max=1))  # minimum overlap of such a pair
    drift_prior: float = 2.0  # pseudo-pairs that vote for a still camera
    report_seen: float = 0.5  # weight of the detection in a reported box; the filter has the rest


class Best(AppearanceTracker, ByteTrackLifecycle):
    settings: BestSettings
    uses_motion = True
    still_axes_when_lost = (3,)  # the height

    def __init__(self, settings: BestSettings | None = None) -> None:
        self.settings = settings or BestSettings()
        self.appearance_weight = self.settings.appearance_weight
        self.appearance_share = self.settings.appearance_share
        super().__init__(
            XYAH_MODEL, self.settings.track_high_thresh, self.settings.track_low_thresh
        )

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        if not self._camera_is_known:
            table.state[0, :2] += self._drift(candidates, elapsed)[:, None]
        predicted = self._boxes()
        cost = self._iou_cost(predicted, table.labels, candidates)
        fused = self._fused(predicted, cost, candidates)
        high = candidates.scores > settings.track_high_thresh
        tentative, followed = table.phases == TENTATIVE, table.phases == CONFIRMED
        buffer = settings.track_buffer + elapsed / FRAMES_PER_SECOND  # and the frame after it
        recent = ~tentative & ~self._is_expired(buffer, elapsed)
        stages = self._stages(candidates)
        if self._width:
            appearance = self._reject_ambiguous(self._appearance_and_motion(candidates))
            stages.match(APPEARANCE, appearance, settings.appearance_thresh, ~tentative, high)
        stages.match("high scores", fused, settings.match_thresh, recent, high)
        stages.match("low scores", cost, settings.second_match_thresh, followed, ~high)
        stages.match("unconfirmed", fused, settings.unconfirmed_match_thresh, tentative, high)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        spawned = stages.free_found & (candidates.scores >= settings.new_track_thresh)
        covers = cost < 1 - settings.duplicate_iou
        return self._update_lifecycle(candidates, stages, spawned, elapsed, covers)

    def _reject_ambiguous(self, cost: Cost) -> Cost:
        """Rejects matches with a rival within the margin; a lost track needs twice the margin."""
        margin = self.settings.appearance_margin
        rated = cost + margin * (self._table.phases == LOST)[:, None]
        rivals = np.minimum(_min_of_others(rated, axis=0), _min_of_others(rated, axis=1))
        cost[rated + margin > rivals] = np.inf
        return cost

    def _fused(self, predicted: boxes.Boxes, cost: Cost, candidates: Candidates) -> Cost:
        """(N, M) cost of overlap, height, score and appearance; infinite without overlap."""
        heights = boxes.height_iou(predicted, candidates.boxes)
        overlap = np.maximum(1 - cost, 0) * heights**self.settings.height_power
        fused = fuse_score(1 - overlap, candidates.scores)
        if self._width:
            excess = self._appearance_distance(candidates) - self.settings.appearance_thresh
            fused += self.appearance_share * np.where(self._both_known(candidates), excess, 0)
        return fused

    @property
    def _lifetime(self) -> float:
        buffer = self.settings.track_buffer
        return max(buffer, self.settings.appearance_buffer) if self._width else buffer

    def _drift(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.float64]:
        """(2,) pixels of camera motion: the median offset from prediction to detection over the
        pairs that are each other's best by IoU, shrunk towards 0 when they are few."""
        settings, table = self.settings, self._table
        high = candidates.scores > settings.track_high_thresh
        followed = (table.phases == CONFIRMED) & (table.idle <= elapsed)
        none = np.zeros(2)
        if min(np.count_nonzero(high), np.count_nonzero(followed)) < settings.drift_pairs:
            return none
        predicted, seen = self._boxes()[followed], candidates.boxes[high]
        overlap = boxes.iou(predicted, seen)
        choice = overlap.argmax(axis=1)
        rows = np.arange(len(choice))
        mutual = overlap.argmax(axis=0)[choice] == rows
        mutual &= overlap[rows, choice] > settings.drift_iou
        pairs = np.count_nonzero(mutual)
        if pairs < settings.drift_pairs:
            return none
        residual = seen[choice[mutual]] - predicted[mutual]
        centers = (residual[:, :2] + residual[:, 2:]) / 2
        drift: npt.NDArray[np.float64] = np.median(centers, axis=0)
        return drift * (pairs / (pairs + settings.drift_prior))

    def _new_table(self) -> TrackTable:
        table = super()._new_table()
        table.extra["seen"] = np.zeros((0, 4))  # the last detection, xyxy
        return table

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        seen = found.boxes[chosen].astype(np.float64)
        return super()._new_columns(found, chosen) | {"seen": seen}

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        if self._width:
            self._update_visible_embedding(tracks, found, chosen)
        self._table.extra["seen"][tracks] = found.boxes[chosen]

    def _update_visible_embedding(
        self, tracks: IntArray, found: Candidates, chosen: IntArray
    ) -> None:
        """The new embedding counts by its visible fraction: an occluder is not the track's
        appearance."""
        assert found.embeddings is not None
        occluded = boxes.occluded_fraction(found.boxes)[chosen, None]
        momentum = self.settings.embedding_momentum
        weight = momentum + (1 - momentum) * occluded
        self._update_embedding(tracks, found.embeddings[chosen], weight)

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """Between the filter, which lags, and the detection, which jitters."""
        share = self.settings.report_seen
        filtered = super()._report_boxes(tracks)
        between: boxes.Boxes = (1 - share) * filtered + share * self._table.extra["seen"][tracks]
        return between

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        return 1 - self.settings.trust * np.minimum(scores.astype(np.float64), 1)


def _min_of_others(cost: Cost, axis: int) -> Cost:
    """For each entry, the minimum of the others along the axis."""
    if cost.shape[axis] < 2:
        return np.full_like(cost, np.inf)
    ordered = np.partition(cost, 1, axis)
    first, second = (ordered.take([index], axis) for index in (0, 1))
    others: Cost = np.where(cost == first, second, first)
    return others
