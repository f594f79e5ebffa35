"""Every metric equals TrackEval's, on generated, random and real sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.evaluation import (
    MADE_RESULTS,
    TRACKERS,
    real,
    tracked,
    world,
)
from support.oracles import (
    BDD_CLASSES,
    SUPER_CLASSES,
    World,
    as_rows,
    as_table,
    assert_equal,
    trackeval_in_memory,
    trackeval_of_bdd,
    trackeval_of_files,
)
from support.random_worlds import MOT_KINDS, crowd, walk, worlds

import mot.evaluation.overlap_sums
import mot.evaluation.sequence_pairs
from mot.evaluation.protocols import PROTOCOLS
from mot.evaluation.score import Score, combine_scores, score_rows
from mot.motfile import find_sequences

RULES = [  # protocol, TrackEval's benchmark, with its preprocessing
    ("mot15", "MOT15", True),
    ("mot17", "MOT17", True),
    ("mot20", "MOT20", True),
    ("plain", "MOT17", False),
]
ONE_CLASS = ["dancetrack", "sportsmot"]
BDD_KINDS = (1, 1, 4, 4, 10, *BDD_CLASSES)

seeds = st.integers(0, 2**32 - 1)


def quick(examples: int) -> settings:
    return settings(deadline=None, max_examples=examples)


def ours(worlds: Sequence[World], protocol: str) -> list[Score]:
    rules = PROTOCOLS[protocol]
    return [score_rows(w.gt, w.result, w.length, rules)["pedestrian"] for w in worlds]


def assert_as_trackeval(worlds: Sequence[World], protocol: str, *rules: object) -> None:
    """Each world, and all of them combined."""
    scores = ours(worlds, protocol)
    theirs, combined = trackeval_in_memory(worlds, *rules)
    for each, their_own in zip(scores, theirs, strict=True):
        assert_equal(each, their_own)
    assert_equal(combine_scores(scores), combined, combined=True)


A, B, FAR = (0, 0, 10, 20), (4, 0, 10, 20), (500, 300, 10, 20)
BESIDE = (3, 0, 10, 20)  # overlaps A by more than 0.5
HALF = (0, 0, 10, 40)  # by exactly 0.5
EDGE_CASES = {
    "nothing at all": world([], [], 3),
    "no truth": world([], [(1, 1, *A), (3, 7, *B)], 3),
    "no result": world([(1, 1, *A), (3, 7, *B)], [], 3),
    "no row that counts": world([(1, 1, *A, 0, 1)], [(1, 1, *B)], 1),
    "one frame": world([(1, 1, *A), (1, 2, *FAR)], [(1, 5, *A)], 1),
    "perfect": world(*[[(frame, 1, *A) for frame in range(1, 11)]] * 2, 10),
    "no matches": world([(1, 1, *A)], [(1, 1, *FAR)], 1),
    "at the threshold": world([(1, 1, *A), (2, 1, *HALF)], [(1, 1, *HALF), (2, 1, *A)], 2),
    "no area": world([(1, 1, 5, 5, 0, 0), (1, 2, *A)], [(1, 1, 5, 5, 0, 0), (1, 2, *A)], 1),
    "the same box twice": world([(1, 1, *A), (1, 2, *A)], [(1, 9, *A), (1, 8, *A)], 1),
    "a symmetric swap": world(
        [(f, i, *box) for f in (1, 2) for i, box in ((1, A), (2, B))],
        [(1, 1, *A), (1, 2, *B), (2, 2, *A), (2, 1, *B)],
        2,
    ),
    "ids far apart": world([(1, 0, *A), (1, 90_000, *B)], [(1, 77_777, *A), (1, 3, *B)], 2),
    "a track with gaps": world(
        [(frame, 1, *A) for frame in range(1, 9)], [(f, 1 + f // 4, *A) for f in (1, 2, 4, 5, 8)], 8
    ),
    # One side is empty in frames 2 and 3: the match of frame 1 is still the previous one.
    "skipped frames": world(
        [(1, 1, *A), (2, 1, *A), (4, 1, *A)], [(1, 1, *A), (3, 1, *A), (4, 1, *B), (4, 2, *A)], 4
    ),
    # In frame 3 the match of frame 1 has no priority; one of frame 2 would have.
    "after a gap": world(
        [(1, 1, *A), (2, 1, *A), (3, 1, *A)],
        [(1, 1, *A), (2, 2, *FAR), (3, 1, *BESIDE), (3, 3, *A)],
        3,
    ),
    "without a gap": world(
        [(1, 1, *A), (2, 1, *A), (3, 1, *A)], [(2, 1, *A), (3, 1, *BESIDE), (3, 3, *A)], 3
    ),
    "most of a track": world(
        [(f, 1, *A) for f in range(1, 11)], [(f, 1, *A) for f in range(1, 9)], 10
    ),
    "a fifth of a track": world([(f, 1, *A) for f in range(1, 11)], [(1, 1, *A), (2, 1, *A)], 10),
    "half a flag is none": world([(1, 1, *A, 0.5, 1), (1, 2, *FAR)], [(1, 1, *A)], 1),
    "a distractor between": world(
        [(1, 1, *A), (1, 2, *B, 1, 8), (1, 3, *HALF, 0, 1)], [(1, 1, *B), (1, 2, *HALF)], 1
    ),
}


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules[0])
class TestMotChallenge:
    @pytest.mark.parametrize("name", EDGE_CASES)
    def test_edge_cases(self, rules, name) -> None:
        assert_as_trackeval([EDGE_CASES[name]], *rules)

    def test_edge_cases_combined(self, rules) -> None:
        assert_as_trackeval(list(EDGE_CASES.values()), *rules)

    @quick(50)
    @given(st.lists(worlds(), min_size=1, max_size=2))
    def test_generated_worlds(self, rules, generated) -> None:
        assert_as_trackeval(generated, *rules)

    @quick(25)
    @given(seeds, st.integers(1, 24), st.sampled_from([2, 3, 5, 10]))
    def test_crowds(self, rules, seed, tracks, grid) -> None:
        assert_as_trackeval([crowd(seed, tracks, grid, kinds=MOT_KINDS)], *rules)

    @quick(25)
    @given(seeds, st.integers(1, 12), st.sampled_from([3, 6, 12, 20]))
    def test_walks(self, rules, seed, tracks, grid) -> None:
        assert_as_trackeval([walk(seed, tracks, grid), walk(seed + 1, tracks, grid)], *rules)


def test_mot16_equals_mot17() -> None:
    assert replace(PROTOCOLS["mot16"], name="mot17") == PROTOCOLS["mot17"]
    assert_as_trackeval([walk(seed, 8, 12) for seed in range(4)], "mot16", "MOT16")


@pytest.mark.parametrize("block", [1, 3, 20])
def test_results_do_not_depend_on_block_sizes(monkeypatch, block) -> None:
    monkeypatch.setattr(mot.evaluation.sequence_pairs, "_BLOCK", block)
    monkeypatch.setattr(mot.evaluation.overlap_sums, "_BLOCK", block)
    assert_as_trackeval([walk(seed, 8, 12) for seed in range(8)], *RULES[1])
    assert_as_trackeval([crowd(seed, 16, 4) for seed in range(8)], *RULES[1])


@pytest.mark.parametrize("protocol", ONE_CLASS)
class TestOneClass:
    """With pedestrians only, these protocols equal TrackEval's MOT17."""

    @quick(25)
    @given(st.lists(worlds(kinds=(1,)), min_size=1, max_size=2))
    def test_generated_worlds(self, protocol, generated) -> None:
        assert_as_trackeval(generated, protocol, "MOT17")

    def test_crowds(self, protocol) -> None:
        assert_as_trackeval([crowd(seed, 14, 5) for seed in range(10)], protocol, "MOT17")

    def test_other_classes_are_neither_counted_nor_distractors(self, protocol) -> None:
        mixed = world([(1, 1, *A), (1, 2, *FAR, 1, 8)], [(1, 1, *A), (1, 2, *FAR)], 1)
        (found,) = ours([mixed], protocol)
        assert (found.clear.tp, found.clear.fn, found.clear.fp) == (1, 0, 1)


