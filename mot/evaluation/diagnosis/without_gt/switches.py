"""Suspected switches of identity: where another course of events is likelier than the one told.

At each moment between two frames, people who are near each other may have been mistaken. A path
up to the moment foretells where its person is afterwards, and a path from it on where its person
was before; the cost of joining the two grows with the miss, the change of size and that of looks.
For each pair the course told, a to a and b to b, is held against the other, a to b and b to a. A
path that ends or begins costs a fixed price, so the same sum finds two ids exchanged, an id that
passes to another's person, and a person who goes on under a new id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.diagnosis.without_gt.suspicions import (
    Claims,
    QualitySettings,
    Suspicion,
    box_of,
    claimed_steps,
    time_of,
)
from mot.evaluation.trajectories import Motions, Paths, Values, count_on, misses, touching
from mot.types import IntArray

_NONE = -1  # in place of a row: the path has ended, or not begun
_FORESIGHT = 5  # times as long as it was seen a path foretells where its person is
_LEAST_CONTRAST = 0.05  # cosine distance between people, less that of one to himself
_SAMPLE = 10_000  # rows on which the looks are gauged
_BLOCK = 1 << 22  # numbers of embeddings at a time


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """What it costs to join the path up to one row with the path from another on."""

    paths: Paths
    before: Motions
    after: Motions
    shake: Values  # (N,) pixels that the camera's motion may put any path off, at each row
    settings: QualitySettings
    usual: tuple[float, float]  # the distance of a person's looks to himself, and how much others'

    def cost(self, first: IntArray, second: IntArray) -> Values:
        """(P,) rows before and rows after the moment, either of which may be `_NONE`."""
        costs = np.where((first == _NONE) & (second == _NONE), 0.0, self.settings.end_cost)
        both = np.flatnonzero((first != _NONE) & (second != _NONE))
        first, second = first[both], second[both]
        off, growth = misses(self.before, self.after, first, second)
        costs[both] = off / self._limit(first, second)
        costs[both] += self.change(growth, first, second)
        return costs

    def _limit(self, first: IntArray, second: IntArray) -> Values:
        """(P,) pixels that a path may plausibly be off."""
        settings, before, after = self.settings, self.before, self.after
        height = np.exp((before.log_heights[first] + after.log_heights[second]) / 2)
        seconds = after.times[second] - before.times[first]
        limit: Values = height * (settings.miss + settings.miss_rate * seconds)
        limit += settings.shake * self.shake[second]
        return limit

    def change(self, growth: Values, first: IntArray, second: IntArray) -> Values:
        """(P,) of size and looks, in units of what is plausible."""
        change: Values = growth / np.log(self.settings.size_ratio)
        usual, contrast = self.usual
        if contrast >= _LEAST_CONTRAST:
            apart = looks_apart(self.before, self.after, first, second)
            change += np.clip((apart - usual) / contrast, 0, 2)
        return change


def looks_apart(before: Motions, after: Motions, first: IntArray, second: IntArray) -> Values:
    """(P,) cosine distance."""
    assert before.looks is not None and after.looks is not None
    apart = np.empty(len(first))
    step = max(1, _BLOCK // max(1, before.looks.shape[1]))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        looks = before.looks[first[part]], after.looks[second[part]]
        apart[part] = 1 - np.einsum("pd,pd->p", *looks)
    return apart


def gauge_looks(paths: Paths, before: Motions, after: Motions) -> tuple[float, float]:
    """The median distance of a person's looks to himself, and how much larger that to others is.

    So the unit fits every network that makes embeddings; (0, 0) where there are none.
    """
    if paths.looks is None or not len(paths.steps):
        return 0.0, 0.0
    steps = paths.steps[:: len(paths.steps) // _SAMPLE + 1]
    rows = np.arange(0, len(paths), len(paths) // _SAMPLE + 1)
    others = (rows + len(paths) // 2) % len(paths)
    strangers = paths.ids[rows] != paths.ids[others]
    if not strangers.any():
        return 0.0, 0.0
    usual = float(np.median(looks_apart(before, after, steps, steps + 1)))
    apart = looks_apart(before, after, rows[strangers], others[strangers])
    return usual, float(np.median(apart)) - usual


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Each id between two frames, in which it lives or just does no more or not yet."""

    frames: IntArray  # (E,) the first of the two
    before: IntArray  # (E,) its last row up to there
    after: IntArray  # (E,) its first row from there on
    places: Values  # (E, 2) in between
    heights: Values  # (E,)

    @property
    def edges(self) -> IntArray:
        """(E,) 1 where the id has ended, -1 where it has not begun, 0 where it lives."""
        ended, unborn = self.after == _NONE, self.before == _NONE
        return np.where(ended, 1, np.where(unborn, -1, 0))

    def squares(self, reach: float) -> Values:
        """(E, 4) that touch where centres are within `reach` heights of each other, each way."""
        half = (reach / 2 * self.heights)[:, None]
        return np.concatenate([self.places - half, self.places + half], axis=1)


