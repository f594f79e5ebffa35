"""Worlds whose boxes tie, touch, coincide and go missing, for holding one scorer to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from support.oracles import World, as_rows, as_table

from mot.motfile import MotRows

Table = npt.NDArray[np.float64]

# Overlaps of exactly 0, 1/4, 1/3, 1/2 and 1, many of them twice; one box has no area.
BOXES = [
    (0, 0, 2, 2),
    (1, 0, 2, 2),
    (0, 1, 2, 2),
    (0, 0, 2, 4),
    (0, 0, 4, 2),
    (0, 0, 4, 4),
    (2, 2, 2, 2),
    (-1, 0, 2, 2),
    (-3, -5, 40, 40),
    (0.1, 0.2, 2.3, 2.7),
    (1, 1, 0, 3),
]
IDS = [0, 1, 2, 3, 5, 8, 1_000, 70_000]
MOT_KINDS = (1, 1, 1, 2, 3, 6, 7, 8, 12)


def sides(
    length: int, kinds: Sequence[int], flags: Sequence[float] = (1,)
) -> st.SearchStrategy[MotRows]:
    """Rows in any order, no id twice in a frame."""
    place = st.tuples(st.integers(1, length), st.sampled_from(IDS))
    row = st.tuples(st.sampled_from(BOXES), st.sampled_from(flags), st.sampled_from(kinds))
    return st.dictionaries(place, row, max_size=20).map(
        lambda rows: as_rows([(*p, *box, flag, kind) for p, (box, flag, kind) in rows.items()])
    )


@st.composite
def worlds(
    draw: st.DrawFn, kinds: Sequence[int] = MOT_KINDS, flags: Sequence[float] = (0, 0.5, 1, 1, 1, 1)
) -> World:
    """The result has boxes of its own, those of the truth, or those with ids that change hands."""
    length = draw(st.integers(1, 5))
    truth = draw(sides(length, kinds, flags))
    how = draw(st.sampled_from(["own", "same", "swapped"]))
    if how == "own":
        return World(truth, draw(sides(length, kinds)), length)
    result = as_table(truth)
    result[:, 6] = 1
    if how == "swapped":
        late = result[:, 0] > draw(st.integers(0, length))
        order = draw(st.permutations(IDS))
        result[late, 1] = np.array(order)[np.searchsorted(IDS, result[late, 1])]
    return World(truth, as_rows(result), length)


def crowd(seed: int, people: int, grid: int, frames: int = 3, kinds: Sequence[int] = (1,)) -> World:
    """Boxes of few sizes in few places, so that there are many ties; whole frames are missing."""
    chance = np.random.default_rng(seed)
    truth = _crowd_side(chance, people, grid, frames, kinds)
    result = _crowd_side(chance, max(1, people + int(chance.integers(-2, 3))), grid, frames, kinds)
    result[:, 6] = 1
    return World(as_rows(truth), as_rows(result), frames)


def _crowd_side(
    chance: np.random.Generator, people: int, grid: int, frames: int, kinds: Sequence[int]
) -> Table:
    count = frames * people
    frame, number = np.divmod(np.arange(count), people)
    corner, size = chance.integers(0, grid, (count, 2)), chance.choice([1, 2, 3, 5], (count, 2))
    if chance.random() < 0.2:
        corner = corner + chance.random((count, 2))
    flag, kind = chance.random(count) < chance.choice([0.6, 1]), chance.choice(kinds, count)
    table = np.column_stack([frame + 1, 3 * number, corner, size, flag, kind]).astype(float)
    kept = chance.random(count) < chance.choice([0.4, 0.9, 1])
    kept &= (chance.random(frames) > 0.2)[frame]
    return table[chance.permutation(np.flatnonzero(kept))]


def walk(seed: int, people: int, grid: int, frames: int = 8) -> World:
    """People who take steps of one pixel, followed with gaps, and with ids that change hands."""
    chance = np.random.default_rng(seed)
    steps = chance.integers(-1, 2, (frames, people, 2)) * (chance.random((frames, people, 1)) < 0.4)
    corner = chance.integers(0, grid, (people, 2)) + steps.cumsum(axis=0)
    own = np.tile(np.arange(people), (frames, 1))
    followed = own.copy()
    for frame in np.flatnonzero(chance.random(frames) < 0.3):
        followed[frame:] = followed[frame:, chance.permutation(people)]
    off = chance.integers(-1, 2, corner.shape) * (chance.random((frames, people, 1)) < 0.3)
    size = chance.integers(2, 5, 2)
    truth = _walk_side(chance, corner, size, own)
    result = _walk_side(chance, corner + off, size, 5 * followed)
    result[:, 6:] = 1
    return World(as_rows(truth), as_rows(result), frames)


def _walk_side(
    chance: np.random.Generator,
    corner: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
) -> Table:
    """From corners (frames, people, 2) and ids (frames, people)."""
    frames, people = ids.shape
    count = frames * people
    seen = (chance.random((frames, people)) < 0.85) & (chance.random((frames, 1)) < 0.9)
    frame = np.repeat(np.arange(1, frames + 1), people)
    flag, kind = chance.random(count) < 0.9, chance.choice((1, 1, 1, 2, 8), count)
    sizes = np.tile(size, (count, 1))
    table = np.column_stack([frame, ids.ravel(), corner.reshape(-1, 2), sizes, flag, kind])
    return table[chance.permutation(np.flatnonzero(seen))].astype(float)
