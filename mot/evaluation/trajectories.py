"""Tracks as paths: how each moves before and after every box, and who is near whom."""

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

_LEAST_HEIGHT = 1.0  # pixels; a flatter box gives no scale
_WINDOW_ROWS = 4  # a motion is taken over so many rows at least, however slow the frame rate is
_CROWD = 5  # people whose median motion is the camera's
_LEAST_TRUST = 0.01  # in a speed, so that the mean of two that are unknown has a weight
_REST = 2e-3  # s2; draws the speed of a path of very few boxes to 0, as box noise asks for


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The rows of a result, sorted by id and then by frame."""

    ids: IntArray  # (N,)
    frames: IntArray  # (N,)
    xywh: Values  # (N, 4)
    places: Values  # (N, 2) centres in pixels, without the motion of the camera
    heights: Values  # (N,) pixels, at least 1
    looks: FloatArray | None  # (N, D) of length 1
    fps: float
    cadence: int  # frames from one box of a path to the next, where none is missing
    steps: IntArray  # (S,) the rows that are followed by another of their id
    firsts: IntArray  # (tracks,) the first row of each
    lasts: IntArray  # (tracks,)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def xyxy(self) -> Values:
        return boxes.xywh_to_xyxy(self.xywh).astype(np.float64)

    @property
    def lengths(self) -> IntArray:
        """(tracks,) boxes."""
        return self.lasts + 1 - self.firsts

    @property
    def step_frames(self) -> IntArray:
        return self.frames[self.steps + 1] - self.frames[self.steps]

    @property
    def step_seconds(self) -> Values:
        return self.step_frames / self.fps

    @property
    def box_spacing(self) -> float:
        """Seconds."""
        return self.cadence / self.fps

    def frames_in(self, seconds: float) -> int:
        return max(1, round(seconds * self.fps))


def make_paths(rows: MotRows, fps: float, looks: FloatArray | None) -> Paths:
    order = np.lexsort((rows.frames, rows.ids))
    ids, frames, xywh = rows.ids[order], rows.frames[order], rows.xywh[order]
    changes = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1, append=ids[-1:] + 1))
    steps = np.flatnonzero(np.diff(ids) == 0)
    between = frames[steps + 1] - frames[steps]
    return Paths(
        ids=ids,
        frames=frames,
        xywh=xywh,
        places=_steadied(xywh[:, :2] + xywh[:, 2:] / 2, frames, steps),
        heights=np.maximum(xywh[:, 3], _LEAST_HEIGHT),
        looks=None if looks is None else unit(looks[order]),
        fps=fps,
        cadence=int(np.median(between)) if len(between) else 1,
        steps=steps,
        firsts=changes[:-1],
        lasts=changes[1:] - 1,
    )


def unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(length, np.float32(1e-9))
    return scaled


def distance(vectors: Values) -> Values:
    length: Values = np.sqrt(np.square(vectors).sum(axis=1))
    return length


def _steadied(places: Values, frames: IntArray, steps: IntArray) -> Values:
    """The places with the camera's motion taken out, if that makes the paths straighter."""
    moment = np.unique(frames, return_inverse=True)[1]
    next_moment = steps[moment[steps + 1] - moment[steps] == 1]
    twice = next_moment[:-1][np.diff(next_moment) == 1]
    if not len(twice):
        return places
    steadied = places - _camera_path(places, moment, next_moment)
    bends, shaken_bends = (
        np.median(distance(p[twice] - 2 * p[twice + 1] + p[twice + 2])) for p in (steadied, places)
    )
    return steadied if bends < shaken_bends else places


def _camera_path(places: Values, moment: IntArray, steps: IntArray) -> Values:
    """(N, 2) how far the picture has moved since the first moment: as the median person has."""
    shifts = medians_of_many(moment[steps + 1], places[steps + 1] - places[steps], moment.max() + 1)
    path: Values = shifts.cumsum(axis=0)[moment]
    return path


def medians_of_many(groups: IntArray, values: Values, count: int) -> Values:
    """(count, columns) the median of each group of `_CROWD` values or more; 0 for the others."""
    known, counts = np.unique(groups, return_counts=True)
    middle = np.cumsum(counts) - counts + counts // 2
    columns = [column[np.lexsort((column, groups))][middle] for column in values.T]
    many = counts >= _CROWD
    medians = np.zeros((count, len(columns)))
    medians[known[many]] = np.stack(columns, axis=1)[many]
    return medians


@dataclass(frozen=True, slots=True, eq=False)
class Motions:
    """The straight line that fits a path best within a window, for each row."""

    times: Values  # (N,) seconds; the middle of the window
    states: Values  # (N, 3) there: x and y in pixels, the logarithm of the height
    speeds: Values  # (N, 3) of them, a second
    trust: Values  # (N,) 0 to 1, in the speeds: 0 where they were taken from one box
    looks: FloatArray | None  # (N, D) the mean, of length 1
    counts: IntArray  # (N,) boxes in the window

    def at(self, rows: IntArray, times: Values) -> Values:
        """(R, 3) where the motions at these rows lead."""
        ahead = times - self.times[rows]
        states: Values = self.states[rows] + self.speeds[rows] * ahead[:, None]
        return states

    @property
    def log_heights(self) -> Values:
        """(N,) the means."""
        return self.states[:, 2]