def make_moments(courses: Courses) -> Moments:
    paths = courses.paths
    joined = paths.step_seconds <= courses.settings.restart
    broken = paths.steps[~joined]
    ends, starts = np.append(paths.lasts, broken), np.append(paths.firsts, broken + 1)
    parts = (
        _within(paths, paths.steps[joined]),
        _beyond(courses, ends, ended=True),
        _beyond(courses, starts, ended=False),
    )
    columns = ("frames", "before", "after", "places", "heights")
    return Moments(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))


def _within(paths: Paths, steps: IntArray) -> Moments:
    """From a row to the next; on a straight line where frames are missing."""
    lengths = paths.frames[steps + 1] - paths.frames[steps]
    rows, passed = np.repeat(steps, lengths), count_on(lengths)
    share = (passed + 0.5) / np.repeat(lengths, lengths)
    return Moments(
        frames=paths.frames[rows] + passed,
        before=rows,
        after=rows + 1,
        places=paths.places[rows] + (paths.places[rows + 1] - paths.places[rows]) * share[:, None],
        heights=paths.heights[rows] + (paths.heights[rows + 1] - paths.heights[rows]) * share,
    )


def _beyond(courses: Courses, rows: IntArray, ended: bool) -> Moments:
    """Where ids would be for a while after their last rows, or before their first."""
    paths, motion = courses.paths, courses.before if ended else courses.after
    patience = paths.frames_in(courses.settings.restart / 2)
    lengths = np.minimum(patience, _FORESIGHT * paths.cadence * motion.counts[rows])
    rows, passed = np.repeat(rows, lengths), count_on(lengths)
    frames = paths.frames[rows] + (passed if ended else -1 - passed)
    nothing = np.full(len(rows), _NONE)
    return Moments(
        frames=frames,
        before=rows if ended else nothing,
        after=nothing if ended else rows,
        places=motion.at(rows, frames / paths.fps + 0.5 / paths.fps)[:, :2],
        heights=np.exp(motion.log_heights[rows]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    """Pairs for which the other course of events is cheaper."""

    rows: IntArray  # (P, 4) before and after of the one, before and after of the other
    leads: Values  # (P,) by how much, in units of the least that counts

    def __getitem__(self, chosen: IntArray) -> Mistakes:
        return Mistakes(self.rows[chosen], self.leads[chosen])


def find_mistakes(courses: Courses) -> Mistakes:
    """The clearest moment of each pair of ids within each while, the clearest of all first."""
    moments = make_moments(courses)
    paths = courses.paths
    sides = np.stack([moments.before, moments.after], axis=1)
    edges, ids = moments.edges, paths.ids[sides.max(axis=1)]
    rows, leads = [np.zeros((0, 4), np.int64)], [np.zeros(0)]
    for first, second in touching(moments.frames, moments.squares(courses.settings.reach)):
        # Two ends, or two beginnings, leave nothing to exchange.
        tried = (ids[first] != ids[second]) & (edges[first] * edges[second] != 1)
        pairs = np.concatenate([sides[first[tried]], sides[second[tried]]], axis=1)
        lead = _leads(courses, pairs)
        rows.append(pairs[lead >= 1])
        leads.append(lead[lead >= 1])
    return _clearest(courses, Mistakes(np.concatenate(rows), np.concatenate(leads)))


def _leads(courses: Courses, pairs: IntArray) -> Values:
    """(P,) 0 too where the other course has a join less likely than an end and a beginning."""
    before, after, other_before, other_after = pairs.T
    told = courses.cost(before, after) + courses.cost(other_before, other_after)
    crossing = courses.cost(before, other_after), courses.cost(other_before, after)
    likely = np.maximum(*crossing) < 2 * courses.settings.end_cost
    lead: Values = likely * (told - sum(crossing)) / courses.settings.lead
    return lead


def _clearest(courses: Courses, found: Mistakes) -> Mistakes:
    paths, rows = courses.paths, found.rows
    ids = np.sort(paths.ids[np.stack([rows[:, :2].max(axis=1), rows[:, 2:].max(axis=1)])], axis=0)
    whiles = _frames_of(paths, rows) // paths.frames_in(courses.settings.spacing)
    order = np.lexsort((-found.leads, whiles, *ids))
    keys = np.stack([whiles, *ids])[:, order]
    first = np.any(np.diff(keys, axis=1, prepend=keys[:, :1] - 1) != 0, axis=0)
    chosen = order[first]
    return found[chosen[np.argsort(-found.leads[chosen], kind="stable")]]


def _frames_of(paths: Paths, rows: IntArray) -> IntArray:
    """(P,) the first frame after each moment in which a box shows what happened."""
    after = rows[:, 1::2]
    frames = np.where(after == _NONE, np.iinfo(np.int64).max, paths.frames[after])
    earliest: IntArray = frames.min(axis=1)
    return earliest


def find_switches(courses: Courses, claims: Claims) -> list[Suspicion]:
    """Exchanges, passings and restarts; an end and a beginning are explained once."""
    paths, mistakes = courses.paths, find_mistakes(courses)
    frames = _frames_of(paths, mistakes.rows)
    spent: set[tuple[bool, int]] = set()
    found = []
    columns = mistakes.rows.tolist(), frames.tolist(), mistakes.leads.tolist()
    for rows, frame, lead in zip(*columns, strict=True):
        sides = [_Side(paths, *rows[:2]), _Side(paths, *rows[2:])]
        edges = {side.edge for side in sides if side.edge}
        if edges & spent or not all(claims.is_free(side.number, frame) for side in sides):
            continue
        spent |= edges
        for side in sides:
            if not side.edge:
                claims.add(side.number, frame)
        found.append(_suspicion(paths, sides, frame, lead))
    return found


class _Side:
    """One of the two ids of a mistake."""

    def __init__(self, paths: Paths, before: int, after: int) -> None:
        self.rows = [row for row in (before, after) if row != _NONE]
        self.number = int(paths.ids[self.rows[0]])
        self.ends, self.begins = after == _NONE, before == _NONE
        self.edge = (self.ends, self.rows[0]) if len(self.rows) == 1 else None


def _suspicion(paths: Paths, sides: list[_Side], frame: int, lead: float) -> Suspicion:
    sides = sorted(sides, key=lambda side: (side.begins, side.ends, side.number))
    one, other = sides
    kind = "restart" if one.edge and other.edge else "switch"
    found = tuple(box_of(paths, row) for side in sides for row in side.rows)
    note = _note(paths, one, other)
    return Suspicion(kind, frame, (one.number, other.number), found, lead, note)


def _note(paths: Paths, one: _Side, other: _Side) -> str:
    if one.edge and other.edge:
        away = time_of(paths, one.rows[0], other.rows[0])
        return f"{other.number} begins where {one.number}, last seen {away} before, would be"
    if other.ends:
        return f"{one.number} goes on where {other.number}, which ends, would be"
    if other.begins:
        return f"{other.number} begins where {one.number} would be, which goes on elsewhere"
    return "each goes on where the other would be"


def find_jumps(courses: Courses, leap: Values, claims: Claims) -> list[Suspicion]:
    """Ids that jump, grow and change their looks so much that they likely are of two people."""
    paths, settings, here = courses.paths, courses.settings, courses.paths.steps
    limit = settings.jump + settings.jump_rate * paths.step_seconds
    limit = limit * np.maximum(paths.heights[here], paths.heights[here + 1])
    growth = misses(courses.before, courses.after, here, here + 1)[1]
    cost = leap / (limit + settings.shake * courses.shake[here + 1])
    cost += courses.change(growth, here, here + 1)
    strength = (cost - 2 * settings.end_cost) / settings.lead
    found = []
    for step, row, number, frame in claimed_steps(paths, strength, claims):
        far, time = leap[step] / paths.heights[row], time_of(paths, row, row + 1)
        note = f"jumps {far:.1f} heights in {time}, and {np.exp(growth[step]):.2f} times in size"
        pair = box_of(paths, row), box_of(paths, row + 1)
        found.append(Suspicion("switch", frame, (number,), pair, float(strength[step]), note))
    return found
