"""Post-processing of finished tracks: merge, interpolate, smooth, drop short ones."""

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
EmbeddingSums = Mapping[int, npt.NDArray[np.floating[Any]]]  # track id -> (D,) sum or mean


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """A result as one table, sorted by id and then by frame."""

    ids: IntArray  # (N,)
    frames: IntArray  # (N,)
    xyxy: Array  # (N, 4)
    scores: Array  # (N,)
    labels: IntArray  # (N,)
    rows: IntArray  # (N,) rows of the frame's detections; -1 for an interpolated box

    def take(self, index: npt.NDArray[np.bool_] | IntArray) -> Trajectories:
        return Trajectories(*(getattr(self, name)[index] for name in _COLUMNS))

    def split(self) -> list[IntArray]:
        """The rows of each track."""
        starts = np.flatnonzero(np.diff(self.ids)) + 1
        return np.split(np.arange(len(self.ids)), starts) if len(self.ids) else []


_COLUMNS = ("ids", "frames", "xyxy", "scores", "labels", "rows")


def to_trajectories(frames: Iterable[tuple[int, Tracks]]) -> Trajectories:
    """The tracks of all frames as one table; frames are given by index."""
    parts: list[tuple[npt.NDArray[Any], ...]] = [
        (t.ids, np.full(len(t), number), t.boxes, t.scores, t.labels, t.detections)
        for number, t in frames
    ]
    if not parts:
        parts = [(np.zeros(0),) * 2 + (np.zeros((0, 4)),) + (np.zeros(0),) * 3]
    return _sorted(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def accumulate_embeddings(
    sums: dict[int, FloatArray], tracks: Tracks, embeddings: FloatArray
) -> None:
    """Add a frame's embeddings to the sums of the tracks that got its detections."""
    for track_id, row in zip(tracks.ids.tolist(), tracks.detections.tolist(), strict=True):
        if row >= 0:
            sums[track_id] = sums.get(track_id, np.float32(0)) + embeddings[row]


def to_frames(result: Trajectories) -> dict[int, Tracks]:
    """`Tracks` by frame index, for the frames that have any."""
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
    new = [
        result.ids[before],
        result.frames[before] + step,
        _between(result.xyxy, before, share[:, None]),
        _between(result.scores, before, share),
        result.labels[before],
        np.full(len(before), -1),
    ]
    old = [getattr(result, name) for name in _COLUMNS]
    return _sorted(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))


def _between(values: Array, before: IntArray, share: Array) -> Array:
    return values[before] * (1 - share) + values[before + 1] * share


def smooth(result: Trajectories, length: float = 10.0, noise: float = 0.02) -> Trajectories:
    """Gaussian-process smoothing of each track (StrongSORT's GSI, with an explicit noise).

    `length`: length scale of the kernel in frames; `noise`: standard deviation of a measurement in
    box heights.
    """
    xyxy = result.xyxy.copy()
    for rows in result.split():
        if len(rows) > 2:
            xyxy[rows] = _smooth_track(result.frames[rows].astype(float), xyxy[rows], length, noise)
    return Trajectories(result.ids, result.frames, xyxy, result.scores, result.labels, result.rows)


_MAX_FRAMES = 600  # smoothed at once: the time grows with the cube
_OVERLAP = 60


def _smooth_track(times: Array, xyxy: Array, length: float, noise: float) -> Array:
    """In pieces, each smoothed with some frames of its neighbors."""
    smoothed = np.empty_like(xyxy)
    for start in range(0, len(times), _MAX_FRAMES):
        low, high = max(0, start - _OVERLAP), start + _MAX_FRAMES + _OVERLAP
        piece = _smooth_piece(times[low:high], xyxy[low:high], length, noise)
        end = min(start + _MAX_FRAMES, len(times))
        smoothed[start:end] = piece[start - low : end - low]
    return smoothed


def _smooth_piece(times: Array, xyxy: Array, length: float, noise: float) -> Array:
    line = np.polynomial.polynomial.polyfit(times - times[0], xyxy, 1)
    trend = line[0] + np.outer(times - times[0], line[1])
    height = float(np.mean(xyxy[:, 3] - xyxy[:, 1])) + 1e-9
    residual = (xyxy - trend) / height
    deviation = max(float(residual.std()), noise)
    kernel = deviation**2 * np.exp(-0.5 * np.square(np.subtract.outer(times, times) / length))
    variance = noise**2 + 1e-6 * deviation**2  # the second term keeps the matrix invertible
    factor = cho_factor(kernel + variance * np.eye(len(times)))
    smoothed: Array = trend + kernel @ cho_solve(factor, residual) * height
    smoothed[:, 2:] = np.maximum(smoothed[:, 2:], smoothed[:, :2])
    return smoothed


