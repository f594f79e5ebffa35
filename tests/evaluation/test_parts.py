"""IoU pairs, overlap sums and assignments equal loops, dense arrays and SciPy."""

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

import mot.evaluation.overlap_sums
import mot.evaluation.sequence_pairs
from mot.evaluation.assignment import assign_by_frame, assign_few, maximize_sum, take_certain_pairs
from mot.evaluation.overlap_sums import gt_overlap_sums, result_overlap_sums
from mot.evaluation.sequence_pairs import BoxTable, Pairs, SequencePairs, pair_boxes

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


def ious_by_loop(gt: Sequence, result: Sequence) -> dict[tuple[int, int], float]:
    """IoU by row numbers, of (frame, box) rows."""
    return {
        (i, j): iou(box, other)
        for (i, (frame, box)), (j, (other_frame, other)) in itertools.product(
            enumerate(gt), enumerate(result)
        )
        if frame == other_frame and iou(box, other) > 0
    }


def found_ious(seq: SequencePairs) -> dict[tuple[int, int], float]:
    pairs = seq.pairs
    rows = seq.gt.rows[pairs.gt].tolist(), seq.result.rows[pairs.result].tolist()
    assert (np.diff(pairs.gt) >= 0).all()
    assert len(set(zip(*rows, strict=True))) == len(pairs)
    return dict(zip(zip(*rows, strict=True), pairs.iou.tolist(), strict=True))


def pairs_of_boxes(gt: Sequence, result: Sequence, length: int) -> SequencePairs:
    tables = [[(f, i, *box, 1, 1) for i, (f, box) in enumerate(rows)] for rows in (gt, result)]
    return pair_boxes(as_rows(tables[0]), as_rows(tables[1]), length)


FEW = st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, 5.0])
POSITION = FEW | st.sampled_from([-5e8, 4.99e8, 1e6]) | st.floats(-5e8, 5e8)
SIZE = st.sampled_from([0.0, 1.0, 2.0, 5.0, 1e-9, 5e8]) | st.floats(0, 5e8)


def rows_of_boxes(last: int) -> st.SearchStrategy[list[tuple[int, Box]]]:
    frame = st.sampled_from(sorted({1, 2, 3, last - 1, last}))
    near = st.tuples(FEW, FEW, FEW.map(abs), FEW.map(abs))
    return st.lists(st.tuples(frame, near | st.tuples(POSITION, POSITION, SIZE, SIZE)), max_size=12)


class TestPairs:
    @quick
    @given(rows_of_boxes(4), rows_of_boxes(4), st.sampled_from([1, 2, 5, 1 << 16]))
    def test_equal_a_double_loop(self, gt, result, block) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mot.evaluation.sequence_pairs, "_BLOCK", block)
            seq = pairs_of_boxes(gt, result, 4)
        assert found_ious(seq) == ious_by_loop(gt, result)

    @settings(quick, max_examples=30)
    @given(rows_of_boxes(100_000), rows_of_boxes(100_000))
    def test_over_many_frames(self, gt, result) -> None:
        seq = pairs_of_boxes(gt, result, 100_000)
        assert found_ious(seq) == ious_by_loop(gt, result)

    @pytest.mark.parametrize("spread", [1, 5, 50])
    def test_many_boxes_equal_trackevals(self, spread) -> None:
        rng = np.random.default_rng(spread)
        corners = spread * rng.random((2, 400, 2))
        a, b = (np.column_stack([corner, np.ones((400, 2))]) for corner in corners)
        seq = pairs_of_boxes([(1, box) for box in a], [(1, box) for box in b], 1)
        theirs = MotChallenge2DBox._calculate_box_ious(a, b)
        pairs = zip(*(each.tolist() for each in np.nonzero(theirs)), strict=True)
        assert found_ious(seq) == {pair: theirs[pair] for pair in pairs}

    def test_a_box_of_negligible_area_overlaps_nothing(self) -> None:
        """Less than 2.2e-16 square pixels, on either side, as in TrackEval."""
        box, tiny, small = (0, 0, 10, 10), (1, 1, 1e-8, 1e-8), (1, 1, 1e-7, 1e-7)
        rows = [[(1, box)], [(1, tiny), (1, small)]]
        assert ious_by_loop(*rows).keys() == {(0, 1)}
        for gt, result in (rows, rows[::-1]):
            found = found_ious(pairs_of_boxes(gt, result, 1))
            assert found == ious_by_loop(gt, result) != {}

    def test_touching_boxes_do_not_overlap(self) -> None:
        gt, beside, below = (0, 0, 10, 10), (10, 0, 10, 10), (0, 10, 10, 10)
        assert not len(pairs_of_boxes([(1, gt)], [(1, beside), (1, below)], 1).pairs)


