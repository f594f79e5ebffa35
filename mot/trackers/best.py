"""The project's own method, explained and measured in docs/best.md.

ByteTrack's stages, with four changes. What all tracks have in common of their deviation from the
prediction is the camera's, and is taken out before anything is matched: a moving camera is followed
without looking at a picture. (Frames that bring the camera's motion need no such guess.) The
overlap counts the more the better two heights agree (Hybrid-SORT). The filter trusts a detection by
its score (StrongSORT's NSA). Where detections have embeddings they join as in BoT-SORT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.trackers.base import Candidates
from mot.trackers.botsort import BotSort, BotSortSettings
from mot.trackers.bytetrack import fuse_score
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.stages import Cost
from mot.trackers.table import CONFIRMED, Column, TrackTable
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class BestSettings(BotSortSettings):
    """Chosen on evidence: docs/best.md."""

    track_high_thresh: float = 0.55  # detections from this score on are matched first
    match_thresh: float = 0.9  # of the first stage: 1 - overlap * score
    unconfirmed_match_thresh: float = 0.8  # of tracks seen once
    track_buffer: float = 1.5  # seconds that a track lives without a detection
    height_power: float = 0.5  # overlap = IoU * (IoU of the heights) ** this
    trust: float = 0.7  # the variance of a measurement is times 1 - trust * score
    drift_pairs: int = 4  # sure pairs that it takes to see how the camera moved
    drift_iou: float = 0.3  # the least overlap of such a pair
    drift_prior: float = 2.0  # as many pairs speak for a camera that stands still
    report_seen: float = 0.5  # share of the detection in a reported box; the rest is the filter's


class Best(BotSort):
    settings: BestSettings
    model = XYAH_MODEL
    still_axes_when_lost = (3,)

    def __init__(self, settings: BestSettings | None = None) -> None:
        super().__init__(settings or BestSettings())

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        if not self._camera_is_known:
            self._table.state[0, :2] += self._drift(candidates, elapsed)[:, None]
        return super()._associate(candidates, elapsed)

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

    def _high_score_costs(
        self, predicted: boxes.Boxes, cost: Cost, candidates: Candidates
    ) -> tuple[Cost, Cost]:
        heights = boxes.height_iou(predicted, candidates.boxes)
        overlap = np.maximum(1 - cost, 0) * heights**self.settings.height_power
        fused = fuse_score(1 - overlap, candidates.scores)
        fused = self._fuse_looks(fused, cost, candidates)
        return fused, fused

    def _new_table(self) -> TrackTable:
        table = super()._new_table()
        table.extra["seen"] = np.zeros((0, 4))  # the last detection, xyxy
        return table

    def _birth_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        seen = found.boxes[chosen].astype(np.float64)
        return super()._birth_columns(found, chosen) | {"seen": seen}

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        self._table.extra["seen"][tracks] = found.boxes[chosen]

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """Between the filter, which lags, and the detection, which trembles."""
        share = self.settings.report_seen
        filtered = super()._report_boxes(tracks)
        between: boxes.Boxes = (1 - share) * filtered + share * self._table.extra["seen"][tracks]
        return between

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64]:
        return 1 - self.settings.trust * np.minimum(scores.astype(np.float64), 1)
