"""Everything around the association: clock, Kalman filter, track table, ids."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.trackers.kalman import BoxModel, KalmanFilter, Measurement
from mot.trackers.stages import CostTerms, Stages, Trace
from mot.trackers.table import CONFIRMED, Column, TrackTable
from mot.types import (
    Detections,
    FloatArray,
    Frame,
    Image,
    IntArray,
    Tracker,
    Tracks,
    as_detections,
)

FRAMES_PER_SECOND = 30.0  # the filter's time unit is 1/30 s, the rate the papers tune for
_SAME_TIME = 1e-6  # frames; below the jitter of any clock


class Candidates(NamedTuple):
    """The detections of a frame that some stage uses, in an order independent of the caller's."""

    boxes: FloatArray  # (M, 4) xyxy
    scores: FloatArray  # (M,)
    labels: IntArray  # (M,)
    rows: IntArray  # (M,) their rows in the caller's Detections
    measurements: Measurement  # (4, M) in the filter's axes
    embeddings: FloatArray | None  # (M, D)


class BaseTracker(Tracker, ABC):
    """Everything but the association: a method implements `_associate`."""

    def __init__(
        self, model: BoxModel, high_threshold: float, low_threshold: float | None = None
    ) -> None:
        """`low_threshold`: the lowest score used, for methods that use low scores."""
        self.min_embedding_score = high_threshold
        self.low_score_threshold = low_threshold
        self._min_score = high_threshold if low_threshold is None else low_threshold
        self._model = model
        self.trace: list[Trace] | None = None  # assign a list to record the matching of each frame
        self._filter = KalmanFilter(model)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next id is 1."""
        self._table = self._new_table()
        self._last_id = 0
        self._time: float | None = None
        self._frames = 0

    def update(
        self,
        detections: Detections | npt.ArrayLike | None,
        image: Frame | Image | None = None,
        time: float | None = None,
    ) -> Tracks:
        """The tracks of the next frame.

        Args:
            detections: `Detections`, an (N, 4), (N, 5) or (N, 6) array of x1, y1, x2, y2, score,
                label, or None.
            image: a `Frame`, or the (H, W, 3) uint8 BGR image, which trackers do not need.
            time: seconds, increasing; None: 1/30 s after the last frame.

        Appearance is matched only if the detections have embeddings: `mot.Pipeline` makes them.
        """
        frame = image if isinstance(image, Frame) else self._next_frame(image, time)
        detections = as_detections(detections)
        elapsed = self._elapsed(frame.time)
        self._frames += 1
        self._table.step(elapsed)
        self._before_prediction()
        self._filter.predict(self._table.state, elapsed)
        self._camera_is_known = frame.motion is not None
        if frame.motion is not None:
            self._follow_camera(frame.motion)
        reported = self._associate(self._candidates(detections), elapsed)
        return self._report(reported.nonzero()[0])

    def _next_frame(self, image: Image | None, time: float | None) -> Frame:
        if time is None:
            time = 0.0 if self._time is None else self._time + 1 / FRAMES_PER_SECOND
        return Frame(image, self._frames + 1, time)

    @abstractmethod
    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        """Match, spawn and remove tracks; returns which tracks of the table to report."""

    def _before_prediction(self) -> None:
        """Change the states before prediction."""

    def _follow_camera(self, motion: npt.NDArray[np.float64]) -> None:
        """Move all tracks as the image moved since the last frame."""
        self._filter.warp(self._table.state, motion)

    def _stages(self, found: Candidates) -> Stages:
        if self.trace is None:
            return Stages(len(self._table), len(found.rows))
        self.trace.append(Trace(self._table.ids.copy(), found.rows, [], self._cost_terms(found)))
        return Stages(len(self._table), len(found.rows), self.trace[-1].stages)

    def _cost_terms(self, found: Candidates) -> CostTerms:
        """The terms of the costs, for a trace."""
        return CostTerms(self._iou_cost(self._boxes(), self._table.labels, found))

    def _new_table(self) -> TrackTable:
        return TrackTable()

    def _elapsed(self, time: float) -> float:
        """Filter time since the last frame; exactly 1 at 30 frames a second.

        A clock that stands still or jumps back counts as one frame at 30 frames a second.
        """
        last, self._time = self._time, time
        elapsed = 0.0 if last is None else round((time - last) * FRAMES_PER_SECOND, 6)
        return elapsed if elapsed > 0 else 1.0

    def _candidates(self, detections: Detections) -> Candidates:
        """Highest score first, ties by box; without those below the minimum score."""
        order = (detections.scores >= self._min_score).nonzero()[0]
        left, top, right, bottom = detections.boxes[order].T
        keys = (detections.labels[order], bottom, right, top, left, -detections.scores[order])
        order = order[np.lexsort(keys)]
        xyxy = detections.boxes[order]
        embeddings = detections.embeddings
        return Candidates(
            xyxy,
            detections.scores[order],
            detections.labels[order],
            order,
            self._measure(xyxy),
            None if embeddings is None else embeddings[order],
        )

    def _measure(self, xyxy: boxes.Boxes) -> Measurement:
        """(4, M) in the filter's axes."""
        return np.asarray(self._model.from_xyxy(xyxy.astype(np.float64)).T, np.float64)

    def _boxes(self) -> boxes.Boxes:
        """(N, 4) xyxy of all tracks, as predicted or filtered."""
        return self._model.to_xyxy(self._table.state[0].T)

    def _iou_cost(
        self, track_boxes: boxes.Boxes, labels: IntArray, found: Candidates
    ) -> FloatArray:
        """(N, M) 1 - IoU; infinite between classes."""
        cost = boxes.iou(track_boxes, found.boxes)
        np.subtract(1, cost, out=cost)
        return gate_classes(cost, labels, found.labels)

    def _hit(self, tracks: IntArray, found: Candidates, chosen: IntArray) -> None:
        """Correct these tracks with the candidates chosen for them."""
        state = self._table.state.take(tracks, axis=2)
        factor = self._noise_factor(found.scores[chosen])
        self._filter.update(state, found.measurements[:, chosen], factor)
        self._table.state[:, :, tracks] = state
        self._table.hit(tracks, found.rows[chosen], found.scores[chosen])

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64] | None:
        """(M,) factors of the measurement variance, or None."""
        return None

    def _new_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        """Values of new tracks for the table's `extra` columns."""
        return {}

    def _spawn(self, found: Candidates, chosen: IntArray) -> None:
        """A tentative track for each of these candidates."""
        if len(chosen):
            state = self._filter.initiate(found.measurements[:, chosen])
            rows, scores, labels = found.rows[chosen], found.scores[chosen], found.labels[chosen]
            extra = self._new_columns(found, chosen)
            self._table.append(state, rows, scores, labels, **extra)

    def _confirm(self, tracks: npt.NDArray[np.bool_]) -> None:
        """Confirm these tracks; each gets an id once, oldest first."""
        self._table.phases[tracks] = CONFIRMED
        unnamed = (tracks & (self._table.ids == 0)).nonzero()[0]
        if len(unnamed):
            self._table.ids[unnamed] = self._last_id + 1 + np.arange(len(unnamed))
            self._last_id += len(unnamed)

    def _is_expired(self, buffer: float, elapsed: float, frames: int = 1) -> npt.NDArray[np.bool_]:
        """(N,) tracks without a detection for longer than `buffer` seconds and `frames` frames."""
        longest = max(buffer * FRAMES_PER_SECOND, frames * elapsed) + _SAME_TIME
        expired: npt.NDArray[np.bool_] = self._table.idle > longest
        return expired

    def _report_boxes(self, tracks: IntArray) -> boxes.Boxes:
        """(K, 4) xyxy of the tracks to report: as filtered."""
        return self._model.to_xyxy(self._table.state[0].take(tracks, axis=1).T)

    def _report(self, tracks: IntArray) -> Tracks:
        table = self._table
        corners = self._report_boxes(tracks).astype(np.float32)
        np.maximum(corners[:, 2:], corners[:, :2], out=corners[:, 2:])
        return Tracks(
            table.ids[tracks],
            corners,
            table.scores[tracks],
            table.labels[tracks],
            table.rows[tracks],
        )


def hits_needed(count: int, elapsed: float) -> int:
    """Consecutive detections that last as long as `count` at 30 frames a second: fewer at lower
    frame rates, but at least two if `count` is more than one."""
    return min(count, 2) if elapsed >= count else math.ceil(count / elapsed - _SAME_TIME)


def gate_classes(cost: FloatArray, labels: IntArray, other: IntArray) -> FloatArray:
    """Infinite, in place, where the classes differ."""
    if len(other) and ((labels != other[0]).any() or (other != other[0]).any()):
        cost[labels[:, None] != other] = np.inf
    return cost
