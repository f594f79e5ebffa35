"""What every tracker does around its association: the clock, the filter, births, deaths, ids."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.trackers.kalman import BoxModel, KalmanFilter, Measurement
from mot.trackers.stages import Parts, Stages, Trace
from mot.trackers.table import CONFIRMED, Column, TrackTable
from mot.types import Detections, FloatArray, Frame, IntArray, Tracks

FRAMES_PER_SECOND = 30.0  # the filter's time unit is 1/30 s, the rate the papers tune for
_SAME_TIME = 1e-6  # frames; below the jitter of any clock


class Candidates(NamedTuple):
    """The detections of a frame in an order that does not depend on the caller's."""

    boxes: FloatArray  # (M, 4) xyxy
    scores: FloatArray  # (M,)
    labels: IntArray  # (M,)
    rows: IntArray  # (M,) their rows in the caller's Detections
    measurements: Measurement  # (4, M) in the filter's axes
    embeddings: FloatArray | None  # (M, D)


class Tracker(ABC):
    """A method fills in `_associate`; everything else is shared."""

    uses_embeddings = False

    def __init__(self, model: BoxModel, min_score: float) -> None:
        self._model = model
        self.trace: list[Trace] | None = None  # a list here collects how each frame was matched
        self._least_score = min_score
        self._filter = KalmanFilter(model)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next id is 1."""
        self._table = self._new_table()
        self._last_id = 0
        self._time: float | None = None
        self._frames = 0

    def update(self, detections: Detections, frame: Frame) -> Tracks:
        """The tracks of this frame; frames come in order of time."""
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

    @abstractmethod
    def _associate(self, candidates: Candidates, elapsed: float) -> npt.NDArray[np.bool_]:
        """Match, give birth, remove; which tracks of the table to report."""

    def _before_prediction(self) -> None:  # noqa: B027 (most methods change nothing)
        """What a method changes of the states first."""

    def _follow_camera(self, motion: npt.NDArray[np.float64]) -> None:
        """Move everything as the picture moved since the last frame."""
        self._filter.warp(self._table.state, motion)

    def _stages(self, found: Candidates) -> Stages:
        if self.trace is None:
            return Stages(len(self._table), len(found.rows))
        self.trace.append(Trace(self._table.ids.copy(), found.rows, [], self._parts(found)))
        return Stages(len(self._table), len(found.rows), self.trace[-1].stages)

    def _parts(self, found: Candidates) -> Parts:
        """What a trace tells beside the costs."""
        return Parts(self._iou_cost(self._boxes(), self._table.labels, found))

    def _new_table(self) -> TrackTable:
        return TrackTable()

    def _elapsed(self, time: float) -> float:
        """Filter time since the last frame; exactly 1 at 30 frames a second.

        A clock that stands still or jumps back counts as one that ran so.
        """
        last, self._time = self._time, time
        elapsed = 0.0 if last is None else round((time - last) * FRAMES_PER_SECOND, 6)
        return elapsed if elapsed > 0 else 1.0

    def _candidates(self, detections: Detections) -> Candidates:
        """Best first, equal scores by place; only those that any stage can use."""
        order = (detections.scores >= self._least_score).nonzero()[0]
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
        """Correct the tracks with the candidates matched to them."""
        state = self._table.state.take(tracks, axis=2)
        factor = self._noise_factor(found.scores[chosen])
        self._filter.update(state, found.measurements[:, chosen], factor)
        self._table.state[:, :, tracks] = state
        self._table.hit(tracks, found.rows[chosen], found.scores[chosen])

    def _noise_factor(self, scores: FloatArray) -> npt.NDArray[np.float64] | None:
        """What the measurements' variance is multiplied with."""
        return None

    def _birth_columns(self, found: Candidates, chosen: IntArray) -> dict[str, Column]:
        """The entries of new tracks in the table's `extra`."""
        return {}

    def _bear(self, found: Candidates, chosen: IntArray) -> None:
        """A tentative track for each of these candidates."""
        if len(chosen):
            state = self._filter.initiate(found.measurements[:, chosen])
            rows, scores, labels = found.rows[chosen], found.scores[chosen], found.labels[chosen]
            extra = self._birth_columns(found, chosen)
            self._table.append(state, rows, scores, labels, **extra)

    def _confirm(self, tracks: npt.NDArray[np.bool_]) -> None:
        """Confirm these; an id is given once, in order of birth."""
        self._table.phases[tracks] = CONFIRMED
        nameless = (tracks & (self._table.ids == 0)).nonzero()[0]
        if len(nameless):
            self._table.ids[nameless] = self._last_id + 1 + np.arange(len(nameless))
            self._last_id += len(nameless)

    def _outlived(self, buffer: float, elapsed: float, frames: int = 1) -> npt.NDArray[np.bool_]:
        """Tracks idle for longer than `buffer` seconds and than so many frames."""
        longest = max(buffer * FRAMES_PER_SECOND, frames * elapsed) + _SAME_TIME
        outlived: npt.NDArray[np.bool_] = self._table.idle > longest
        return outlived

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
    """As many detections in a row as `count` at 30 frames a second; at lower rates fewer, for
    each then says more, but always two where more than one is asked for."""
    return min(count, 2) if elapsed >= count else math.ceil(count / elapsed - _SAME_TIME)


def gate_classes(cost: FloatArray, labels: IntArray, other: IntArray) -> FloatArray:
    """Infinite, in place, where the classes differ."""
    if len(other) and ((labels != other[0]).any() or (other != other[0]).any()):
        cost[labels[:, None] != other] = np.inf
    return cost
