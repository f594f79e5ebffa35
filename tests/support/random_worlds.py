"""Random sequences with ties, touching, equal and missing boxes, to compare scorers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from support.oracles import World, as_rows, as_table

from mot.motfile import MotRows

Table = npt.NDArray[np.float64]

# IoUs of exactly 0, 1/4, 1/3, 1/2 and 1, many of them twice; one box has no area.
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


def mot_rows(
    length: int, kinds: Sequence[int], flags: Sequence[float] = (1,)
) -> st.SearchStrategy[MotRows]:
    """Rows in any order, each id once per frame."""
    key = st.tuples(st.integers(1, length), st.sampled_from(IDS))
    row = st.tuples(st.sampled_from(BOXES), st.sampled_from(flags), st.sampled_from(kinds))
    return st.dictionaries(key, row, max_size=20).map(
        lambda rows: as_rows([(*key, *box, flag, kind) for key, (box, flag, kind) in rows.items()])
    )


@st.composite
def worlds(
    draw: st.DrawFn, kinds: Sequence[int] = MOT_KINDS, flags: Sequence[float] = (0, 0.5, 1, 1, 1, 1)
) -> World:
    """The result has its own boxes, those of the gt, or those with permuted ids."""
    length = draw(st.integers(1, 5))
    gt = draw(mot_rows(length, kinds, flags))
    how = draw(st.sampled_from(["independent", "equal", "swapped"]))
    if how == "independent":
        return World(gt, draw(mot_rows(length, kinds)), length)
    result = as_table(gt)
    result[:, 6] = 1
    if how == "swapped":
        late = result[:, 0] > draw(st.integers(0, length))
        order = draw(st.permutations(IDS))
        result[late, 1] = np.array(order)[np.searchsorted(IDS, result[late, 1])]
    return World(gt, as_rows(result), length)


def crowd(seed: int, tracks: int, grid: int, frames: int = 3, kinds: Sequence[int] = (1,)) -> World:
    """Boxes of few sizes at few positions with many ties; some frames are empty."""
    rng = np.random.default_rng(seed)
    gt = _crowd_table(rng, tracks, grid, frames, kinds)
    result = _crowd_table(rng, max(1, tracks + int(rng.integers(-2, 3))), grid, frames, kinds)
    result[:, 6] = 1
    return World(as_rows(gt), as_rows(result), frames)


def _crowd_table(
    rng: np.random.Generator, tracks: int, grid: int, frames: int, kinds: Sequence[int]
) -> Table:
    count = frames * tracks
    frame, number = np.divmod(np.arange(count), tracks)
    corner, size = rng.integers(0, grid, (count, 2)), rng.choice([1, 2, 3, 5], (count, 2))
    if rng.random() < 0.2:
        corner = corner + rng.random((count, 2))
    flag, kind = rng.random(count) < rng.choice([0.6, 1]), rng.choice(kinds, count)
    table = np.column_stack([frame + 1, 3 * number, corner, size, flag, kind]).astype(float)
    kept = rng.random(count) < rng.choice([0.4, 0.9, 1])
    kept &= (rng.random(frames) > 0.2)[frame]
    return table[rng.permutation(np.flatnonzero(kept))]


def walk(seed: int, tracks: int, grid: int, frames: int = 8) -> World:
    """Boxes that move by one pixel, tracked with gaps and id swaps."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-1, 2, (frames, tracks, 2)) * (rng.random((frames, tracks, 1)) < 0.4)
    corner = rng.integers(0, grid, (tracks, 2)) + steps.cumsum(axis=0)
    own = np.tile(np.arange(tracks), (frames, 1))
    swapped_ids = own.copy()
    for frame in np.flatnonzero(rng.random(frames) < 0.3):
        swapped_ids[frame:] = swapped_ids[frame:, rng.permutation(tracks)]
    off = rng.integers(-1, 2, corner.shape) * (rng.random((frames, tracks, 1)) < 0.3)
    size = rng.integers(2, 5, 2)
    gt = _walk_table(rng, corner, size, own)
    result = _walk_table(rng, corner + off, size, 5 * swapped_ids)
    result[:, 6:] = 1
    return World(as_rows(gt), as_rows(result), frames)


def _walk_table(
    rng: np.random.Generator,
    corner: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
) -> Table:
    """From (frames, tracks, 2) corners and (frames, tracks) ids."""
    frames, tracks = ids.shape
    count = frames * tracks
    present = (rng.random((frames, tracks)) < 0.85) & (rng.random((frames, 1)) < 0.9)
    frame = np.repeat(np.arange(1, frames + 1), tracks)
    flag, kind = rng.random(count) < 0.9, rng.choice((1, 1, 1, 2, 8), count)
    sizes = np.tile(size, (count, 1))
    table = np.column_stack([frame, ids.ravel(), corner.reshape(-1, 2), sizes, flag, kind])
    return table[rng.permutation(np.flatnonzero(present))].astype(float)
