"""Retrieval metrics: against a plain loop over queries, on worlds with ties, junk, distractors and
zero vectors, and on cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.retrieval import (
    by_camera,
    by_frame,
    distance,
    one_by_one,
)

from mot.datasets.market import DISTRACTOR, JUNK
from mot.reid.evaluation import retrieval
from mot.reid.evaluation.retrieval import (
    IdentityEmbeddings,
    exclude_same_camera,
    exclude_sooner_than,
    retrieve,
)

RULES = {
    "camera": (exclude_same_camera, by_camera),
    "frames": (exclude_sooner_than(3), by_frame(3)),
}


def exact(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors whose products are exact in any order of summation; many are equal, some zero."""
    vectors = np.zeros((count, 6), np.float32)
    for vector in vectors:
        if rng.random() < 0.9:
            vector[rng.permutation(6)[:4]] = rng.choice([-0.5, 0.5], 4)
    return vectors


def make_embeddings(
    rng: np.random.Generator, count: int, ids: int = 8, ties: bool = True
) -> IdentityEmbeddings:
    """Ids from -1: junk and distractors too."""
    vectors = exact(rng, count) if ties else rng.normal(size=(count, 6)).astype(np.float32)
    return IdentityEmbeddings(vectors, rng.integers(-1, ids, count), rng.integers(1, 7, count))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_equals_one_query_at_a_time(seed, ties, rule, monkeypatch) -> None:
    """In blocks of several sizes."""
    rng = np.random.default_rng(seed)
    queries, gallery = make_embeddings(rng, 40, ties=ties), make_embeddings(rng, 120, ties=ties)
    exclusion, plain = RULES[rule]
    precisions, ranks = zip(*one_by_one(queries, gallery, plain), strict=True)
    for pairs in (1, 1000, 1 << 20):
        monkeypatch.setattr(retrieval, "_PAIRS", pairs)
        found = retrieve(queries, gallery, exclusion)
        np.testing.assert_array_equal(found.rank, ranks)
        np.testing.assert_allclose(found.precision, precisions, atol=1e-12)
        answered = [rank for rank in ranks if rank]
        assert 0 < len(answered) < len(ranks)
        assert found.mean_ap == pytest.approx(np.nanmean(precisions))
        for count in (1, 5, 10):
            assert found.cmc(count) == pytest.approx(np.mean([r <= count for r in answered]))


@pytest.mark.parametrize("seed", range(4))
def test_nearest_matches_and_counted_pairs(seed) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = (
        make_embeddings(rng, 30, ties=False),
        make_embeddings(rng, 80, ties=False),
    )
    found = retrieve(queries, gallery)
    counts = [0, 0]
    for row, (number, place) in enumerate(zip(queries.ids, queries.views, strict=True)):
        same, other = {}, {}
        for column, (each, camera) in enumerate(zip(gallery.ids, gallery.views, strict=True)):
            if JUNK in (number, each) or (number, place) == (each, camera):
                continue
            side = same if number == each and number != DISTRACTOR else other
            side[column] = distance(queries.vectors[row], gallery.vectors[column])
        for side, name in enumerate((same, other)):
            counts[side] += len(name)
            nearest = min(name, key=name.__getitem__) if name else -1
            assert found.nearest[row, side] == nearest
            assert found.distances[row, side] == pytest.approx(name.get(nearest, np.inf), abs=1e-6)
    assert [found.same.sum(), found.different.sum()] == counts


def line(ids: str, query: int = 1) -> retrieval.Retrieval:
    """A query at camera 1, and a gallery at camera 2 whose ids are digits, from near to far."""
    angle = np.linspace(0, 1, len(ids) + 1, dtype=np.float32)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    others = np.array([int(digit) for digit in ids.replace("J", "9")])
    others[[digit == "J" for digit in ids]] = JUNK
    gallery = IdentityEmbeddings(vectors[1:], others, np.full(len(ids), 2))
    return retrieve(IdentityEmbeddings(vectors[:1], np.array([query]), np.array([1])), gallery)


@pytest.mark.parametrize(
    ("ids", "rank", "precision"),
    [
        ("1", 1, 1.0),
        ("121", 1, (1 + 2 / 3) / 2),  # of trapezoids: (1 + (1 / 2 + 2 / 3) / 2) / 2
        ("2201", 4, 1 / 4),  # distractors count as wrong
        ("JJ1J2J1", 1, (1 + 2 / 3) / 2),  # junk does not count
        ("222222222211", 11, (1 / 11 + 2 / 12) / 2),
    ],
)
def test_by_hand(ids, rank, precision) -> None:
    found = line(ids)
    assert found.rank.tolist() == [rank]
    assert found.mean_ap == pytest.approx(precision)
    assert [found.cmc(count) for count in (1, 5, 10)] == [rank <= 1, rank <= 5, rank <= 10]