def pairs_of_matrices(matrices: Sequence[Matrix], seed: int = 0) -> SequencePairs:
    """A frame per IoU matrix; all ids are new, pairs in random order within a row."""
    tables = [_table([matrix.shape[axis] for matrix in matrices]) for axis in (0, 1)]
    frame, row, column = _entries(matrices)
    gt, result = tables[0].starts[frame] + row, tables[1].starts[frame] + column
    values = np.array([matrices[f][r, c] for f, r, c in zip(frame, row, column, strict=True)])
    order = np.lexsort((np.random.default_rng(seed).random(len(gt)), gt))
    pairs = Pairs(gt[order], result[order], values.reshape(-1)[order])
    return SequencePairs(len(matrices), *tables, pairs)


def _table(counts: Sequence[int]) -> BoxTable:
    indices = np.arange(sum(counts))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return BoxTable(np.repeat(np.arange(len(counts)), counts), indices, indices, starts, indices)


def _entries(matrices: Sequence[Matrix]) -> npt.NDArray[np.int64]:
    """(3, E) frame, row and column of the nonzero entries."""
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
    rng = np.random.default_rng([seed, *shape, int(100 * density)])
    return rng.random(shape) * (rng.random(shape) < density)


class TestSums:
    """Bit-identical to the sums of each frame's dense matrix."""

    @pytest.mark.parametrize("density", [0.02, 0.3, 0.8, 1.0])
    @pytest.mark.parametrize("block", [1 << 17, 64])
    def test_equal_dense_sums(self, monkeypatch, density, block) -> None:
        monkeypatch.setattr(mot.evaluation.overlap_sums, "_BLOCK", block)
        shapes = [SHAPES[i] for i in np.random.default_rng(1).permutation(len(SHAPES))] + EMPTY
        matrices = [sparse(shape, density, seed) for seed in range(3) for shape in shapes]
        self.compare(matrices)

    @pytest.mark.parametrize("shape", SHAPES + EMPTY)
    def test_single_frames(self, shape) -> None:
        for seed in range(20):
            self.compare([sparse(shape, 0.7, seed)])

    @quick
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6), st.integers(0))
    def test_several_frames(self, shapes, seed) -> None:
        self.compare([np.zeros((0, 0)), *(sparse(shape, 0.6, seed) for shape in shapes)])

    @staticmethod
    def compare(matrices: Sequence[Matrix]) -> None:
        seq = pairs_of_matrices(matrices)
        gt_sums = np.concatenate([matrix.sum(1) for matrix in matrices])
        result_sums = np.concatenate([matrix.sum(0) for matrix in matrices])
        assert (gt_overlap_sums(seq) == gt_sums).all()
        assert (result_overlap_sums(seq) == result_sums).all()


Choice = frozenset[tuple[int, int]]


def best_choices(matrix: Matrix) -> list[Choice]:
    """All optimal assignments of rows and columns, without pairs of score 0."""
    rows, columns = matrix.shape
    if rows > columns:
        return [frozenset((r, c) for c, r in choice) for choice in best_choices(matrix.T)]
    totals: dict[Choice, float] = {}
    for order in itertools.permutations(range(columns), rows):
        pairs = [(row, column) for row, column in enumerate(order) if matrix[row, column] > 0]
        totals[frozenset(pairs)] = float(sum(matrix[pair] for pair in pairs))
    best = max(totals.values())
    return [choice for choice, total in totals.items() if total > best - 1e-12]


