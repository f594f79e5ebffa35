"""Retrieval metrics of Market-1501's protocol (Zheng et al., ICCV 2015).

Each query ranks the gallery by cosine distance. Rank-k is the share of queries with a correct match
among the k nearest. Average precision is the mean of the precisions at each match, as in Python
evaluations; the MATLAB code of the dataset uses trapezoids, which gives a little less. At equal
distances, wrong matches come first, so that constant embeddings gain nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.datasets.market import DISTRACTOR, JUNK
from mot.embeddings import cosine_distance, normalize
from mot.types import FloatArray, IndexArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

BINS = 2000  # of distances from 0 to 2
_PAIRS = 1 << 20  # distances held at a time


@dataclass(frozen=True, slots=True, eq=False)
class IdentityEmbeddings:
    """N embeddings with ids."""

    vectors: FloatArray  # (N, D); zeros if unknown
    ids: IntArray  # (N,) from 1, or DISTRACTOR, or JUNK
    views: IntArray  # (N,) camera, or frame

    def __post_init__(self) -> None:
        count = len(self.ids)
        if self.vectors.ndim != 2 or {len(self.vectors), len(self.views)} != {count}:
            shapes = self.vectors.shape, self.ids.shape, self.views.shape
            raise ValueError(f"shapes of vectors, ids and views do not match: {shapes}")
        finite = np.isfinite(self.vectors).all(axis=1)
        if not finite.all():
            raise ValueError(f"vectors: row {int(finite.argmin())} is not finite")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: IndexArray) -> IdentityEmbeddings:
        return IdentityEmbeddings(self.vectors[rows], self.ids[rows], self.views[rows])


# (Q, G) pairs of queries and gallery that are excluded from the ranking.
Exclusion = Callable[[IdentityEmbeddings, IdentityEmbeddings], BoolArray]


def exclude_same_camera(queries: IdentityEmbeddings, gallery: IdentityEmbeddings) -> BoolArray:
    """Market-1501's rule: excludes the same id in the same camera."""
    same: BoolArray = queries.ids[:, None] == gallery.ids
    same &= queries.views[:, None] == gallery.views
    return same


def exclude_sooner_than(gap: int) -> Exclusion:
    """The rule of sequences: excludes everything sooner than `gap` frames after the query."""

    def exclude(queries: IdentityEmbeddings, gallery: IdentityEmbeddings) -> BoolArray:
        sooner: BoolArray = gallery.views < queries.views[:, None] + gap
        return sooner

    return exclude


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """Result of Q queries in a gallery."""

    precision: Values  # (Q,) average precision; NaN if there is no correct match
    rank: IntArray  # (Q,) of the nearest correct match, from 1; 0 if there is none
    nearest: IntArray  # (Q, 2) gallery rows of the nearest correct and wrong match; -1: none
    distances: FloatArray  # (Q, 2) to them; infinite if there is none
    same: IntArray  # (BINS,) histogram of the distances between pairs with the same id
    different: IntArray  # (BINS,) between pairs with different ids

    @property
    def answerable(self) -> BoolArray:
        """(Q,) queries with a correct match; metrics are over these."""
        return self.rank > 0

    @property
    def mean_ap(self) -> float:
        """Mean average precision (mAP)."""
        return _mean(self.precision[self.answerable])

    def cmc(self, k: int) -> float:
        """Share of queries with a correct match among the k nearest, rank-k."""
        return _mean(self.rank[self.answerable] <= k)

    def equal_error(self) -> tuple[float, float]:
        """Distance threshold with equal error rates of both kinds of pairs, and this rate.

        NaN if there are no pairs of either kind.
        """
        if not self.same.any() or not self.different.any():
            return float("nan"), float("nan")
        rejected = 1 - np.cumsum(self.same) / self.same.sum()
        accepted = np.cumsum(self.different) / self.different.sum()
        edge = int((accepted >= rejected).argmax())
        return 2 * (edge + 1) / BINS, float(rejected[edge] + accepted[edge]) / 2


def _mean(values: npt.NDArray[np.float64] | BoolArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def retrieve(
    queries: IdentityEmbeddings,
    gallery: IdentityEmbeddings,
    exclusion: Exclusion = exclude_same_camera,
) -> Retrieval:
    """Ranks the gallery for each query; queries with the id DISTRACTOR or JUNK have no match."""
    gallery = IdentityEmbeddings(normalize(gallery.vectors), gallery.ids, gallery.views)
    step = max(1, _PAIRS // max(1, len(gallery)))
    starts = range(0, max(1, len(queries)), step)
    parts = [_retrieve_block(queries[at : at + step], gallery, exclusion) for at in starts]
    return Retrieval(
        np.concatenate([part.precision for part in parts]),
        np.concatenate([part.rank for part in parts]),
        np.concatenate([part.nearest for part in parts]),
        np.concatenate([part.distances for part in parts]),
        np.sum([part.same for part in parts], axis=0),
        np.sum([part.different for part in parts], axis=0),
    )


def _retrieve_block(
    queries: IdentityEmbeddings, gallery: IdentityEmbeddings, exclusion: Exclusion
) -> Retrieval:
    """Few enough queries that all distances fit into memory; the gallery is normalized."""
    if not len(gallery) or not len(queries):
        return _no_matches(len(queries))
    kept = (gallery.ids != JUNK) & (queries.ids != JUNK)[:, None] & ~exclusion(queries, gallery)
    correct = kept & (queries.ids[:, None] == gallery.ids) & (gallery.ids != DISTRACTOR)
    wrong = kept & ~correct
    distance = cosine_distance(normalize(queries.vectors), gallery.vectors)
    order = _order(distance, kept, correct)
    ranked = np.take_along_axis(correct, order, axis=1)
    nearest = np.stack([_first(order, correct), _first(order, wrong)], axis=1)
    return Retrieval(
        _average_precision(ranked),
        np.where(ranked.any(axis=1), ranked.argmax(axis=1) + 1, 0),
        nearest,
        np.where(nearest >= 0, np.take_along_axis(distance, nearest, axis=1), np.float32(np.inf)),
        _histogram(distance[correct]),
        _histogram(distance[wrong]),
    )


def _no_matches(count: int) -> Retrieval:
    none = np.zeros(BINS, np.int64)
    return Retrieval(
        np.full(count, np.nan),
        np.zeros(count, np.int64),
        np.full((count, 2), -1),
        np.full((count, 2), np.inf, np.float32),
        none,
        none,
    )


def _order(distance: FloatArray, kept: BoolArray, correct: BoolArray) -> IntArray:
    """(Q, G) gallery rows from near to far, excluded ones last."""
    far = np.where(kept, distance, np.inf)  # float64, which has values between two float32
    np.nextafter(far, np.inf, out=far, where=correct)
    return far.argsort(axis=1, kind="stable")


def _first(order: IntArray, wanted: BoolArray) -> IntArray:
    """(Q,) first wanted row in this order; -1 if there is none."""
    ordered = np.take_along_axis(wanted, order, axis=1)
    first = np.take_along_axis(order, ordered.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(ordered.any(axis=1), first, -1)


def _average_precision(correct: BoolArray) -> Values:
    """(Q,) of the correct matches in their order."""
    found = correct.cumsum(axis=1)
    precision = found / np.arange(1, correct.shape[1] + 1)
    total = np.where(correct.any(axis=1), found[:, -1], np.nan)
    mean: Values = (precision * correct).sum(axis=1) / total
    return mean


def _histogram(distances: FloatArray) -> IntArray:
    return np.histogram(np.clip(distances, 0, 2), BINS, (0, 2))[0]
