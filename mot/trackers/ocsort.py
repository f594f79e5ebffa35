"""OC-SORT: observation-centric SORT (Cao et al., CVPR 2023).

SORT that trusts observations over predictions. Momentum (OCM): the direction of motion between
observations is part of the cost. Recovery (OCR): tracks left are matched by the IoU with their last
observations. Re-update (ORU): a recovered track is filtered again along a straight path through the
gap. Departures from the authors' code: pairs below the IoU limit are excluded from the assignment;
the last box of the straight path is applied once, not twice; the buffer is in seconds, and tracks
recovered in one frame step through their gaps by their mean time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.settings import bounds
from mot.trackers.base import Candidates
from mot.trackers.kalman import SORT_MODEL
from mot.trackers.lifecycle import SortLifecycle
from mot.trackers.stages import Cost
from mot.trackers.table import Column, TrackTable
from mot.types import FloatArray, IntArray

Directions = npt.NDArray[np.float64]  # (..., 2) unit vectors; 0 without motion


@dataclass(frozen=True, slots=True)
class OcSortSettings:
    """The paper's values."""

    track_high_thresh: float = 0.6  # detections above this score are matched first
    track_low_thresh: float = 0.1  # lowest score of the low-score stage
    use_low_scores: bool = False  # ByteTrack's low-score stage
    # Minimum IoU of a match, in each stage.
    iou_threshold: float = field(default=0.3, metadata=bounds(max=1))
    min_hits: int = 3  # consecutive detections after the first, before a track is reported
    track_buffer: float = 1.0  # seconds a track lives without a detection
    delta_t: int = 3  # frames over which a direction is measured
    inertia: float = 0.2  # weight of the direction in the cost


