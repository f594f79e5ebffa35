"""How well vectors tell people apart: Market-1501's protocol (Zheng et al., ICCV 2015).

Each query ranks the gallery by cosine distance. Rank-k is the share of queries with a right one
among the k nearest. The average precision of a query is the plain one: the mean of the precisions
at each right one, as Python evaluations have it; the MATLAB code of the data set takes trapezoids,
which gives a little less. Of equal distances the wrong ones come first, so that an embedder gains
nothing by not deciding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.embeddings import cosine_distance, normalize
from mot.types import FloatArray, IndexArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

OTHER, JUNK = 0, -1  # ids: somebody whom no query looks for; what must not count at all
BINS = 2000  # of distances from 0 to 2
_PAIRS = 1 << 20  # distances held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """N people as they were seen."""

    vectors: FloatArray  # (N, D); zeros where nothing is known
    ids: IntArray  # (N,) who: from 1, or OTHER, or JUNK
    places: IntArray  # (N,) the camera, or the frame

    def __post_init__(self) -> None:
        count = len(self.ids)
        if self.vectors.ndim != 2 or {len(self.vectors), len(self.places)} != {count}:
            shapes = self.vectors.shape, self.ids.shape, self.places.shape
            raise ValueError(f"vectors, ids and places of the shapes {shapes} do not go together")
        sound = np.isfinite(self.vectors).all(axis=1)
        if not sound.all():
            raise ValueError(f"vectors: row {int(sound.argmin())} is not finite")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: IndexArray) -> Looks:
        return Looks(self.vectors[rows], self.ids[rows], self.places[rows])


# (Q, G) which of the gallery each query does not look at.
LeftOut = Callable[[Looks, Looks], BoolArray]


def same_camera(queries: Looks, gallery: Looks) -> BoolArray:
    """Market-1501's rule: the same person seen by the same camera."""
    same: BoolArray = queries.ids[:, None] == gallery.ids
    same &= queries.places[:, None] == gallery.places
    return same


def sooner_than(gap: int) -> LeftOut:
    """The rule of a sequence: everybody in the frames before the query's and `gap` after it."""

    def left_out(queries: Looks, gallery: Looks) -> BoolArray:
        sooner: BoolArray = gallery.places < queries.places[:, None] + gap
        return sooner

    return left_out


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """What became of Q queries among G others."""

    precision: Values  # (Q,) average precision; nan where there is no right one
    rank: IntArray  # (Q,) of the nearest right one, from 1; 0 where there is none
    nearest: IntArray  # (Q, 2) row of the gallery of the nearest right and wrong one; -1: none
    distances: FloatArray  # (Q, 2) to them; infinite where there is none
    same: IntArray  # (BINS,) pairs of the same person, by distance
    different: IntArray  # (BINS,) pairs of different people

    @property
    def answerable(self) -> BoolArray:
        """(Q,) there is a right one; all shares are of these queries."""
        return self.rank > 0

    @property
    def mean_precision(self) -> float:
        """mAP."""
        return _mean(self.precision[self.answerable])

    def within(self, count: int) -> float:
        """The share of queries with a right one among so many: rank-1, rank-5, ... of the CMC."""
        return _mean(self.rank[self.answerable] <= count)

    def equal_error(self) -> tuple[float, float]:
        """The distance at which as large a share of the pairs of the same person lies beyond it as
        of different people within it, and that share; nan where there are none of either."""
        if not self.same.any() or not self.different.any():
            return float("nan"), float("nan")
        refused = 1 - np.cumsum(self.same) / self.same.sum()
        taken = np.cumsum(self.different) / self.different.sum()
        edge = int((taken >= refused).argmax())
        return 2 * (edge + 1) / BINS, float(refused[edge] + taken[edge]) / 2


def _mean(values: npt.NDArray[np.float64] | BoolArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def retrieve(queries: Looks, gallery: Looks, left_out: LeftOut = same_camera) -> Retrieval:
    """Look for each query among the gallery. A query of no known person has no right one."""
    gallery = Looks(normalize(gallery.vectors), gallery.ids, gallery.places)
    step = max(1, _PAIRS // max(1, len(gallery)))
    starts = range(0, max(1, len(queries)), step)
    return _joined([_ranked(queries[at : at + step], gallery, left_out) for at in starts])


def _ranked(queries: Looks, gallery: Looks, left_out: LeftOut) -> Retrieval:
    """Of so few queries that all their distances fit."""
    if not len(gallery) or not len(queries):
        return _unanswered(len(queries))
    kept = (gallery.ids != JUNK) & (queries.ids != JUNK)[:, None] & ~left_out(queries, gallery)
    right = kept & (queries.ids[:, None] == gallery.ids) & (gallery.ids != OTHER)
    wrong = kept & ~right
    distance = cosine_distance(normalize(queries.vectors), gallery.vectors)
    order = _order(distance, kept, right)
    right_places = np.take_along_axis(right, order, axis=1)
    nearest = np.stack([_first(order, right), _first(order, wrong)], axis=1)
    return Retrieval(
        _average_precision(right_places),
        np.where(right_places.any(axis=1), right_places.argmax(axis=1) + 1, 0),
        nearest,
        np.where(nearest >= 0, np.take_along_axis(distance, nearest, axis=1), np.float32(np.inf)),
        _counts(distance[right]),
        _counts(distance[wrong]),
    )


def _unanswered(count: int) -> Retrieval:
    none = np.zeros(BINS, np.int64)
    return Retrieval(
        np.full(count, np.nan),
        np.zeros(count, np.int64),
        np.full((count, 2), -1),
        np.full((count, 2), np.inf, np.float32),
        none,
        none,
    )


def _order(distance: FloatArray, kept: BoolArray, right: BoolArray) -> IntArray:
    """(Q, G) the gallery from near to far, what is left out at the end."""
    far = np.where(kept, distance, np.inf)  # float64, which has room between two float32
    np.nextafter(far, np.inf, out=far, where=right)
    return far.argsort(axis=1, kind="stable")


def _first(order: IntArray, wanted: BoolArray) -> IntArray:
    """(Q,) the first of the wanted ones; -1 where there is none."""
    ordered = np.take_along_axis(wanted, order, axis=1)
    first = np.take_along_axis(order, ordered.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(ordered.any(axis=1), first, -1)


def _average_precision(right: BoolArray) -> Values:
    """(Q,) of right ones in their order."""
    found = right.cumsum(axis=1)
    precision = found / np.arange(1, right.shape[1] + 1)
    total = np.where(right.any(axis=1), found[:, -1], np.nan)
    mean: Values = (precision * right).sum(axis=1) / total
    return mean


def _counts(distances: FloatArray) -> IntArray:
    return np.histogram(np.clip(distances, 0, 2), BINS, (0, 2))[0]


def _joined(parts: list[Retrieval]) -> Retrieval:
    return Retrieval(
        np.concatenate([part.precision for part in parts]),
        np.concatenate([part.rank for part in parts]),
        np.concatenate([part.nearest for part in parts]),
        np.concatenate([part.distances for part in parts]),
        np.sum([part.same for part in parts], axis=0),
        np.sum([part.different for part in parts], axis=0),
    )