def assert_as_bdd(worlds: Sequence[World]) -> None:
    """Each sequence and class, the classes over all sequences, and their combinations."""
    scores = [score_rows(w.gt, w.result, w.length, PROTOCOLS["bdd100k"]) for w in worlds]
    theirs = trackeval_of_bdd(worlds)
    together = theirs.pop("COMBINED_SEQ")
    for each, classes in zip(scores, (theirs[name] for name in sorted(theirs)), strict=True):
        assert each.keys() == classes.keys()
        for name, families in classes.items():
            assert_equal(each[name], families)
    combined = {name: combine_scores([each[name] for each in scores]) for name in scores[0]}
    for name, number in combined.items():
        assert_equal(number, together[name], combined=True)
    for name, members in SUPER_CLASSES.items():
        score = combine_scores([combined[each] for each in members])
        assert_equal(score, together[name], combined=True)


class TestBdd100k:
    @quick(20)
    @given(st.lists(worlds(BDD_KINDS, (0, 1, 1, 1)), min_size=1, max_size=2))
    def test_generated_worlds(self, generated) -> None:
        assert_as_bdd([round_to_pixels(each) for each in generated])

    @quick(15)
    @given(seeds, st.integers(1, 40), st.sampled_from([3, 5, 10]))
    def test_crowds(self, seed, tracks, grid) -> None:
        assert_as_bdd([round_to_pixels(crowd(seed, tracks, grid, kinds=BDD_KINDS))])

    @pytest.mark.parametrize("tracks, seed", [(24, 1107), (30, 4008)])
    def test_the_last_bit_of_a_sum_decides_ties(self, tracks, seed) -> None:
        """TrackEval indexes these matrices by columns, which makes them contiguous by column: NumPy
        then adds columns, not rows, in eight lanes."""
        assert_as_bdd([crowd(seed, tracks, 2, kinds=(4,))])

    @pytest.mark.parametrize("inside", [10, 11, 12])
    @pytest.mark.parametrize("region", [(1, 1), (0, 4), (1, 3), (1, 8), (1, 9)])
    def test_a_result_inside_a_region(self, region, inside) -> None:
        """Ignored if more than half of its 20 pixels are inside; crowds and some classes are
        regions."""
        gt = [(1, 1, 0, 0, 40, inside, *region), (1, 2, *FAR, 1, 4)]
        result = [(1, 1, 10, 0, 10, 20, 1, 4), (1, 2, *FAR, 1, 4)]
        each = world(gt, result, 1)
        assert_as_bdd([each])
        found = score_rows(each.gt, each.result, 1, PROTOCOLS["bdd100k"])["car"]
        assert found.clear.fp == (0 if region != (1, 1) and inside > 10 else 1)


