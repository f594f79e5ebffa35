"""Suspected id switches: moments at which swapped ids would explain the trajectories better.

At each boundary between two frames, tracks that are close may have been confused. A trajectory up
to the boundary predicts where its object is afterwards, and a trajectory from it on where its
object was before; the cost of joining two grows with the prediction error and the changes of size
and appearance. For each pair, the cost of the ids as given (a to a, b to b) is compared with that
of swapped ids (a to b, b to a). A trajectory that ends or begins has a constant cost, so that one
sum covers two ids that swap, an id that moves to another object, and an object with a new id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.diagnosis.without_gt.suspected_errors import (
    QualitySettings,
    ReportedErrors,
    SuspectedError,
    box_of,
    duration,
    unreported_steps,
)
from mot.evaluation.trajectories import (
    MotionFits,
    Trajectories,
    Values,
    count_up,
    prediction_errors,
    touching_pairs,
)
from mot.types import IntArray

_NONE = -1  # instead of a row: the trajectory has ended, or not started
_PREDICTION_RATIO = 5  # a trajectory predicts for this many times the length of its motion fit
_MIN_CONTRAST = 0.05  # cosine distance between objects, minus that within an object
_SAMPLE = 10_000  # rows for calibrating embedding distances
_BLOCK = 1 << 22  # embedding values per block


@dataclass(frozen=True, slots=True, eq=False)
class JoinCosts:
    """The cost of joining the trajectory up to one row with that from another row on."""

    trajectories: Trajectories
    before: MotionFits
    after: MotionFits
    shake: Values  # (N,) pixels of prediction error due to the camera, at each row
    settings: QualitySettings
    # Median embedding distance within an object, and how much larger it is between objects.
    calibration: tuple[float, float]

    def cost(self, first: IntArray, second: IntArray) -> Values:
        """(P,) of rows before and rows after the boundary, either of which may be `_NONE`."""
        costs = np.where((first == _NONE) & (second == _NONE), 0.0, self.settings.end_cost)
        both = np.flatnonzero((first != _NONE) & (second != _NONE))
        first, second = first[both], second[both]
        distance, growth = prediction_errors(self.before, self.after, first, second)
        costs[both] = distance / self._max_distance(first, second)
        costs[both] += self.change_cost(growth, first, second)
        return costs

    def _max_distance(self, first: IntArray, second: IntArray) -> Values:
        """(P,) plausible prediction error in pixels."""
        settings, before, after = self.settings, self.before, self.after
        height = np.exp((before.log_heights[first] + after.log_heights[second]) / 2)
        seconds = after.times[second] - before.times[first]
        limit: Values = height * (settings.max_error + settings.max_error_rate * seconds)
        limit += settings.shake_factor * self.shake[second]
        return limit

    def change_cost(self, growth: Values, first: IntArray, second: IntArray) -> Values:
        """(P,) cost of the changes of size and appearance."""
        change: Values = growth / np.log(self.settings.max_size_ratio)
        usual, contrast = self.calibration
        if contrast >= _MIN_CONTRAST:
            distance = embedding_distances(self.before, self.after, first, second)
            change += np.clip((distance - usual) / contrast, 0, 2)
        return change


def embedding_distances(
    before: MotionFits, after: MotionFits, first: IntArray, second: IntArray
) -> Values:
    """(P,) cosine distances."""
    assert before.embeddings is not None and after.embeddings is not None
    distances = np.empty(len(first))
    step = max(1, _BLOCK // max(1, before.embeddings.shape[1]))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        pair = before.embeddings[first[part]], after.embeddings[second[part]]
        distances[part] = 1 - np.einsum("pd,pd->p", *pair)
    return distances


def calibrate_embeddings(
    trajectories: Trajectories, before: MotionFits, after: MotionFits
) -> tuple[float, float]:
    """Median distance within a track, and how much larger the median between tracks is.

    This makes costs comparable for all re-ID models. (0, 0) without embeddings.
    """
    if trajectories.embeddings is None or not len(trajectories.steps):
        return 0.0, 0.0
    steps = trajectories.steps[:: len(trajectories.steps) // _SAMPLE + 1]
    rows = np.arange(0, len(trajectories), len(trajectories) // _SAMPLE + 1)
    others = (rows + len(trajectories) // 2) % len(trajectories)
    differ = trajectories.ids[rows] != trajectories.ids[others]
    if not differ.any():
        return 0.0, 0.0
    usual = float(np.median(embedding_distances(before, after, steps, steps + 1)))
    between = embedding_distances(before, after, rows[differ], others[differ])
    return usual, float(np.median(between)) - usual


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """E tracks at boundaries between two frames, where they exist, just ended or soon begin."""

    frames: IntArray  # (E,) the first of the two frames
    before: IntArray  # (E,) last row of the track up to it, or `_NONE`
    after: IntArray  # (E,) first row of the track after it, or `_NONE`
    centers: Values  # (E, 2) at the boundary
    heights: Values  # (E,)

    @property
    def states(self) -> IntArray:
        """(E,) 1 if the track has ended, -1 if it has not started, 0 if it continues."""
        return np.where(self.after == _NONE, 1, np.where(self.before == _NONE, -1, 0))

    def squares(self, reach: float) -> Values:
        """(E, 4) xyxy that touch if the centers are within `reach` heights along each axis."""
        half = (reach / 2 * self.heights)[:, None]
        return np.concatenate([self.centers - half, self.centers + half], axis=1)


def find_boundaries(costs: JoinCosts) -> Boundaries:
    trajectories = costs.trajectories
    is_joined = trajectories.step_seconds <= costs.settings.max_restart
    broken = trajectories.steps[~is_joined]
    ends = np.append(trajectories.lasts, broken)
    starts = np.append(trajectories.firsts, broken + 1)
    parts = (
        _interpolate(trajectories, trajectories.steps[is_joined]),
        _extrapolate(costs, ends, ended=True),
        _extrapolate(costs, starts, ended=False),
    )
    columns = ("frames", "before", "after", "centers", "heights")
    return Boundaries(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))


def _interpolate(trajectories: Trajectories, steps: IntArray) -> Boundaries:
    """All boundaries from a row to the next, on a straight line if frames are missing."""
    centers, heights = trajectories.centers, trajectories.heights
    lengths = trajectories.frames[steps + 1] - trajectories.frames[steps]
    rows, passed = np.repeat(steps, lengths), count_up(lengths)
    fraction = (passed + 0.5) / np.repeat(lengths, lengths)
    return Boundaries(
        frames=trajectories.frames[rows] + passed,
        before=rows,
        after=rows + 1,
        centers=centers[rows] + (centers[rows + 1] - centers[rows]) * fraction[:, None],
        heights=heights[rows] + (heights[rows + 1] - heights[rows]) * fraction,
    )


def _extrapolate(costs: JoinCosts, rows: IntArray, ended: bool) -> Boundaries:
    """The boundaries for a while after the last rows of tracks, or before their first."""
    trajectories, motion = costs.trajectories, costs.before if ended else costs.after
    max_frames = trajectories.to_frames(costs.settings.max_restart / 2)
    lengths = np.minimum(max_frames, _PREDICTION_RATIO * trajectories.cadence * motion.counts[rows])
    rows, passed = np.repeat(rows, lengths), count_up(lengths)
    frames = trajectories.frames[rows] + (passed if ended else -1 - passed)
    none = np.full(len(rows), _NONE)
    times = frames / trajectories.fps + 0.5 / trajectories.fps
    return Boundaries(
        frames=frames,
        before=rows if ended else none,
        after=none if ended else rows,
        centers=motion.predict(rows, times)[:, :2],
        heights=np.exp(motion.log_heights[rows]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Swaps:
    """P pairs of tracks at boundaries, for which swapped ids are cheaper."""

    rows: IntArray  # (P, 4) before and after of the one, before and after of the other
    margins: Values  # (P,) by how much, in units of `min_margin`

    def __getitem__(self, chosen: IntArray) -> Swaps:
        return Swaps(self.rows[chosen], self.margins[chosen])


def _find_swaps(costs: JoinCosts) -> Swaps:
    """The clearest boundary of each pair of ids in each time window, the clearest of all first."""
    boundaries = find_boundaries(costs)
    sides = np.stack([boundaries.before, boundaries.after], axis=1)
    states, ids = boundaries.states, costs.trajectories.ids[sides.max(axis=1)]
    rows, margins = [np.zeros((0, 4), np.int64)], [np.zeros(0)]
    squares = boundaries.squares(costs.settings.reach)
    for first, second in touching_pairs(boundaries.frames, squares):
        # Two ends, or two beginnings, cannot be swapped.
        tried = (ids[first] != ids[second]) & (states[first] * states[second] != 1)
        pairs = np.concatenate([sides[first[tried]], sides[second[tried]]], axis=1)
        margin = _swap_margins(costs, pairs)
        rows.append(pairs[margin >= 1])
        margins.append(margin[margin >= 1])
    return _clearest(costs, Swaps(np.concatenate(rows), np.concatenate(margins)))


def _swap_margins(costs: JoinCosts, pairs: IntArray) -> Values:
    """(P,) how much cheaper swapped ids are; 0 if a swapped join is worse than an end and a start.

    In units of `min_margin`.
    """
    before, after, other_before, other_after = pairs.T
    given = costs.cost(before, after) + costs.cost(other_before, other_after)
    swapped = costs.cost(before, other_after), costs.cost(other_before, after)
    is_plausible = np.maximum(*swapped) < 2 * costs.settings.end_cost
    margin: Values = is_plausible * (given - sum(swapped)) / costs.settings.min_margin
    return margin


def _clearest(costs: JoinCosts, swaps: Swaps) -> Swaps:
    trajectories, rows = costs.trajectories, swaps.rows
    either = np.stack([rows[:, :2].max(axis=1), rows[:, 2:].max(axis=1)])
    ids = np.sort(trajectories.ids[either], axis=0)
    window = trajectories.to_frames(costs.settings.spacing)
    windows = _first_frames_after(trajectories, rows) // window
    order = np.lexsort((-swaps.margins, windows, *ids))
    keys = np.stack([windows, *ids])[:, order]
    first = np.any(np.diff(keys, axis=1, prepend=keys[:, :1] - 1) != 0, axis=0)
    chosen = order[first]
    return swaps[chosen[np.argsort(-swaps.margins[chosen], kind="stable")]]


def _first_frames_after(trajectories: Trajectories, rows: IntArray) -> IntArray:
    """(P,) the first frame after each boundary with a box of either track."""
    after = rows[:, 1::2]
    frames = np.where(after == _NONE, np.iinfo(np.int64).max, trajectories.frames[after])
    earliest: IntArray = frames.min(axis=1)
    return earliest


def find_switches(costs: JoinCosts, reported: ReportedErrors) -> list[SuspectedError]:
    """Swaps, ids that move to another object, and restarts; each track end is explained once."""
    trajectories, swaps = costs.trajectories, _find_swaps(costs)
    frames = _first_frames_after(trajectories, swaps.rows)
    explained: set[tuple[bool, int]] = set()
    found = []
    columns = swaps.rows.tolist(), frames.tolist(), swaps.margins.tolist()
    for rows, frame, margin in zip(*columns, strict=True):
        tracks = [_SwappedTrack(trajectories, *rows[:2]), _SwappedTrack(trajectories, *rows[2:])]
        ends = {track.end for track in tracks if track.end}
        if ends & explained or not all(reported.is_free(track.id, frame) for track in tracks):
            continue
        explained |= ends
        for track in tracks:
            if not track.end:
                reported.add(track.id, frame)
        found.append(_switch_error(trajectories, tracks, frame, margin))
    return found


class _SwappedTrack:
    """One of the two tracks of a swap."""

    def __init__(self, trajectories: Trajectories, before: int, after: int) -> None:
        self.rows = [row for row in (before, after) if row != _NONE]
        self.id = int(trajectories.ids[self.rows[0]])
        self.ends, self.begins = after == _NONE, before == _NONE
        self.end = (self.ends, self.rows[0]) if len(self.rows) == 1 else None


def _switch_error(
    trajectories: Trajectories, tracks: list[_SwappedTrack], frame: int, margin: float
) -> SuspectedError:
    tracks = sorted(tracks, key=lambda track: (track.begins, track.ends, track.id))
    one, other = tracks
    if one.end and other.end:
        away = duration(trajectories, one.rows[0], other.rows[0])
        note = f"{other.id} begins where {one.id}, which ended {away} before, is expected"
    elif other.ends:
        note = f"{one.id} continues where {other.id}, which ends, is expected"
    elif other.begins:
        note = f"{other.id} begins where {one.id}, which continues elsewhere, is expected"
    else:
        note = "each continues where the other is expected"
    return SuspectedError(
        "restart" if one.end and other.end else "switch",
        frame,
        (one.id, other.id),
        tuple(box_of(trajectories, row) for track in tracks for row in track.rows),
        margin,
        note,
    )


def find_jumps(costs: JoinCosts, jumps: Values, reported: ReportedErrors) -> list[SuspectedError]:
    """Ids whose position, size and appearance change so much that they likely move to another."""
    trajectories, settings = costs.trajectories, costs.settings
    here = trajectories.steps
    limit = settings.jump + settings.jump_rate * trajectories.step_seconds
    limit = limit * np.maximum(trajectories.heights[here], trajectories.heights[here + 1])
    growth = prediction_errors(costs.before, costs.after, here, here + 1)[1]
    cost = jumps / (limit + settings.shake_factor * costs.shake[here + 1])
    cost += costs.change_cost(growth, here, here + 1)
    strength = (cost - 2 * settings.end_cost) / settings.min_margin
    found = []
    for step, row, number, frame in unreported_steps(trajectories, strength, reported):
        far = jumps[step] / trajectories.heights[row]
        time = duration(trajectories, row, row + 1)
        note = f"jumps {far:.1f} heights in {time}, size changes {np.exp(growth[step]):.2f} times"
        pair = box_of(trajectories, row), box_of(trajectories, row + 1)
        found.append(SuspectedError("switch", frame, (number,), pair, float(strength[step]), note))
    return found