def random_scores(seed: int, max_size: int) -> Matrix:
    """Eighths with many ties or real numbers, some with a bonus of 1000."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, max_size + 1, 2))
    scores = rng.integers(0, 5, shape) / 8 if rng.random() < 0.6 else rng.random(shape)
    if rng.random() < 0.3:
        scores += 1000 * (rng.random(shape) < 0.3)
    return scores * (rng.random(shape) < rng.choice([0.3, 0.7, 1]))


def nonzero_entries(matrix: Matrix) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]


class TestAssignment:
    def test_certain_pairs_are_in_every_optimal_assignment(self) -> None:
        for seed in range(400):
            matrix = random_scores(seed, 5)
            rows, columns, scores = nonzero_entries(matrix)
            chosen, rest = take_certain_pairs(rows, columns, scores, 1e-9)
            pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
            certain = {pairs[i] for i in np.flatnonzero(chosen)}
            choices = best_choices(matrix)
            assert all(certain <= choice for choice in choices)
            if not len(rest):
                assert choices == [certain]
            ends = [set(map(str, each)) for each in (rows[chosen], columns[chosen])]
            assert ends[0].isdisjoint(map(str, rows[rest]))
            assert ends[1].isdisjoint(map(str, columns[rest]))

    def test_assign_few_finds_the_only_optimum(self) -> None:
        solved = 0
        for seed in range(400):
            matrix = random_scores(seed, 4)
            rows, columns, scores = (each.tolist() for each in nonzero_entries(matrix))
            best = assign_few(rows, columns, scores)
            if best is not None:
                solved += 1
                assert best_choices(matrix) == [{(rows[i], columns[i]) for i in best}]
        assert solved > 100

    def test_frames_are_assigned_as_by_scipy(self) -> None:
        """Including the choice among ties."""
        matrices = [random_scores(seed, 12) for seed in range(300)] + [np.zeros((0, 3))]
        seq = pairs_of_matrices(matrices)
        chosen = assign_by_frame(seq, seq.pairs.iou)
        assert self.pairs_chosen(seq, chosen) == [self.by_scipy(matrix) for matrix in matrices]

    def test_pairs_of_score_0_are_never_chosen(self) -> None:
        matrices = [np.random.default_rng(seed).random((6, 5)) for seed in range(40)]
        seq = pairs_of_matrices(matrices)
        scores = np.where(seq.pairs.iou > 0.6, seq.pairs.iou, 0)
        found = self.pairs_chosen(seq, assign_by_frame(seq, scores))
        assert found == [self.by_scipy(np.where(matrix > 0.6, matrix, 0)) for matrix in matrices]

    @staticmethod
    def by_scipy(matrix: Matrix) -> set[tuple[int, int]]:
        rows, columns = linear_sum_assignment(-matrix)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {pair for pair in pairs if matrix[pair] > EPS}

    @staticmethod
    def pairs_chosen(
        seq: SequencePairs, chosen: npt.NDArray[np.bool_]
    ) -> list[set[tuple[int, int]]]:
        found: list[set[tuple[int, int]]] = [set() for _ in range(seq.length)]
        pairs = seq.pairs[chosen]
        for gt, result in zip(pairs.gt.tolist(), pairs.result.tolist(), strict=True):
            frame = seq.gt.frames[gt]
            starts = seq.gt.starts[frame], seq.result.starts[frame]
            found[frame].add((gt - int(starts[0]), result - int(starts[1])))
        return found

    @pytest.mark.parametrize("shape", [(1, 1), (4, 4), (30, 30), (80, 7), (7, 80), (400, 300)])
    @pytest.mark.parametrize("density", [0.005, 0.05, 0.5, 1.0])
    def test_maximize_sum_equals_scipy(self, shape, density) -> None:
        rng = np.random.default_rng([*shape, int(1000 * density)])
        for limit in (2, 5, 1000):
            counts = rng.integers(1, limit, shape) * (rng.random(shape) < density) * 1.0
            rows, columns, values = nonzero_entries(counts)
            chosen = maximize_sum(rows, columns, values)
            best = counts[linear_sum_assignment(counts, maximize=True)].sum()
            assert values[chosen].sum() == best
            assert len(set(rows[chosen])) == len(set(columns[chosen])) == chosen.sum()
