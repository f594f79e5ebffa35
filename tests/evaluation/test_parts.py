"""Overlaps, sums and assignments of evaluation equal plain loops, dense arrays and SciPy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from support.oracles import as_rows
from trackeval.datasets import MotChallenge2DBox

import mot.evaluation.scene
import mot.evaluation.sums
from mot.evaluation.assignment import best_pairs_by_frame, most_in_common, settle, settle_few
from mot.evaluation.scene import BoxTable, Pairs, SequencePairs, make_scene
from mot.evaluation.sums import sums_of_result, sums_of_truth

quick = settings(deadline=None, max_examples=150)
Matrix = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
EPS = float(np.finfo(np.float64).eps)


def iou(a: Box, b: Box) -> float:
    """Of left, top, width and height, as TrackEval has it."""
    a, b = (a[0], a[1], a[0] + a[2], a[1] + a[3]), (b[0], b[1], b[0] + b[2], b[1] + b[3])
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    area, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    union = area + other - shared
    return shared / union if min(area, other, union) > EPS else 0.0


def overlaps_by_loop(truth: Sequence, result: Sequence) -> dict[tuple[int, int], float]:
    """By row numbers, of rows (frame, box)."""
    return {
        (i, j): iou(box, other)
        for (i, (frame, box)), (j, (other_frame, other)) in itertools.product(
            enumerate(truth), enumerate(result)
        )
        if frame == other_frame and iou(box, other) > 0
    }


def overlaps_found(scene: SequencePairs) -> dict[tuple[int, int], float]:
    pairs = scene.pairs
    rows = scene.truth.rows[pairs.truth].tolist(), scene.result.rows[pairs.result].tolist()
    assert (np.diff(pairs.truth) >= 0).all()
    assert len(set(zip(*rows, strict=True))) == len(pairs)
    return dict(zip(zip(*rows, strict=True), pairs.iou.tolist(), strict=True))


def scene_of_boxes(truth: Sequence, result: Sequence, length: int) -> SequencePairs:
    tables = [[(f, i, *box, 1, 1) for i, (f, box) in enumerate(rows)] for rows in (truth, result)]
    return make_scene(as_rows(tables[0]), as_rows(tables[1]), length)


FEW = st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, 5.0])
PLACE = FEW | st.sampled_from([-5e8, 4.99e8, 1e6]) | st.floats(-5e8, 5e8)
SIZE = st.sampled_from([0.0, 1.0, 2.0, 5.0, 1e-9, 5e8]) | st.floats(0, 5e8)


def rows_of_boxes(last: int) -> st.SearchStrategy[list[tuple[int, Box]]]:
    frame = st.sampled_from(sorted({1, 2, 3, last - 1, last}))
    near = st.tuples(FEW, FEW, FEW.map(abs), FEW.map(abs))
    return st.lists(st.tuples(frame, near | st.tuples(PLACE, PLACE, SIZE, SIZE)), max_size=12)


class TestOverlaps:
    @quick
    @given(rows_of_boxes(4), rows_of_boxes(4), st.sampled_from([1, 2, 5, 1 << 16]))
    def test_equal_a_double_loop(self, truth, result, block) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mot.evaluation.scene, "_BLOCK", block)
            scene = scene_of_boxes(truth, result, 4)
        assert overlaps_found(scene) == overlaps_by_loop(truth, result)

    @settings(quick, max_examples=30)
    @given(rows_of_boxes(100_000), rows_of_boxes(100_000))
    def test_over_many_frames(self, truth, result) -> None:
        scene = scene_of_boxes(truth, result, 100_000)
        assert overlaps_found(scene) == overlaps_by_loop(truth, result)

    @pytest.mark.parametrize("spread", [1, 5, 50])
    def test_of_many_boxes_equal_trackeval_s(self, spread) -> None:
        chance = np.random.default_rng(spread)
        corners = spread * chance.random((2, 400, 2))
        a, b = (np.column_stack([corner, np.ones((400, 2))]) for corner in corners)
        scene = scene_of_boxes([(1, box) for box in a], [(1, box) for box in b], 1)
        theirs = MotChallenge2DBox._calculate_box_ious(a, b)
        pairs = zip(*(each.tolist() for each in np.nonzero(theirs)), strict=True)
        assert overlaps_found(scene) == {pair: theirs[pair] for pair in pairs}

    def test_a_speck_within_a_box_has_no_area(self) -> None:
        """Less than 2.2e-16 square pixels, on either side, as in TrackEval."""
        box, speck, crumb = (0, 0, 10, 10), (1, 1, 1e-8, 1e-8), (1, 1, 1e-7, 1e-7)
        rows = [[(1, box)], [(1, speck), (1, crumb)]]
        assert overlaps_by_loop(*rows).keys() == {(0, 1)}
        for truth, result in (rows, rows[::-1]):
            found = overlaps_found(scene_of_boxes(truth, result, 1))
            assert found == overlaps_by_loop(truth, result) != {}

    def test_boxes_that_touch_share_nothing(self) -> None:
        truth, beside, below = (0, 0, 10, 10), (10, 0, 10, 10), (0, 10, 10, 10)
        assert not len(scene_of_boxes([(1, truth)], [(1, beside), (1, below)], 1).pairs)


def scene_of_overlaps(matrices: Sequence[Matrix], seed: int = 0) -> SequencePairs:
    """A frame for each matrix of overlaps; all ids are new, pairs in any order within a row."""
    sides = [_side([matrix.shape[axis] for matrix in matrices]) for axis in (0, 1)]
    frame, row, column = _entries(matrices)
    truth, result = sides[0].starts[frame] + row, sides[1].starts[frame] + column
    values = np.array([matrices[f][r, c] for f, r, c in zip(frame, row, column, strict=True)])
    order = np.lexsort((np.random.default_rng(seed).random(len(truth)), truth))
    pairs = Pairs(truth[order], result[order], values.reshape(-1)[order])
    return SequencePairs(len(matrices), *sides, pairs)


def _side(counts: Sequence[int]) -> BoxTable:
    every = np.arange(sum(counts))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return BoxTable(np.repeat(np.arange(len(counts)), counts), every, every, starts, every)


def _entries(matrices: Sequence[Matrix]) -> npt.NDArray[np.int64]:
    """(3, E) frame, row and column of what is not zero."""
    parts = [
        np.stack([np.full(len(row), frame), row, column])
        for frame, matrix in enumerate(matrices)
        for row, column in [np.nonzero(matrix)]
    ]
    return np.concatenate(parts, axis=1)


LINES = [(1, 1), (1, 3), (3, 1), (1, 8), (8, 1), (1, 9), (9, 1), (1, 17), (1, 300), (300, 1)]
SHAPES = [*LINES, (2, 2), (2, 9), (9, 2), (7, 8), (8, 7), (16, 33), (130, 130), (129, 8), (8, 129)]
EMPTY = [(0, 0), (0, 5), (5, 0)]


def sparse(shape: tuple[int, int], density: float, seed: int = 0) -> Matrix:
    chance = np.random.default_rng([seed, *shape, int(100 * density)])
    return chance.random(shape) * (chance.random(shape) < density)


class TestSums:
    """Bit for bit those of each frame's dense matrix."""

    @pytest.mark.parametrize("density", [0.02, 0.3, 0.8, 1.0])
    @pytest.mark.parametrize("block", [1 << 17, 64])
    def test_equal_those_of_dense_matrices(self, monkeypatch, density, block) -> None:
        monkeypatch.setattr(mot.evaluation.sums, "_BLOCK", block)
        shapes = [SHAPES[i] for i in np.random.default_rng(1).permutation(len(SHAPES))] + EMPTY
        matrices = [sparse(shape, density, seed) for seed in range(3) for shape in shapes]
        self.compare(matrices)

    @pytest.mark.parametrize("shape", SHAPES + EMPTY)
    def test_of_one_frame(self, shape) -> None:
        for seed in range(20):
            self.compare([sparse(shape, 0.7, seed)])

    @quick
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6), st.integers(0))
    def test_of_any_frames(self, shapes, seed) -> None:
        self.compare([np.zeros((0, 0)), *(sparse(shape, 0.6, seed) for shape in shapes)])

    @staticmethod
    def compare(matrices: Sequence[Matrix]) -> None:
        scene = scene_of_overlaps(matrices)
        of_truth = np.concatenate([matrix.sum(1) for matrix in matrices])
        of_result = np.concatenate([matrix.sum(0) for matrix in matrices])
        assert (sums_of_truth(scene) == of_truth).all()
        assert (sums_of_result(scene) == of_result).all()