def merge(
    result: Trajectories,
    embeddings: EmbeddingSums | None = None,
    max_gap: int = 45,
    limit: float = 0.2,
) -> Trajectories:
    """Join a track that ends with one that starts later, by motion and appearance.

    Both are extrapolated over the gap at their own speeds and must meet: `limit` bounds the
    distance of their centers in heights plus the log ratio of their heights. If `embeddings` holds
    both, the cosine distance scales this cost, and a large one forbids the merge.
    """
    tracks = result.split()
    if len(tracks) < 2:
        return result
    ends = np.array([_end_state(result, rows[-_SPEED_FRAMES:], last=True) for rows in tracks])
    starts = np.array([_end_state(result, rows[:_SPEED_FRAMES], last=False) for rows in tracks])
    ids, labels = (np.array([c[rows[0]] for rows in tracks]) for c in (result.ids, result.labels))
    gap = starts[:, 0] - ends[:, 0][:, None]
    cost = (_merge_cost(ends, starts, gap) + _TINY) * _appearance_factor(ids, embeddings or {})
    cost[(gap < 1) | (gap > max_gap) | (labels[:, None] != labels)] = np.inf
    firsts, seconds = match(cost, limit)
    owner = ids.copy()
    for first, second in sorted(zip(firsts, seconds, strict=True), key=lambda p: starts[p[1], 0]):
        owner[second] = owner[first]
    renamed = np.concatenate([np.full(len(r), owner[index]) for index, r in enumerate(tracks)])
    return _sorted(renamed, *(getattr(result, name) for name in _COLUMNS[1:]))


_TINY = 1e-9  # 0 times an infinite factor would be NaN
_SPEED_FRAMES = 20  # frames at the end of a track for its velocity
_SIMILAR, _DIFFERENT = 0.2, 0.4  # cosine distances: neutral, and too large for one object


def _appearance_factor(ids: IntArray, embeddings: EmbeddingSums) -> Array:
    """(N, N) factors of the merge cost; 1 where an embedding is missing."""
    known = np.flatnonzero([number in embeddings for number in ids.tolist()])
    factor = np.ones((len(ids), len(ids)))
    if len(known):
        unit = np.array([embeddings[int(ids[index])] for index in known])
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        distance = 1 - unit @ unit.T
        factor[known[:, None], known] = np.where(
            distance > _DIFFERENT, np.inf, np.maximum(distance, 0.01) / _SIMILAR
        )
    return factor


def _end_state(result: Trajectories, rows: IntArray, last: bool) -> Array:
    """(6,) frame, center, height and velocity at one end of a track."""
    times = result.frames[rows].astype(float)
    box = boxes.xyxy_to_cxcywh(result.xyxy[rows])
    edge = -1 if last else 0
    speed = np.zeros(2)
    if len(rows) > 2:
        offset = times - times[edge]
        offset = offset - offset.mean()
        speed = offset @ (box[:, :2] - box[:, :2].mean(axis=0)) / max(float(offset @ offset), 1e-9)
    height = max(float(np.median(box[:, 3])), 1e-9)
    return np.array([times[edge], *box[edge, :2], height, *speed])


def _merge_cost(ends: Array, starts: Array, gap: Array) -> Array:
    """(N, N) distance of each end and each start after extrapolation, in heights, plus the log
    ratio of the heights."""
    height = np.minimum(ends[:, 3][:, None], starts[:, 3])
    shift = starts[None, :, 1:3] - ends[:, None, 1:3]
    speed = (ends[:, None, 4:] + starts[None, :, 4:]) / 2
    miss = shift - speed * gap[..., None]
    distance = np.sqrt(np.square(miss).sum(axis=2)) / height
    # Over a long gap extrapolation is less certain, so a miss counts less.
    distance /= 1 + np.clip(gap, 0, None) / 30
    size = np.abs(np.log(ends[:, 3][:, None] / starts[:, 3]))
    cost: Array = distance + size
    return cost


def drop_short(result: Trajectories, min_frames: int = 5) -> Trajectories:
    """Drops tracks with fewer frames."""
    _, index, counts = np.unique(result.ids, return_inverse=True, return_counts=True)
    return result.take(counts[index] >= min_frames)


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


# By name, in the order of execution.
STEPS: dict[str, Callable[[Trajectories, EmbeddingSums], Trajectories]] = {
    "merge": merge,
    "linear": lambda result, _: interpolate(result),
    "gsi": lambda result, _: smooth(interpolate(result)),
    "short": lambda result, _: drop_short(result),
}


def postprocess(
    result: Trajectories, steps: Iterable[str], embeddings: EmbeddingSums
) -> Trajectories:
    """Apply the named steps; `embeddings` holds the summed embedding of each track, if known."""
    wanted = set(steps)
    for name, step in STEPS.items():
        if name in wanted:
            result = step(result, embeddings)
    return result
