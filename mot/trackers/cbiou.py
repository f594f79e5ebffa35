"""C-BIoU: hard to track objects with irregular motions and similar appearances (Yang et al., WACV
2023).

Two stages by the IoU of buffered boxes, the small buffer first. Tracks are predicted at their mean
velocity over the last observations, without the Kalman filter. Choices that the paper leaves open:
the minimum buffered IoU is 0.3, and a track is confirmed at its second detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.trackers.base import Candidates, gate_classes
from mot.trackers.kalman import XYWH_MODEL
from mot.trackers.lifecycle import ByteTrackLifecycle
from mot.trackers.table import Column, TrackTable
from mot.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class CBIoUSettings:
    """The paper's buffers for MOT17."""

    track_high_thresh: float = 0.6  # detections below this score are not used
    small_buffer: float = 0.3  # first stage: widths and heights added on each side
    large_buffer: float = 0.5  # second stage
    match_thresh: float = 0.7  # both stages: maximum 1 - IoU of the buffered boxes
    memory: int = 5  # observations for the velocity
    track_buffer: float = 1.0  # seconds a track lives without a detection


class CBIoU(ByteTrackLifecycle):
    settings: CBIoUSettings

    def __init__(self, settings: CBIoUSettings | None = None) -> None:
        self.settings = settings or CBIoUSettings()
        super().__init__(XYWH_MODEL, self.settings.track_high_thresh)

    def _new_table(self) -> TrackTable:
        size = self.settings.memory
        return TrackTable(
            observed=np.zeros((0, size, 4)),  # xyxy, newest first, or NaN
            ages=np.zeros((0, size)),  # frames of 1/30 s since each
        )

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        observed = np.full((len(chosen), self.settings.memory, 4), np.nan)
        observed[:, 0] = found.boxes[chosen]
        return {"observed": observed, "ages": np.zeros(observed.shape[:2])}

    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        settings, table = self.settings, self._table
        table.extra["ages"] += elapsed
        predicted = self._boxes()
        stages = self._stages(candidates)
        small = self._buffered_cost(predicted, candidates, settings.small_buffer)
        stages.match("small_buffer", small, settings.match_thresh)
        large = self._buffered_cost(predicted, candidates, settings.large_buffer)
        stages.match("large_buffer", large, settings.match_thresh)
        tracks, found = stages.pairs()
        self._hit(tracks, candidates, found)
        self._observe(tracks, candidates.boxes[found])
        return self._update_lifecycle(candidates, stages, stages.free_found, elapsed)

    def _boxes(self) -> npt.NDArray[np.float64]:
        """(N, 4) the last box, moved at the mean velocity."""
        extra = self._table.extra
        observed, ages = extra["observed"], extra["ages"]
        known = ~np.isnan(observed[..., 0])
        oldest = known.sum(axis=1) - 1
        row = np.arange(len(oldest))
        span = ages[row, oldest] - ages[:, 0] if len(row) else np.zeros(0)
        moved = observed[:, 0] - observed[row, oldest]
        velocity = np.divide(
            moved, span[:, None], out=np.zeros_like(moved), where=span[:, None] > 0
        )
        predicted: npt.NDArray[np.float64] = observed[:, 0] + velocity * ages[:, :1]
        predicted[:, 2:] = np.maximum(predicted[:, 2:], predicted[:, :2])
        return predicted

    def _buffered_cost(
        self, predicted: npt.NDArray[np.float64], found: Candidates, ratio: float
    ) -> FloatArray:
        overlap = boxes.iou(boxes.buffer(predicted, ratio), boxes.buffer(found.boxes, ratio))
        cost = np.subtract(1, overlap, out=overlap)
        return gate_classes(cost, self._table.labels, found.labels)

    def _observe(self, tracks: IntArray, observed: FloatArray) -> None:
        """Put the matched boxes first in the memory of their tracks."""
        extra = self._table.extra
        for name, newest in (("observed", observed), ("ages", 0.0)):
            memory = extra[name][tracks]  # (K, memory, ...)
            memory[:, 1:] = memory[:, :-1].copy()
            memory[:, 0] = newest
            extra[name][tracks] = memory

    def _follow_camera(self, motion: npt.NDArray[np.float64]) -> None:
        """Observations move with the image."""
        super()._follow_camera(motion)
        observed = self._table.extra["observed"]
        for corner in (slice(0, 2), slice(2, 4)):
            observed[..., corner] = observed[..., corner] @ motion[:, :2].T + motion[:, 2]

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """The last observations."""
        last: boxes.Boxes = self._table.extra["observed"][tracks, 0]
        return last