Choice = frozenset[tuple[int, int]]


def best_choices(matrix: Matrix) -> list[Choice]:
    """Of all ways to pair rows and columns: those with the largest sum, without their zeros."""
    rows, columns = matrix.shape
    if rows > columns:
        return [frozenset((r, c) for c, r in choice) for choice in best_choices(matrix.T)]
    totals: dict[Choice, float] = {}
    for order in itertools.permutations(range(columns), rows):
        pairs = [(row, column) for row, column in enumerate(order) if matrix[row, column] > 0]
        totals[frozenset(pairs)] = float(sum(matrix[pair] for pair in pairs))
    most = max(totals.values())
    return [choice for choice, total in totals.items() if total > most - 1e-12]


def random_scores(seed: int, most: int) -> Matrix:
    """Of any kind: eighths with many ties, real numbers, or real numbers with a bonus of 1000."""
    chance = np.random.default_rng(seed)
    shape = tuple(chance.integers(1, most + 1, 2))
    scores = chance.integers(0, 5, shape) / 8 if chance.random() < 0.6 else chance.random(shape)
    if chance.random() < 0.3:
        scores += 1000 * (chance.random(shape) < 0.3)
    return scores * (chance.random(shape) < chance.choice([0.3, 0.7, 1]))


def triplets(matrix: Matrix) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]


