"""The project's own method, explained and measured in docs/best.md.

ByteTrack's stages, with five changes. Where detections have embeddings, people are first known by
their looks, as far as they can have moved, and after an absence too (StrongSORT). What all tracks
have in common of their deviation from the prediction is the camera's, and is taken out before
anything is matched: a moving camera is followed without looking at a picture. (Frames that bring
the camera's motion need no such guess.) The overlap counts the more the better two heights agree
(Hybrid-SORT). The filter trusts a detection by its score (StrongSORT's NSA).
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
from mot.trackers.lifecycle import ByteTrackLife
from mot.trackers.stages import Cost
from mot.trackers.table import CONFIRMED, LOST, TENTATIVE, Column, TrackTable
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class BestSettings(ByteTrackSettings):
    """Chosen on evidence: docs/best.md."""

    track_high_thresh: float = 0.55  # detections from this score on are matched first
    match_thresh: float = 0.9  # of the stage of high scores: 1 - overlap * score, and the looks
    unconfirmed_match_thresh: float = 0.8  # of tracks seen once
    track_buffer: float = 1.5  # seconds that a track lives without a detection
    appearance_thresh: float = 0.25  # of the mixed cost; people who differ by more are not alike
    appearance_weight: float = 0.995  # of the cosine distance, the rest is the Mahalanobis distance
    embedding_momentum: float = 0.9  # weight of the old in the moving average of the looks
    appearance_margin: float = 0.03  # by which all others who are near must be less like
    appearance_buffer: float = 2.5  # seconds that a track lives whose looks are known
    appearance_share: float = 0.5  # how much it costs those who overlap to be unlike
    height_power: float = 0.5  # overlap = IoU * (IoU of the heights) ** this
    trust: float = 0.7  # the variance of a measurement is times 1 - trust * score
    drift_pairs: int = 4  # sure pairs that it takes to see how the camera moved
    drift_iou: float = field(
        default=0.3, metadata=bounds(max=1)
    )  # the least overlap of such a pair
    drift_prior: float = 2.0  # as many pairs speak for a camera that stands still
    report_seen: float = 0.5  # share of the detection in a reported box; the rest is the filter's


class Best(AppearanceTracker, ByteTrackLife):
    settings: BestSettings
    uses_motion = True
    still_axes_when_lost = (3,)

    def __init__(self, settings: BestSettings | None = None) -> None:
        self.settings = settings or BestSettings()
        self.appearance_weight = self.settings.appearance_weight
        self.appearance_share = self.settings.appearance_share
        super().__init__(XYAH_MODEL, self.settings.track_low_thresh)

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
        recent = ~tentative & ~self._outlived(buffer, elapsed)
        stages = self._stages(candidates)
        if self._width:
            looks = self._unmistaken(self._looks_and_motion(candidates))
            stages.match(APPEARANCE, looks, settings.appearance_thresh, ~tentative, high)
        stages.match("high scores", fused, settings.match_thresh, recent, high)
        stages.match("low scores", cost, settings.second_match_thresh, followed, ~high)
        stages.match("unconfirmed", fused, settings.unconfirmed_match_thresh, tentative, high)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        born = stages.free_found & (candidates.scores >= settings.new_track_thresh)
        return self._live(candidates, stages, born, elapsed, cost)

    def _unmistaken(self, looks: Cost) -> Cost:
        """Without those who might as well be somebody else: in a team all look alike. One who is
        lost is only taken for him who is followed where twice as much speaks for it."""
        margin = self.settings.appearance_margin
        rated = looks + margin * (self._table.phases == LOST)[:, None]
        rivals = np.minimum(_least_of_others(rated, axis=0), _least_of_others(rated, axis=1))
        looks[rated + margin > rivals] = np.inf
        return looks

    def _fused(self, predicted: boxes.Boxes, cost: Cost, candidates: Candidates) -> Cost:
        """(N, M) of those who overlap: where, how high, how surely, and who it looks like."""
        heights = boxes.height_iou(predicted, candidates.boxes)
        overlap = np.maximum(1 - cost, 0) * heights**self.settings.height_power
        fused = fuse_score(1 - overlap, candidates.scores)
        if self._width:
            unlike = self._looks_distance(candidates) - self.settings.appearance_thresh
            fused += self.appearance_share * np.where(self._known(candidates), unlike, 0)
        return fused

    @property
    def _lifetime(self) -> float:
        buffer = self.settings.track_buffer
        return max(buffer, self.settings.appearance_buffer) if self._width else buffer

    def _drift(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.float64]:
        """(2,) pixels by which all predictions are off: the median over pairs that are each
        other's best, drawn towards 0 where they are few."""
        settings, table = self.settings, self._table
        sure = candidates.scores > settings.track_high_thresh
        followed = (table.phases == CONFIRMED) & (table.idle <= elapsed)
        none = np.zeros(2)
        if min(np.count_nonzero(sure), np.count_nonzero(followed)) < settings.drift_pairs:
            return none
        predicted, seen = self._boxes()[followed], candidates.boxes[sure]
        overlap = boxes.iou(predicted, seen)
        choice = overlap.argmax(axis=1)
        rows = np.arange(len(choice))
        mutual = overlap.argmax(axis=0)[choice] == rows
        mutual &= overlap[rows, choice] > settings.drift_iou
        pairs = np.count_nonzero(mutual)
        if pairs < settings.drift_pairs:
            return none
        residual = seen[choice[mutual]] - predicted[mutual]
        centres = (residual[:, :2] + residual[:, 2:]) / 2
        drift: npt.NDArray[np.float64] = np.median(centres, axis=0)
        return drift * (pairs / (pairs + settings.drift_prior))

    def _new_table(self) -> TrackTable:
        table = super()._new_table()
        table.extra["seen"] = np.zeros((0, 4))  # the last detection, xyxy
        return table

    def _birth_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        seen = found.boxes[chosen].astype(np.float64)
        return super()._birth_columns(found, chosen) | {"seen": seen}

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        if self._width:
            self._remember_seen(tracks, found, chosen)
        self._table.extra["seen"][tracks] = found.boxes[chosen]

    def _remember_seen(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        """The new counts for as much as is seen of it: what hides somebody is not his looks."""
        assert found.embeddings is not None
        memory, hidden = self.settings.embedding_momentum, boxes.hidden(found.boxes)[chosen, None]
        self._remember(tracks, found.embeddings[chosen], memory + (1 - memory) * hidden)

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """Between the filter, which lags, and the detection, which trembles."""
        share = self.settings.report_seen
        filtered = super()._report_boxes(tracks)
        between: boxes.Boxes = (1 - share) * filtered + share * self._table.extra["seen"][tracks]
        return between

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        return 1 - self.settings.trust * np.minimum(scores.astype(np.float64), 1)


def _least_of_others(cost: Cost, axis: int) -> Cost:
    """Beside each entry, the least of the others on its line."""
    if cost.shape[axis] < 2:
        return np.full_like(cost, np.inf)
    ordered = np.partition(cost, 1, axis)
    least, second = (ordered.take([place], axis) for place in (0, 1))
    others: Cost = np.where(cost == least, second, least)
    return others