def motions(paths: Paths, seconds: float, ahead: bool) -> Motions:
    """Over the window that begins with each row, or that ends with it."""
    clock = _clock(paths, window := _window(paths, seconds))
    rows = np.arange(len(paths))
    if ahead:
        windows = np.stack([rows, np.searchsorted(clock, clock + window, "left")], axis=1)
    else:
        windows = np.stack([np.searchsorted(clock, clock - window, "right"), rows + 1], axis=1)
    counts = np.diff(windows)[:, 0]
    times = (clock - np.repeat(clock[paths.firsts], paths.lengths)) / paths.fps
    states = np.column_stack([paths.places, np.log(paths.heights)])
    mean_time = _sums(times, windows) / counts
    mean_state = _sums(states, windows) / counts[:, None]
    spread = np.maximum(_sums(times**2, windows) - counts * mean_time**2, 0)
    lever = _sums(times[:, None] * states, windows)
    lever -= (counts * mean_time)[:, None] * mean_state
    return Motions(
        times=paths.frames / paths.fps + mean_time - times,
        states=mean_state,
        speeds=lever / (spread + _REST)[:, None],
        trust=spread / (spread + _REST),
        looks=None if paths.looks is None else unit(_sums(paths.looks, windows)),
        counts=counts,
    )


def _window(paths: Paths, seconds: float) -> int:
    return max(paths.frames_in(seconds), _WINDOW_ROWS * paths.cadence)


def _clock(paths: Paths, window: int) -> IntArray:
    """(N,) frames that count on from path to path.

    A gap as long as a window counts as one window, and so does the change to the next id: the ends
    of a window are then found by a search, within the path and not beyond such a gap.
    """
    between = np.full(max(len(paths) - 1, 0), window)
    between[paths.steps] = np.minimum(paths.step_frames, window)
    return np.concatenate([[0], np.cumsum(between)])[: len(paths)]


def _sums(values: npt.NDArray[np.floating], windows: IntArray) -> npt.NDArray[np.floating]:
    """The sum of the rows of each window, none of which is empty."""
    if not len(windows):
        return values
    padded = np.concatenate([values, np.zeros_like(values[:1])])
    sums: npt.NDArray[np.floating] = np.add.reduceat(padded, windows.ravel())[::2]
    return sums


def misses(
    before: Motions, after: Motions, first: IntArray, second: IntArray
) -> tuple[Values, Values]:
    """(P,) how far the paths up to and from these rows lead past each other.

    In pixels and in the logarithm of the height, the mean of both forecasts by the trust in their
    speeds. Boxes change their size unsteadily, so what counts is the kinder of the forecast size
    and the mean one.
    """
    forwards = before.at(first, after.times[second]) - after.states[second]
    backwards = after.at(second, before.times[first]) - before.states[first]
    share = share_of_trust(before, after, first, second)
    off = share * distance(forwards[:, :2]) + (1 - share) * distance(backwards[:, :2])
    growth = share * np.abs(forwards[:, 2]) + (1 - share) * np.abs(backwards[:, 2])
    unforeseen = np.abs(after.log_heights[second] - before.log_heights[first])
    return off, np.minimum(growth, unforeseen)


def share_of_trust(before: Motions, after: Motions, first: IntArray, second: IntArray) -> Values:
    """(P,) what the motion up to the first row weighs, beside that from the second on."""
    one, other = before.trust[first] + _LEAST_TRUST, after.trust[second] + _LEAST_TRUST
    share: Values = one / (one + other)
    return share


def camera_shake(paths: Paths, before: Motions, after: Motions) -> Values:
    """(N,) pixels that the median person of the row's frame misses; 0 where there are few."""
    numbers, moment = np.unique(paths.frames, return_inverse=True)
    there = paths.steps + 1
    off = misses(before, after, paths.steps, there)[0][:, None]
    shake: Values = medians_of_many(moment[there], off, len(numbers))[moment, 0]
    return shake


def count_on(counts: IntArray) -> IntArray:
    """0, 1, ... up to each count, one after the other."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)


def touching(frames: IntArray, xyxy: Values) -> Iterator[Pairs]:
    """The pairs of boxes of a frame that share an area or an edge, each once, some at a time.

    Boxes are ordered by frame and left edge; each is held against the next, the one after it and
    so on, as long as any reaches so far.
    """
    order = np.lexsort((xyxy[:, 0], frames))
    frames, (left, top, right, bottom) = frames[order], xyxy[order].T
    row, lag = np.arange(len(frames)), 0
    while len(row):
        lag += 1
        row = row[row + lag < len(frames)]
        row = row[(frames[row + lag] == frames[row]) & (left[row + lag] <= right[row])]
        other = row + lag
        level = (top[row] <= bottom[other]) & (top[other] <= bottom[row])
        yield order[row[level]], order[other[level]]
