"""DeepSORT: SORT with a deep association metric (Wojke et al., ICIP 2017).

Cascade: confirmed tracks are matched by appearance within the Mahalanobis gate, most recently seen
first. IoU stage: unconfirmed tracks and those of the last frame. Departures from the paper: pairs
above a limit are excluded from the assignment, not removed from it afterwards; times are in
seconds; ids are given when a track is confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot.settings import bounds
from mot.trackers.appearance import APPEARANCE, CHI2_95, AppearanceTracker
from mot.trackers.base import Candidates
from mot.trackers.kalman import XYAH_MODEL
from mot.trackers.lifecycle import DeepSortLifecycle
from mot.trackers.stages import Cost, Stages
from mot.trackers.table import TENTATIVE, Column, TrackTable
from mot.types import IntArray


@dataclass(frozen=True, slots=True)
class DeepSortSettings:
    """The paper's values."""

    track_high_thresh: float = 0.0  # detections below this score are not used
    appearance_thresh: float = 0.2  # cascade: maximum cosine distance to the gallery
    budget: int = 100  # embeddings in the gallery of a track
    max_iou_distance: float = field(default=0.7, metadata=bounds(max=1))  # IoU stage: max. 1 - IoU
    n_init: int = 3  # consecutive detections before a track is confirmed, at 30 frames a second
    max_age: int = 30  # frames a confirmed track lives without a detection
    track_buffer: float = 1.0  # and seconds: it lives as long as the longer of the two
    report_missed: float = 1 / 30  # seconds a track is reported without a detection


class DeepSort(AppearanceTracker, DeepSortLifecycle):
    settings: DeepSortSettings
    needs_embeddings = True
    uses_motion = True

    def __init__(self, settings: DeepSortSettings | None = None) -> None:
        self.settings = settings or DeepSortSettings()
        super().__init__(XYAH_MODEL, self.settings.track_high_thresh)

    def _new_table(self) -> TrackTable:
        return TrackTable(
            gallery=np.zeros((0, self.settings.budget, 0), np.float32),  # (N, budget, D) ring
            seen=np.zeros(0, np.int64),  # embeddings ever added; the oldest is overwritten
        )

    def _set_embedding_width(self, width: int) -> None:
        shape = (len(self._table), self.settings.budget, width)
        self._table.extra["gallery"] = np.zeros(shape, np.float32)

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        assert found.embeddings is not None
        gallery = np.zeros((len(chosen), self.settings.budget, self._width), np.float32)
        gallery[:, 0] = found.embeddings[chosen]
        seen = np.array(gallery[:, 0].any(axis=1), np.int64)
        return {"gallery": gallery, "seen": seen}

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        tentative = table.phases == TENTATIVE
        just_seen = table.idle <= elapsed
        stages = self._stages(candidates)
        self._cascade(stages, self._gated_appearance(candidates), ~tentative, elapsed)
        overlap = self._iou_cost(self._boxes(), table.labels, candidates)
        stages.match("IoU", overlap, settings.max_iou_distance, tentative | just_seen)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        return self._update_lifecycle(candidates, stages, elapsed)

    def _gated_appearance(self, candidates: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) cosine distances to the galleries; infinite beyond the Mahalanobis gate."""
        cost = self._appearance_cost(candidates)
        cost[self._motion(candidates) > CHI2_95] = np.inf
        return cost

    def _appearance_distance(self, found: Candidates) -> npt.NDArray[np.float32]:
        """(N, M) to the nearest vector of each gallery; infinite for an empty gallery."""
        assert found.embeddings is not None
        gallery, seen = self._table.extra["gallery"], self._table.extra["seen"]
        filled = min(self.settings.budget, int(seen.max(initial=0)))
        count, width = len(seen), found.embeddings.shape[1]
        if not filled or not width:
            return np.full((count, len(found.embeddings)), np.inf, np.float32)
        vectors = gallery[:, :filled].reshape(-1, width)
        similarity = (vectors @ found.embeddings.T).reshape(count, filled, -1)
        similarity[np.arange(filled) >= seen[:, None]] = -np.inf
        nearest: npt.NDArray[np.float32] = similarity.max(axis=1)
        return np.subtract(1, nearest, out=nearest)

    def _cascade(
        self, stages: Stages, cost: Cost, confirmed: npt.NDArray[np.bool_], elapsed: float
    ) -> None:
        """One stage per age, the most recently seen tracks first."""
        idle = self._table.idle
        for age in np.unique(idle[confirmed]):
            same = confirmed & (idle == age)
            name = f"{APPEARANCE}, {age / elapsed:.0f} frames since seen"
            stages.match(name, cost, self.settings.appearance_thresh, same)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        super()._hit(tracks, found, chosen)
        assert found.embeddings is not None
        extra, vectors = self._table.extra, found.embeddings[chosen]
        known = vectors.any(axis=1)
        tracks, vectors = tracks[known], vectors[known]
        extra["gallery"][tracks, extra["seen"][tracks] % self.settings.budget] = vectors
        extra["seen"][tracks] += 1
