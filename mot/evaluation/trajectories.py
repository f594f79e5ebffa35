"""Trajectories of tracks: their motion before and after every box, and which boxes are close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.motfile import MotRows
from mot.types import FloatArray, IntArray

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Pairs = tuple[IntArray, IntArray]

_MIN_HEIGHT = 1.0  # pixels; flatter boxes give no scale
_MIN_WINDOW_ROWS = 4  # per motion fit, at any frame rate
_MIN_GROUP = 5  # boxes whose median motion is that of the camera
_MIN_TRUST = 0.01  # weight of an unknown speed, so that the mean of two has a weight
_REGULARIZATION = 2e-3  # s2; shrinks the speed of windows of few boxes to 0, against box noise


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """The N rows of a result, sorted by id, then by frame."""

    ids: IntArray  # (N,)
    frames: IntArray  # (N,)
    xywh: Values  # (N, 4)
    centers: Values  # (N, 2) pixels, with camera motion removed
    heights: Values  # (N,) pixels, at least 1
    embeddings: FloatArray | None  # (N, D) unit vectors
    fps: float
    cadence: int  # usual number of frames between successive boxes of a track
    steps: IntArray  # (S,) rows that are followed by a row of the same id
    firsts: IntArray  # (tracks,) first row of each track
    lasts: IntArray  # (tracks,) last row of each track

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def xyxy(self) -> Values:
        return boxes.xywh_to_xyxy(self.xywh).astype(np.float64)

    @property
    def lengths(self) -> IntArray:
        """(tracks,) number of boxes."""
        return self.lasts + 1 - self.firsts

    @property
    def step_frames(self) -> IntArray:
        """(S,) frames from each step's row to the next."""
        return self.frames[self.steps + 1] - self.frames[self.steps]

    @property
    def step_seconds(self) -> Values:
        return self.step_frames / self.fps

    @property
    def cadence_seconds(self) -> float:
        return self.cadence / self.fps

    def to_frames(self, seconds: float) -> int:
        """At least 1."""
        return max(1, round(seconds * self.fps))


def build_trajectories(rows: MotRows, fps: float, embeddings: FloatArray | None) -> Trajectories:
    """`embeddings`: (N, D), one per row."""
    order = np.lexsort((rows.frames, rows.ids))
    ids, frames, xywh = rows.ids[order], rows.frames[order], rows.xywh[order]
    changes = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1, append=ids[-1:] + 1))
    steps = np.flatnonzero(np.diff(ids) == 0)
    between = frames[steps + 1] - frames[steps]
    return Trajectories(
        ids=ids,
        frames=frames,
        xywh=xywh,
        centers=_stabilize(xywh[:, :2] + xywh[:, 2:] / 2, frames, steps),
        heights=np.maximum(xywh[:, 3], _MIN_HEIGHT),
        embeddings=None if embeddings is None else to_unit(embeddings[order]),
        fps=fps,
        cadence=int(np.median(between)) if len(between) else 1,
        steps=steps,
        firsts=changes[:-1],
        lasts=changes[1:] - 1,
    )


def to_unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(length, np.float32(1e-9))
    return scaled


def norms(vectors: Values) -> Values:
    """(N,) Euclidean norms of the rows."""
    length: Values = np.sqrt(np.square(vectors).sum(axis=1))
    return length


def _stabilize(centers: Values, frames: IntArray, steps: IntArray) -> Values:
    """Remove the camera motion from the centers, if that makes the trajectories straighter."""
    moment = np.unique(frames, return_inverse=True)[1]
    next_moment = steps[moment[steps + 1] - moment[steps] == 1]
    triples = next_moment[:-1][np.diff(next_moment) == 1]
    if not len(triples):
        return centers
    stabilized = centers - _camera_path(centers, moment, next_moment)
    bend, original_bend = (
        np.median(norms(p[triples] - 2 * p[triples + 1] + p[triples + 2]))
        for p in (stabilized, centers)
    )
    return stabilized if bend < original_bend else centers


def _camera_path(centers: Values, moment: IntArray, steps: IntArray) -> Values:
    """(N, 2) accumulated motion of the median track since the first moment."""
    moved = centers[steps + 1] - centers[steps]
    shifts = group_medians(moment[steps + 1], moved, moment.max() + 1)
    path: Values = shifts.cumsum(axis=0)[moment]
    return path


def group_medians(groups: IntArray, values: Values, count: int) -> Values:
    """(count, columns) the median of each group of at least 5 rows; 0 for smaller groups."""
    known, counts = np.unique(groups, return_counts=True)
    middle = np.cumsum(counts) - counts + counts // 2
    columns = [column[np.lexsort((column, groups))][middle] for column in values.T]
    is_large = counts >= _MIN_GROUP
    medians = np.zeros((count, len(columns)))
    medians[known[is_large]] = np.stack(columns, axis=1)[is_large]
    return medians


@dataclass(frozen=True, slots=True, eq=False)
class MotionFits:
    """The straight line fitted to each row's trajectory within a time window."""

    times: Values  # (N,) seconds; the mean time of the window
    states: Values  # (N, 3) there: x and y in pixels, logarithm of the height
    speeds: Values  # (N, 3) per second
    trust: Values  # (N,) in the speeds, 0 to 1; 0 if the window has one box
    embeddings: FloatArray | None  # (N, D) unit vectors of the mean
    counts: IntArray  # (N,) boxes in the window

    def predict(self, rows: IntArray, times: Values) -> Values:
        """(R, 3) states that the fits of these rows predict at these times."""
        ahead = times - self.times[rows]
        states: Values = self.states[rows] + self.speeds[rows] * ahead[:, None]
        return states

    @property
    def log_heights(self) -> Values:
        """(N,) means over the window."""
        return self.states[:, 2]