class OcSort(SortLifecycle):
    settings: OcSortSettings

    def __init__(self, settings: OcSortSettings | None = None) -> None:
        self.settings = settings or OcSortSettings()
        low = self.settings.track_low_thresh if self.settings.use_low_scores else None
        super().__init__(SORT_MODEL, self.settings.track_high_thresh, low)

    def _new_table(self) -> TrackTable:
        return TrackTable(
            past=np.zeros((0, self.settings.delta_t, 4)),  # observations 1, 2, ... frames ago; NaN
            last=np.zeros((0, 4)),  # the last observation
            direction=np.zeros((0, 2)),
            missed=np.zeros(0, np.int64),  # frames since the last observation
            frozen=np.zeros((0, 5, 4)),  # filter state at the last observation
        )

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        count, last = len(chosen), found.boxes[chosen].astype(np.float64)
        past = np.full((count, self.settings.delta_t, 4), np.nan)
        past[:, 0] = last
        return {
            "past": past,
            "last": last,
            "direction": np.zeros((count, 2)),
            "missed": np.zeros(count, np.int64),
            "frozen": self._filter.initiate(found.measurements[:, chosen]).transpose(2, 0, 1),
        }

    def _before_prediction(self) -> None:
        """Areas do not become negative."""
        state = self._table.state
        state[1, 2, state[0, 2] + state[1, 2] <= 0] = 0

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table, extra = self.settings, self._table, self._table.extra
        extra["missed"] += 1
        high = candidates.scores > settings.track_high_thresh
        limit = 1 - settings.iou_threshold
        cost = self._iou_cost(self._boxes(), table.labels, candidates)
        stages = self._stages(candidates)
        stages.match("momentum", self._with_momentum(cost, limit, candidates), 1.0, found=high)
        if settings.use_low_scores:
            stages.match("low scores", cost, limit, found=~high)
        if stages.free_tracks.any() and stages.free_found.any():
            last = self._iou_cost(extra["last"], table.labels, candidates)
            stages.match("recovery", last, limit, found=high)
        table.hits[table.idle > elapsed] = 1  # missed a frame: the count starts again
        tracks, found = stages.pairs()
        self._reupdate(tracks, candidates.boxes[found], elapsed)
        self._hit(tracks, candidates, found)
        self._observe(tracks, candidates.boxes[found])
        return self._update_lifecycle(candidates, stages.free_found & high, elapsed)

    def _with_momentum(self, cost: Cost, limit: float, candidates: Candidates) -> Cost:
        """(N, M) cost minus momentum: positive for the same direction, negative for a reversal.
        Infinite from `limit` on."""
        result = np.full_like(cost, np.inf)
        tracks, found = (cost < limit).nonzero()
        before = self._table.extra["direction"][tracks]
        after = direction(_centers(self._earlier())[tracks], _centers(candidates.boxes)[found])
        angle = np.arccos(np.clip((after * before).sum(axis=1), -1, 1))
        momentum = (0.5 - angle / np.pi) * self.settings.inertia * candidates.scores[found]
        momentum[~before.any(axis=1)] = 0
        result[tracks, found] = cost[tracks, found] - momentum
        return result

    def _earlier(self) -> npt.NDArray[np.float64]:
        """(N, 4) the observation of `delta_t` frames ago, or the next one after it."""
        past, chosen = self._table.extra["past"], self._table.extra["last"].copy()
        for age in range(past.shape[1]):
            seen = ~np.isnan(past[:, age, 0])
            chosen[seen] = past[seen, age]
        return chosen

    def _observe(self, tracks: IntArray, observed: FloatArray) -> None:
        """Shift the memory by one frame and add the matched boxes."""
        extra = self._table.extra
        moved = direction(_centers(self._earlier()[tracks]), _centers(observed))
        extra["direction"][tracks] = moved
        extra["past"][:, 1:] = extra["past"][:, :-1].copy()
        extra["past"][:, 0] = np.nan
        extra["past"][tracks, 0] = observed
        extra["last"][tracks] = observed
        extra["missed"][tracks] = 0
        extra["frozen"][tracks] = self._table.state[:, :, tracks].transpose(2, 0, 1)

    def _reupdate(self, tracks: IntArray, observed: FloatArray, elapsed: float) -> None:
        """Filter recovered tracks along the straight path from their last observation."""
        extra, table = self._table.extra, self._table
        gap = extra["missed"][tracks]
        recovered = gap > 1
        if not recovered.any():
            return
        tracks, gap, observed = tracks[recovered], gap[recovered], observed[recovered]
        state = extra["frozen"][tracks].transpose(1, 2, 0).copy()
        start = boxes.xyxy_to_cxcywh(extra["last"][tracks])
        path = boxes.xyxy_to_cxcywh(observed.astype(np.float64)) - start
        step_time = table.idle[tracks] / gap
        for step in range(1, int(gap.max())):
            going = (step < gap).nonzero()[0]
            part = state[:, :, going]
            self._filter.predict(part, float(step_time[going].mean()))
            virtual = boxes.cxcywh_to_xyxy(
                start[going] + path[going] * (step / gap[going])[:, None]
            )
            self._filter.update(part, self._measure(virtual))
            state[:, :, going] = part
        self._filter.predict(state, elapsed)
        table.state[:, :, tracks] = state

    def _follow_camera(self, motion: npt.NDArray[np.float64]) -> None:
        """Observations and the frozen filter states move with the image."""
        super()._follow_camera(motion)
        extra = self._table.extra
        for name in ("past", "last"):
            for corner in (slice(0, 2), slice(2, 4)):
                moved = extra[name][..., corner] @ motion[:, :2].T + motion[:, 2]
                extra[name][..., corner] = moved
        extra["direction"] = direction(0 * extra["direction"], extra["direction"] @ motion[:, :2].T)
        frozen = extra["frozen"].transpose(1, 2, 0).copy()
        self._filter.warp(frozen, motion)
        extra["frozen"] = frozen.transpose(2, 0, 1)

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """The last observations."""
        last: boxes.Boxes = self._table.extra["last"][tracks]
        return last


def direction(start: Directions, end: Directions) -> Directions:
    """Unit vectors from `start` to `end`."""
    offset = end - start
    length = np.sqrt(np.square(offset).sum(axis=-1, keepdims=True))
    unit: Directions = np.divide(offset, length, out=np.zeros_like(offset), where=length > 0)
    return unit


def _centers(xyxy: boxes.Boxes) -> Directions:
    return (xyxy[..., :2] + xyxy[..., 2:]).astype(np.float64) / 2
