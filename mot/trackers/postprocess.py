"""What can be mended once the whole result is known: gaps, jitter, broken and short tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from mot import boxes
from mot.trackers.matching import match
from mot.types import FloatArray, IntArray, Tracks

Array = npt.NDArray[np.float64]
Looks = Mapping[int, npt.NDArray[np.floating[Any]]]  # the mean or summed embedding of tracks


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """A result as one table, sorted by id and then by frame."""

    ids: IntArray  # (N,)
    frames: IntArray  # (N,)
    xyxy: Array  # (N, 4)
    scores: Array  # (N,)
    labels: IntArray  # (N,)
    rows: IntArray  # (N,) of the frame's detections; -1 where the box was made up

    def take(self, index: npt.NDArray[np.bool_] | IntArray) -> Trajectories:
        return Trajectories(*(getattr(self, name)[index] for name in _COLUMNS))

    def split(self) -> list[IntArray]:
        """The rows of each track."""
        starts = np.flatnonzero(np.diff(self.ids)) + 1
        return np.split(np.arange(len(self.ids)), starts) if len(self.ids) else []


_COLUMNS = ("ids", "frames", "xyxy", "scores", "labels", "rows")


def collect(frames: Iterable[tuple[int, Tracks]]) -> Trajectories:
    """The tracks of each frame, by its number, as one table."""
    parts: list[tuple[npt.NDArray[Any], ...]] = [
        (t.ids, np.full(len(t), number), t.boxes, t.scores, t.labels, t.detections)
        for number, t in frames
    ]
    if not parts:
        parts = [(np.zeros(0),) * 2 + (np.zeros((0, 4)),) + (np.zeros(0),) * 3]
    return _sorted(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def accumulate_embeddings(
    looks: dict[int, FloatArray], tracks: Tracks, embeddings: FloatArray
) -> None:
    """Add a frame's embeddings to the sums of the tracks that got its detections."""
    for track_id, row in zip(tracks.ids.tolist(), tracks.detections.tolist(), strict=True):
        if row >= 0:
            looks[track_id] = looks.get(track_id, np.float32(0)) + embeddings[row]


def spread(result: Trajectories) -> dict[int, Tracks]:
    """The tracks of each frame that has any."""
    order = np.lexsort((result.ids, result.frames))
    numbers, starts = np.unique(result.frames[order], return_index=True)
    return {
        int(number): Tracks(
            result.ids[rows],
            result.xyxy[rows].astype(np.float32),
            result.scores[rows].astype(np.float32),
            result.labels[rows],
            result.rows[rows],
        )
        for number, rows in zip(numbers, np.split(order, starts[1:]), strict=False)
    }