class TestAssignment:
    def test_settled_pairs_are_in_every_best_choice(self) -> None:
        for seed in range(400):
            matrix = random_scores(seed, 5)
            rows, columns, scores = triplets(matrix)
            chosen, rest = settle(rows, columns, scores, 1e-9)
            pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
            settled = {pairs[i] for i in np.flatnonzero(chosen)}
            choices = best_choices(matrix)
            assert all(settled <= choice for choice in choices)
            if not len(rest):
                assert choices == [settled]
            ends = [set(map(str, each)) for each in (rows[chosen], columns[chosen])]
            assert ends[0].isdisjoint(map(str, rows[rest]))
            assert ends[1].isdisjoint(map(str, columns[rest]))

    def test_a_few_pairs(self) -> None:
        answered = 0
        for seed in range(400):
            matrix = random_scores(seed, 4)
            rows, columns, scores = (each.tolist() for each in triplets(matrix))
            best = settle_few(rows, columns, scores)
            if best is not None:
                answered += 1
                assert best_choices(matrix) == [{(rows[i], columns[i]) for i in best}]
        assert answered > 100

    def test_each_frame_is_chosen_as_scipy_chooses(self) -> None:
        """Ties too: the very same pairs."""
        matrices = [random_scores(seed, 12) for seed in range(300)] + [np.zeros((0, 3))]
        scene = scene_of_overlaps(matrices)
        chosen = best_pairs_by_frame(scene, scene.pairs.iou)
        assert self.pairs_chosen(scene, chosen) == [self.by_scipy(matrix) for matrix in matrices]

    def test_pairs_without_a_score_are_never_chosen(self) -> None:
        matrices = [np.random.default_rng(seed).random((6, 5)) for seed in range(40)]
        scene = scene_of_overlaps(matrices)
        scores = np.where(scene.pairs.iou > 0.6, scene.pairs.iou, 0)
        found = self.pairs_chosen(scene, best_pairs_by_frame(scene, scores))
        assert found == [self.by_scipy(np.where(matrix > 0.6, matrix, 0)) for matrix in matrices]

    @staticmethod
    def by_scipy(matrix: Matrix) -> set[tuple[int, int]]:
        rows, columns = linear_sum_assignment(-matrix)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {pair for pair in pairs if matrix[pair] > EPS}

    @staticmethod
    def pairs_chosen(
        scene: SequencePairs, chosen: npt.NDArray[np.bool_]
    ) -> list[set[tuple[int, int]]]:
        found: list[set[tuple[int, int]]] = [set() for _ in range(scene.length)]
        pairs = scene.pairs[chosen]
        for truth, result in zip(pairs.truth.tolist(), pairs.result.tolist(), strict=True):
            frame = scene.truth.frames[truth]
            starts = scene.truth.starts[frame], scene.result.starts[frame]
            found[frame].add((truth - int(starts[0]), result - int(starts[1])))
        return found

    @pytest.mark.parametrize("shape", [(1, 1), (4, 4), (30, 30), (80, 7), (7, 80), (400, 300)])
    @pytest.mark.parametrize("density", [0.005, 0.05, 0.5, 1.0])
    def test_most_in_common_equals_scipy(self, shape, density) -> None:
        chance = np.random.default_rng([*shape, int(1000 * density)])
        for most in (2, 5, 1000):
            counts = chance.integers(1, most, shape) * (chance.random(shape) < density) * 1.0
            rows, columns, values = triplets(counts)
            chosen = most_in_common(rows, columns, values)
            best = counts[linear_sum_assignment(counts, maximize=True)].sum()
            assert values[chosen].sum() == best
            assert len(set(rows[chosen])) == len(set(columns[chosen])) == chosen.sum()