@pytest.mark.parametrize(("ids", "query"), [("234", 1), ("000", 0), ("JJ", -1), ("", 1)])
def test_queries_without_a_match_are_not_counted(ids, query) -> None:
    found = line(ids, query)
    assert not found.answerable.any()
    assert math.isnan(found.mean_ap) and math.isnan(found.cmc(1))
    assert all(math.isnan(number) for number in found.equal_error())


def test_no_queries() -> None:
    empty = IdentityEmbeddings(
        np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)
    )
    for gallery in (empty, make_embeddings(np.random.default_rng(0), 5)):
        found = retrieve(IdentityEmbeddings(gallery.vectors[:0], empty.ids, empty.views), gallery)
        assert len(found.rank) == len(found.nearest) == len(found.precision) == 0
        assert math.isnan(found.mean_ap)


def test_same_camera_is_only_excluded_for_the_same_id() -> None:
    """Nearest is the query itself, then another id in the same camera."""
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3]], np.float32)
    embeddings = IdentityEmbeddings(vectors, np.array([1, 2, 1, 1]), np.array([1, 1, 2, 1]))
    found = retrieve(embeddings[:1], embeddings)
    assert (found.rank.tolist(), found.nearest.tolist()) == ([2], [[2, 1]])


def test_constant_vectors_rank_last() -> None:
    """If all vectors are equal, or all zero, wrong matches come first."""
    ids = np.array([1] * 3 + [2] * 7)
    for vector in ([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]):
        gallery = IdentityEmbeddings(np.tile(np.float32(vector), (10, 1)), ids, np.full(10, 2))
        found = retrieve(IdentityEmbeddings(gallery.vectors[:1], ids[:1], np.array([1])), gallery)
        assert found.rank.tolist() == [8]
        assert found.mean_ap == pytest.approx((1 / 8 + 2 / 9 + 3 / 10) / 3)


def test_lengths_of_vectors_are_ignored() -> None:
    rng = np.random.default_rng(3)
    queries, gallery = (
        make_embeddings(rng, 20, ties=False),
        make_embeddings(rng, 60, ties=False),
    )
    longer = (gallery.vectors * rng.uniform(0.1, 9, (60, 1))).astype(np.float32)
    found = retrieve(queries, IdentityEmbeddings(longer, gallery.ids, gallery.views))
    np.testing.assert_array_equal(found.rank, retrieve(queries, gallery).rank)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_equal_error_of_all_pairs(overlap) -> None:
    """Ids around points on a circle, from far apart to overlapping."""
    rng = np.random.default_rng(5)
    ids = rng.integers(1, 5, 300)
    angle = ids * 1.5 * (1 - overlap) + rng.normal(0, 0.2, 300)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    embeddings = IdentityEmbeddings(vectors, ids, np.arange(300))
    threshold, share = retrieve(embeddings, embeddings).equal_error()
    apart = 1 - vectors @ vectors.T
    is_pair, same = ~np.eye(300, dtype=bool), ids[:, None] == ids
    rejected = (apart[is_pair & same] > threshold).mean()
    accepted = (apart[is_pair & ~same] <= threshold).mean()
    assert share == pytest.approx((rejected + accepted) / 2, abs=2e-3)
    assert abs(rejected - accepted) < 0.02
    assert share < 0.05 if overlap == 0 else share > 0.02


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vector_that_is_not_finite_is_named(bad) -> None:
    vectors = np.ones((4, 3), np.float32)
    vectors[2, 1] = bad
    with pytest.raises(ValueError, match="row 2 is not finite"):
        IdentityEmbeddings(vectors, np.ones(4, np.int64), np.ones(4, np.int64))


def test_shapes_that_do_not_match_are_refused() -> None:
    ids = np.ones(4, np.int64)
    for vectors, views in ((np.ones(4), ids), (np.ones((3, 2)), ids), (np.ones((4, 2)), ids[:2])):
        with pytest.raises(ValueError, match="do not match"):
            IdentityEmbeddings(vectors.astype(np.float32), ids, views)