def round_to_pixels(each: World) -> World:
    """Integer boxes: TrackEval's corners then have exactly our widths and heights."""
    tables = as_table(each.gt), as_table(each.result)
    for table in tables:
        table[:, 2:6] = np.floor(table[:, 2:6])
    return World(*map(as_rows, tables), each.length)


def test_hundreds_of_boxes_in_a_frame() -> None:
    """More than the 128 numbers that NumPy adds in one block."""
    for seed, grid in enumerate([3, 9, 30, 60]):
        many = crowd(seed, 150, grid, frames=2)
        assert_as_trackeval([many], "mot17", "MOT17")


def test_thousands_of_ids() -> None:
    """More than 1000 ids on each side: most are new in each frame, a few continue."""
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(1, 21), 60)
    ids = np.arange(len(frame)) * 7 + 1
    continuing = np.arange(len(frame)) % 60 < 4
    ids[continuing] = 100_000 + np.flatnonzero(continuing) % 60
    corner = rng.integers(0, 120, (len(frame), 2))
    table = np.column_stack([frame, ids, corner, np.full((len(frame), 2), 12)] + [frame**0] * 2)
    result = table[rng.permutation(len(table))[:1000]]
    result[:, 2:4] += rng.integers(-2, 3, (len(result), 2))
    assert_as_trackeval([World(as_rows(table), as_rows(result), 20)], "mot17", "MOT17")


def test_random_worlds_contain_the_intended_cases() -> None:
    walks = [walk(seed, 6, 12) for seed in range(20)]
    gt_frames, result_frames = ([set(rows(w).frames.tolist()) for w in walks] for rows in SIDES)
    pairs = list(zip(gt_frames, result_frames, strict=True))
    assert any(gt - result and max(result) > min(gt - result) for gt, result in pairs)
    assert any(result - gt and max(gt) > min(result - gt) for gt, result in pairs)
    totals = combine_scores(ours(walks, "mot17")).combined()
    assert min(totals[name] for name in ("IDSW", "Frag", "MT", "PT", "ML", "FP", "FN")) > 0


SIDES = (lambda each: each.gt, lambda each: each.result)


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    return shared / "data"


DETECTORS = ["DPM", "FRCNN", "SDP"]
MOT17 = ["MOT17-02", "MOT17-05", "MOT17-10", "MOT17-13"]
MOT15 = ["TUD-Campus", "TUD-Stadtmitte", "PETS09-S2L1", "Venice-2"]


class TestRealSequences:
    @pytest.mark.parametrize("name", MOT17)
    def test_tracked(self, data, name) -> None:
        """Nine results of the first frames."""
        folder = data / "mot17" / name
        gt, length = real(folder, 60)
        results = [tracked(folder, d, t, length) for d in DETECTORS for t in TRACKERS]
        assert_as_trackeval([World(gt, each, length) for each in results], *RULES[1])

    @pytest.mark.parametrize("name", MOT17)
    @pytest.mark.parametrize("how", MADE_RESULTS)
    def test_made_results(self, data, name, how) -> None:
        gt, length = real(data / "mot17" / name, 60)
        assert_as_trackeval([World(gt, MADE_RESULTS[how](gt), length)], *RULES[1])

    @pytest.mark.parametrize("name", MOT15)
    def test_mot15(self, data, name) -> None:
        folder = data / "mot15" / name
        gt, length = real(folder, 100)
        results = [tracked(folder, "det", each, length) for each in TRACKERS]
        results += [make(gt) for make in MADE_RESULTS.values()]
        assert_as_trackeval([World(gt, each, length) for each in results], *RULES[0])

    def test_files_scored_by_trackevals_evaluator(self, data, tmp_path) -> None:
        worlds = {}
        for index, sequence in enumerate(find_sequences(data / "mot17")):
            gt, length = real(sequence.folder, 300)
            kinds = DETECTORS[index % 3], TRACKERS[(index + 1) % 3]
            worlds[sequence.name] = World(gt, tracked(sequence.folder, *kinds, length), length)
        theirs = trackeval_of_files(tmp_path, worlds, "MOT17")
        together = theirs.pop("COMBINED_SEQ")
        scores = dict(zip(worlds, ours(list(worlds.values()), "mot17"), strict=True))
        for name, families in theirs.items():
            assert_equal(scores[name], families)
        assert_equal(combine_scores(list(scores.values())), together, combined=True)