def fit_motion(trajectories: Trajectories, seconds: float, ahead: bool) -> MotionFits:
    """Fit the window that begins with each row (`ahead`), or that ends with it."""
    window = max(trajectories.to_frames(seconds), _MIN_WINDOW_ROWS * trajectories.cadence)
    clock = _continuous_clock(trajectories, window)
    rows = np.arange(len(trajectories))
    if ahead:
        windows = np.stack([rows, np.searchsorted(clock, clock + window, "left")], axis=1)
    else:
        windows = np.stack([np.searchsorted(clock, clock - window, "right"), rows + 1], axis=1)
    counts = np.diff(windows)[:, 0]
    starts = np.repeat(clock[trajectories.firsts], trajectories.lengths)
    times = (clock - starts) / trajectories.fps
    states = np.column_stack([trajectories.centers, np.log(trajectories.heights)])
    mean_time = _window_sums(times, windows) / counts
    mean_state = _window_sums(states, windows) / counts[:, None]
    variance = np.maximum(_window_sums(times**2, windows) - counts * mean_time**2, 0)
    covariance = _window_sums(times[:, None] * states, windows)
    covariance -= (counts * mean_time)[:, None] * mean_state
    embeddings = trajectories.embeddings
    return MotionFits(
        times=trajectories.frames / trajectories.fps + mean_time - times,
        states=mean_state,
        speeds=covariance / (variance + _REGULARIZATION)[:, None],
        trust=variance / (variance + _REGULARIZATION),
        embeddings=None if embeddings is None else to_unit(_window_sums(embeddings, windows)),
        counts=counts,
    )


def _continuous_clock(trajectories: Trajectories, window: int) -> IntArray:
    """(N,) frame numbers that increase from track to track.

    A gap longer than a window, and the change to the next track, count as one window: a binary
    search then finds window ends within the track and on the same side of such a gap.
    """
    between = np.full(max(len(trajectories) - 1, 0), window)
    between[trajectories.steps] = np.minimum(trajectories.step_frames, window)
    return np.concatenate([[0], np.cumsum(between)])[: len(trajectories)]


def _window_sums(values: npt.NDArray[np.floating], windows: IntArray) -> npt.NDArray[np.floating]:
    """Sums over the rows of each window (first row, end); no window is empty."""
    if not len(windows):
        return values
    padded = np.concatenate([values, np.zeros_like(values[:1])])
    sums: npt.NDArray[np.floating] = np.add.reduceat(padded, windows.ravel())[::2]
    return sums


def prediction_errors(
    before: MotionFits, after: MotionFits, first: IntArray, second: IntArray
) -> tuple[Values, Values]:
    """(P,) how far the trajectories up to rows `first` and from rows `second` miss each other.

    In pixels and in the logarithm of the height, averaged over both predictions, weighted by the
    trust in their speeds. Box heights change unsteadily: the smaller error of the predicted and of
    the mean height counts.
    """
    forwards = before.predict(first, after.times[second]) - after.states[second]
    backwards = after.predict(second, before.times[first]) - before.states[first]
    weight = trust_weights(before, after, first, second)
    distance = weight * norms(forwards[:, :2]) + (1 - weight) * norms(backwards[:, :2])
    growth = weight * np.abs(forwards[:, 2]) + (1 - weight) * np.abs(backwards[:, 2])
    mean_growth = np.abs(after.log_heights[second] - before.log_heights[first])
    return distance, np.minimum(growth, mean_growth)


def trust_weights(
    before: MotionFits, after: MotionFits, first: IntArray, second: IntArray
) -> Values:
    """(P,) weight, 0 to 1, of the fit up to row `first` beside that from row `second` on."""
    forward, backward = before.trust[first] + _MIN_TRUST, after.trust[second] + _MIN_TRUST
    weight: Values = forward / (forward + backward)
    return weight


def measure_camera_shake(
    trajectories: Trajectories, before: MotionFits, after: MotionFits
) -> Values:
    """(N,) pixels by which the median track of the frame misses its prediction; 0 if few tracks."""
    numbers, moment = np.unique(trajectories.frames, return_inverse=True)
    there = trajectories.steps + 1
    errors = prediction_errors(before, after, trajectories.steps, there)[0][:, None]
    shake: Values = group_medians(moment[there], errors, len(numbers))[moment, 0]
    return shake


def count_up(counts: IntArray) -> IntArray:
    """0, 1, ... up to each count, concatenated."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)


def touching_pairs(frames: IntArray, xyxy: Values) -> Iterator[Pairs]:
    """Batches of the pairs of boxes of a frame that overlap or touch, each pair once.

    Boxes are sorted by frame and left edge; each is compared with the next, the one after it and so
    on, as long as any of those begins before its right edge.
    """
    order = np.lexsort((xyxy[:, 0], frames))
    frames, (left, top, right, bottom) = frames[order], xyxy[order].T
    row, lag = np.arange(len(frames)), 0
    while len(row):
        lag += 1
        row = row[row + lag < len(frames)]
        row = row[(frames[row + lag] == frames[row]) & (left[row + lag] <= right[row])]
        other = row + lag
        touch = (top[row] <= bottom[other]) & (top[other] <= bottom[row])
        yield order[row[touch]], order[other[touch]]