def interpolate(result: Trajectories, max_gap: int = 20) -> Trajectories:
    """Straight lines through gaps of up to `max_gap` missing frames (ByteTrack)."""
    same = np.diff(result.ids) == 0
    missing = np.where(same, np.diff(result.frames) - 1, 0)
    missing[missing > max_gap] = 0
    before = np.repeat(np.arange(len(missing)), missing)
    step = np.arange(len(before)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    share = step / (missing[before] + 1)
    made = [
        result.ids[before],
        result.frames[before] + step,
        _between(result.xyxy, before, share[:, None]),
        _between(result.scores, before, share),
        result.labels[before],
        np.full(len(before), -1),
    ]
    old = [getattr(result, name) for name in _COLUMNS]
    return _sorted(*(np.concatenate(pair) for pair in zip(old, made, strict=True)))


def _between(values: Array, before: IntArray, share: Array) -> Array:
    return values[before] * (1 - share) + values[before + 1] * share


def smooth(result: Trajectories, length: float = 10.0, noise: float = 0.02) -> Trajectories:
    """Gaussian-process smoothing of each track (StrongSORT's GSI, with the noise spelt out).

    `length` frames is how far positions speak for each other, `noise` the deviation of a
    measurement as a share of the box's height.
    """
    xyxy = result.xyxy.copy()
    for rows in result.split():
        if len(rows) > 2:
            xyxy[rows] = _smooth_track(result.frames[rows].astype(float), xyxy[rows], length, noise)
    return Trajectories(result.ids, result.frames, xyxy, result.scores, result.labels, result.rows)


_LONGEST = 600  # frames smoothed at once: the cost grows with the cube
_OVERLAP = 60


def _smooth_track(times: Array, xyxy: Array, length: float, noise: float) -> Array:
    """Piece by piece, each with its neighbours in view."""
    smoothed = np.empty_like(xyxy)
    for start in range(0, len(times), _LONGEST):
        low, high = max(0, start - _OVERLAP), start + _LONGEST + _OVERLAP
        piece = _smooth_piece(times[low:high], xyxy[low:high], length, noise)
        end = min(start + _LONGEST, len(times))
        smoothed[start:end] = piece[start - low : end - low]
    return smoothed


def _smooth_piece(times: Array, xyxy: Array, length: float, noise: float) -> Array:
    line = np.polynomial.polynomial.polyfit(times - times[0], xyxy, 1)
    trend = line[0] + np.outer(times - times[0], line[1])
    height = float(np.mean(xyxy[:, 3] - xyxy[:, 1])) + 1e-9
    residual = (xyxy - trend) / height
    spread = max(float(residual.std()), noise)
    kernel = spread**2 * np.exp(-0.5 * np.square(np.subtract.outer(times, times) / length))
    doubt = noise**2 + 1e-6 * spread**2  # a little, so that the matrix has an inverse
    factor = cho_factor(kernel + doubt * np.eye(len(times)))
    smoothed: Array = trend + kernel @ cho_solve(factor, residual) * height
    smoothed[:, 2:] = np.maximum(smoothed[:, 2:], smoothed[:, :2])
    return smoothed


def merge(
    result: Trajectories,
    looks: Looks | None = None,
    max_gap: int = 45,
    limit: float = 0.2,
) -> Trajectories:
    """Join tracks of which one goes on where another has ended, by their motion and their looks.

    The end of one and the start of the other are carried over the gap at their own speeds and must
    meet: `limit` is the distance of their centres in heights and the ratio of their sizes. Where
    `looks` has the mean embeddings of both, alike looks make the meeting cheaper, others forbid it.
    """
    tracks = result.split()
    if len(tracks) < 2:
        return result
    ends = np.array([_motion(result, rows[-_LOOK_BACK:], last=True) for rows in tracks])
    starts = np.array([_motion(result, rows[:_LOOK_BACK], last=False) for rows in tracks])
    ids, labels = (np.array([c[rows[0]] for rows in tracks]) for c in (result.ids, result.labels))
    gap = starts[:, 0] - ends[:, 0][:, None]
    cost = (_meeting_cost(ends, starts, gap) + _TINY) * _looks_factor(ids, looks or {})
    cost[(gap < 1) | (gap > max_gap) | (labels[:, None] != labels)] = np.inf
    firsts, seconds = match(cost, limit)
    owner = ids.copy()
    for first, second in sorted(zip(firsts, seconds, strict=True), key=lambda p: starts[p[1], 0]):
        owner[second] = owner[first]
    renamed = np.concatenate([np.full(len(r), owner[index]) for index, r in enumerate(tracks)])
    return _sorted(renamed, *(getattr(result, name) for name in _COLUMNS[1:]))


_TINY = 1e-9  # so that what is forbidden is so for a perfect meeting too
_LOOK_BACK = 20  # frames over which the speed at the end of a track is taken
_ALIKE, _DIFFERENT = 0.2, 0.4  # cosine distances: of no weight, and too far for one person


def _looks_factor(ids: IntArray, looks: Looks) -> Array:
    """(N, N) what the cost of a meeting is times: 1 where the looks of either are not known."""
    known = np.flatnonzero([number in looks for number in ids.tolist()])
    factor = np.ones((len(ids), len(ids)))
    if len(known):
        unit = np.array([looks[int(ids[index])] for index in known])
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        distance = 1 - unit @ unit.T
        factor[known[:, None], known] = np.where(
            distance > _DIFFERENT, np.inf, np.maximum(distance, 0.01) / _ALIKE
        )
    return factor


def _motion(result: Trajectories, rows: IntArray, last: bool) -> Array:
    """(6,) frame, centre and height at one end of a track, and its speed there."""
    times = result.frames[rows].astype(float)
    box = boxes.xyxy_to_cxcywh(result.xyxy[rows])
    edge = -1 if last else 0
    speed = np.zeros(2)
    if len(rows) > 2:
        away = times - times[edge]
        away = away - away.mean()
        speed = away @ (box[:, :2] - box[:, :2].mean(axis=0)) / max(float(away @ away), 1e-9)
    height = max(float(np.median(box[:, 3])), 1e-9)
    return np.array([times[edge], *box[edge, :2], height, *speed])


def _meeting_cost(ends: Array, starts: Array, gap: Array) -> Array:
    """(N, N) how far apart each end and each start come over the gap, in heights."""
    height = np.minimum(ends[:, 3][:, None], starts[:, 3])
    shift = starts[None, :, 1:3] - ends[:, None, 1:3]
    speed = (ends[:, None, 4:] + starts[None, :, 4:]) / 2
    miss = shift - speed * gap[..., None]
    distance = np.sqrt(np.square(miss).sum(axis=2)) / height
    # Over a long gap a straight line says less: the same miss speaks less against a meeting.
    distance /= 1 + np.clip(gap, 0, None) / 30
    size = np.abs(np.log(ends[:, 3][:, None] / starts[:, 3]))
    cost: Array = distance + size
    return cost


def drop_short(result: Trajectories, least: int = 5) -> Trajectories:
    """Without the tracks of fewer frames."""
    _, index, counts = np.unique(result.ids, return_inverse=True, return_counts=True)
    return result.take(counts[index] >= least)


def _sorted(*columns: npt.NDArray[Any]) -> Trajectories:
    ids, frames, xyxy, scores, labels, rows = columns
    order = np.lexsort((frames, ids))
    return Trajectories(
        ids[order].astype(np.int64),
        frames[order].astype(np.int64),
        xyxy[order].astype(np.float64),
        scores[order].astype(np.float64),
        labels[order].astype(np.int64),
        rows[order].astype(np.int64),
    )


# By name, in the order in which they are done.
STEPS: dict[str, Callable[[Trajectories, Looks], Trajectories]] = {
    "merge": lambda result, looks: merge(result, looks),
    "linear": lambda result, looks: interpolate(result),
    "gsi": lambda result, looks: smooth(interpolate(result)),
    "short": lambda result, looks: drop_short(result),
}


def mend(result: Trajectories, steps: Iterable[str], looks: Looks) -> Trajectories:
    """The named steps; `looks` has the mean embedding of each track, where they are known."""
    wanted = set(steps)
    for name, step in STEPS.items():
        if name in wanted:
            result = step(result, looks)
    return result
