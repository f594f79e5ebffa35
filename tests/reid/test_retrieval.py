"""Market-1501's protocol: held to a loop over queries in plain Python, on worlds with ties, junk,
distractors and people of whom nothing is known; and to cases worked out by hand."""

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

from mot.reid.evaluation import retrieval
from mot.reid.evaluation.retrieval import JUNK, OTHER, Looks, retrieve, same_camera, sooner_than

RULES = {"camera": (same_camera, by_camera), "frames": (sooner_than(3), by_frame(3))}


def exact(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors whose products are exact in any order of summation, and often the same; some zero."""
    vectors = np.zeros((count, 6), np.float32)
    for vector in vectors:
        if rng.random() < 0.9:
            vector[rng.permutation(6)[:4]] = rng.choice([-0.5, 0.5], 4)
    return vectors


def looks(rng: np.random.Generator, count: int, people: int = 8, ties: bool = True) -> Looks:
    """Ids from -1 on: junk and distractors too."""
    vectors = exact(rng, count) if ties else rng.normal(size=(count, 6)).astype(np.float32)
    return Looks(vectors, rng.integers(-1, people, count), rng.integers(1, 7, count))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_equals_one_query_at_a_time(seed, ties, rule, monkeypatch) -> None:
    """In blocks of any size."""
    rng = np.random.default_rng(seed)
    queries, gallery = looks(rng, 40, ties=ties), looks(rng, 120, ties=ties)
    left_out, plain = RULES[rule]
    precisions, ranks = zip(*one_by_one(queries, gallery, plain), strict=True)
    for pairs in (1, 1000, 1 << 20):
        monkeypatch.setattr(retrieval, "_PAIRS", pairs)
        found = retrieve(queries, gallery, left_out)
        np.testing.assert_array_equal(found.rank, ranks)
        np.testing.assert_allclose(found.precision, precisions, atol=1e-12)
        answered = [rank for rank in ranks if rank]
        assert 0 < len(answered) < len(ranks)
        assert found.mean_precision == pytest.approx(np.nanmean(precisions))
        for count in (1, 5, 10):
            assert found.within(count) == pytest.approx(np.mean([r <= count for r in answered]))


@pytest.mark.parametrize("seed", range(4))
def test_nearest_ones_and_pairs_are_those_that_count(seed) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = looks(rng, 30, ties=False), looks(rng, 80, ties=False)
    found = retrieve(queries, gallery)
    counts = [0, 0]
    for row, (number, place) in enumerate(zip(queries.ids, queries.places, strict=True)):
        same, other = {}, {}
        for column, (each, camera) in enumerate(zip(gallery.ids, gallery.places, strict=True)):
            if JUNK in (number, each) or (number, place) == (each, camera):
                continue
            side = same if number == each and number != OTHER else other
            side[column] = distance(queries.vectors[row], gallery.vectors[column])
        for side, name in enumerate((same, other)):
            counts[side] += len(name)
            nearest = min(name, key=name.__getitem__) if name else -1
            assert found.nearest[row, side] == nearest
            assert found.distances[row, side] == pytest.approx(name.get(nearest, np.inf), abs=1e-6)
    assert [found.same.sum(), found.different.sum()] == counts


def line(ids: str, query: int = 1) -> retrieval.Retrieval:
    """A query of this person at camera 1, and people of one digit each, from near to far, at 2."""
    angle = np.linspace(0, 1, len(ids) + 1, dtype=np.float32)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    others = np.array([int(digit) for digit in ids.replace("J", "9")])
    others[[digit == "J" for digit in ids]] = JUNK
    gallery = Looks(vectors[1:], others, np.full(len(ids), 2))
    return retrieve(Looks(vectors[:1], np.array([query]), np.array([1])), gallery)


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
    assert found.mean_precision == pytest.approx(precision)
    assert [found.within(count) for count in (1, 5, 10)] == [rank <= 1, rank <= 5, rank <= 10]


@pytest.mark.parametrize(("ids", "query"), [("234", 1), ("000", 0), ("JJ", -1), ("", 1)])
def test_who_is_not_there_is_left_out(ids, query) -> None:
    found = line(ids, query)
    assert not found.answerable.any()
    assert math.isnan(found.mean_precision) and math.isnan(found.within(1))
    assert all(math.isnan(number) for number in found.equal_error())


def test_nobody_looks_for_anybody() -> None:
    nobody = Looks(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    for gallery in (nobody, looks(np.random.default_rng(0), 5)):
        found = retrieve(Looks(gallery.vectors[:0], nobody.ids, nobody.places), gallery)
        assert len(found.rank) == len(found.nearest) == len(found.precision) == 0
        assert math.isnan(found.mean_precision)


def test_the_same_camera_is_left_out_for_the_same_person_alone() -> None:
    """The nearest is the query's own picture by its camera; then another person by that camera."""
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3]], np.float32)
    people = Looks(vectors, np.array([1, 2, 1, 1]), np.array([1, 1, 2, 1]))
    found = retrieve(people[:1], people)
    assert (found.rank.tolist(), found.nearest.tolist()) == ([2], [[2, 1]])


def test_deciding_nothing_gains_nothing() -> None:
    """Vectors that are all the same, or all unknown: the wrong ones come first."""
    ids = np.array([1] * 3 + [2] * 7)
    for vector in ([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]):
        gallery = Looks(np.tile(np.float32(vector), (10, 1)), ids, np.full(10, 2))
        found = retrieve(Looks(gallery.vectors[:1], ids[:1], np.array([1])), gallery)
        assert found.rank.tolist() == [8]
        assert found.mean_precision == pytest.approx((1 / 8 + 2 / 9 + 3 / 10) / 3)


def test_lengths_of_vectors_do_not_count() -> None:
    rng = np.random.default_rng(3)
    queries, gallery = looks(rng, 20, ties=False), looks(rng, 60, ties=False)
    longer = (gallery.vectors * rng.uniform(0.1, 9, (60, 1))).astype(np.float32)
    found = retrieve(queries, Looks(longer, gallery.ids, gallery.places))
    np.testing.assert_array_equal(found.rank, retrieve(queries, gallery).rank)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_the_equal_error_is_that_of_all_pairs(overlap) -> None:
    """Of people around points on a circle, from far apart to one upon another."""
    rng = np.random.default_rng(5)
    ids = rng.integers(1, 5, 300)
    angle = ids * 1.5 * (1 - overlap) + rng.normal(0, 0.2, 300)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    people = Looks(vectors, ids, np.arange(300))
    threshold, share = retrieve(people, people).equal_error()
    apart = 1 - vectors @ vectors.T
    is_pair, same = ~np.eye(300, dtype=bool), ids[:, None] == ids
    refused = (apart[is_pair & same] > threshold).mean()
    taken = (apart[is_pair & ~same] <= threshold).mean()
    assert share == pytest.approx((refused + taken) / 2, abs=2e-3)
    assert abs(refused - taken) < 0.02
    assert share < 0.05 if overlap == 0 else share > 0.02


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(bad) -> None:
    vectors = np.ones((4, 3), np.float32)
    vectors[2, 1] = bad
    with pytest.raises(ValueError, match="row 2 is not finite"):
        Looks(vectors, np.ones(4, np.int64), np.ones(4, np.int64))


def test_what_does_not_go_together_is_refused() -> None:
    ids = np.ones(4, np.int64)
    for vectors, places in ((np.ones(4), ids), (np.ones((3, 2)), ids), (np.ones((4, 2)), ids[:2])):
        with pytest.raises(ValueError, match="do not go together"):
            Looks(vectors.astype(np.float32), ids, places)
