"""The closed form equals filterpy's matrices, step by step, for every box model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from mot.trackers.kalman import SORT_MODEL, XYAH_MODEL, XYWH_MODEL, BoxModel, KalmanFilter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import filterpy.kalman

Array = npt.NDArray[np.float64]
TRACKS = 4


class Noise(NamedTuple):
    """Standard deviations for a box in the model's axes, as the papers and their code give them."""

    first: list[float]  # of position and velocity, at first
    process: list[float]  # of position and velocity in one step
    measurement: list[float]


def sort_noise(box: Array) -> Noise:
    return Noise(
        [10**0.5] * 4 + [100, 100, 100, 0],
        [1, 1, 1, 1, 0.1, 0.1, 0.01, 0],
        [1, 1, 10**0.5, 10**0.5],
    )


def deepsort_noise(box: Array) -> Noise:
    h = box[3]
    return Noise(
        [h / 10, h / 10, 1e-2, h / 10, h / 16, h / 16, 1e-5, h / 16],
        [h / 20, h / 20, 1e-2, h / 20, h / 160, h / 160, 1e-5, h / 160],
        [h / 20, h / 20, 1e-1, h / 20],
    )


def botsort_noise(box: Array) -> Noise:
    w, h = box[2], box[3]
    return Noise(
        [w / 10, h / 10, w / 10, h / 10, w / 16, h / 16, w / 16, h / 16],
        [w / 20, h / 20, w / 20, h / 20, w / 160, h / 160, w / 160, h / 160],
        [w / 20, h / 20, w / 20, h / 20],
    )


MODELS = [
    pytest.param(SORT_MODEL, sort_noise, id="sort"),
    pytest.param(XYAH_MODEL, deepsort_noise, id="xyah"),
    pytest.param(XYWH_MODEL, botsort_noise, id="xywh"),
]


class Matrices:
    """One track in filterpy; the noise is computed from the mean at every step."""

    def __init__(self, noise: Callable[[Array], Noise], box: Array) -> None:
        self.noise = noise
        self.filter = filterpy.kalman.KalmanFilter(dim_x=8, dim_z=4)
        self.filter.x = np.concatenate([box, np.zeros(4)])[:, None]
        self.filter.P = np.diag(np.square(noise(box).first))
        self.filter.H = np.eye(4, 8)

    @property
    def box(self) -> Array:
        return self.filter.x[:4, 0]

    def predict(self, time: float) -> None:
        self.filter.F = np.eye(8) + time * np.eye(8, k=4)
        self.filter.Q = np.diag(np.square(self.noise(self.box).process)) * time
        self.filter.predict()

    def measurement_noise(self) -> Array:
        return np.diag(np.square(self.noise(self.box).measurement))

    def update(self, box: Array, factor: float) -> None:
        self.filter.update(box[:, None], R=self.measurement_noise() * factor)

    def planes(self) -> Array:
        """(5, 4): x, v, xx, xv, vv of each axis; asserts that axes are independent."""
        P, rest = self.filter.P, self.filter.P.copy()
        axes = np.arange(4)
        for rows, columns in ((0, 0), (0, 4), (4, 0), (4, 4)):
            rest[axes + rows, axes + columns] = 0
        assert not rest.any()
        x = self.filter.x[:, 0]
        return np.array([x[:4], x[4:], P.diagonal()[:4], P.diagonal(4), P.diagonal()[4:]])


class Walk:
    """Boxes on endless random walks, in the axes of a model."""

    def __init__(self, model: BoxModel, seed: int) -> None:
        self.model, self.rng = model, np.random.default_rng(seed)
        self.cxcywh = self.rng.uniform([0, 0, 20, 50], [1900, 1000, 90, 260], (TRACKS, 4))
        self.velocity = self.rng.normal(0, 3, (TRACKS, 2))

    def step(self) -> Array:
        """(4, N)"""
        self.velocity += self.rng.normal(0, 0.3, self.velocity.shape)
        self.cxcywh[:, :2] += self.velocity
        self.cxcywh[:, 2:] *= np.exp(self.rng.normal(0, 0.01, (TRACKS, 2)))
        seen = self.cxcywh + self.rng.normal(0, 1, self.cxcywh.shape)
        center, half = seen[:, :2], seen[:, 2:] / 2
        return self.model.from_xyxy(np.concatenate([center - half, center + half], axis=1)).T


def start(model: BoxModel, noise: Callable[[Array], Noise], seed: int = 0):
    walk = Walk(model, seed)
    first = walk.step()
    ours = KalmanFilter(model)
    return walk, ours, ours.initiate(first), [Matrices(noise, box) for box in first.T]


def correct(ours: KalmanFilter, state: Array, tracks: Array, boxes: Array, *factors: Array) -> None:
    """Update some of the tracks."""
    chosen = state[:, :, tracks]
    ours.update(chosen, boxes[:, tracks], *(factor[tracks] for factor in factors))
    state[:, :, tracks] = chosen


def agree(state: Array, theirs: list[Matrices]) -> None:
    expected = np.stack([track.planes() for track in theirs], axis=-1)
    np.testing.assert_allclose(state, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("model", "noise"), MODELS)
@pytest.mark.parametrize("clock", ["steady", "fractional"])
def test_equals_filterpy_over_a_long_walk(model, noise, clock) -> None:
    walk, ours, state, theirs = start(model, noise)
    agree(state, theirs)
    for step in range(250):
        time = 1.0 if clock == "steady" else float(walk.rng.uniform(0.2, 3))
        ours.predict(state, time)
        for track in theirs:
            track.predict(time)
        agree(state, theirs)
        # Some tracks are detected, in any order; at times none for long.
        seen = walk.rng.permutation(TRACKS)[: walk.rng.integers(0, TRACKS + 1)]
        seen = seen[: 0 if 100 < step < 115 else TRACKS]
        boxes, factors = walk.step(), walk.rng.uniform(0.1, 4, TRACKS)
        if step % 2:
            factors[:] = 1
            correct(ours, state, seen, boxes)
        else:
            correct(ours, state, seen, boxes, factors)
        for track in seen:
            theirs[track].update(boxes[:, track], factors[track])
        agree(state, theirs)


@pytest.mark.parametrize(("model", "noise"), MODELS)
def test_a_subset_of_tracks_is_filtered_like_all(model, noise) -> None:
    """Tracks chosen by a mask are not contiguous in memory."""
    walk, ours, full, _ = start(model, noise)
    ours.predict(full)
    chosen = np.arange(TRACKS) % 2 == 0
    part, boxes = full[..., chosen], walk.step()
    assert not part.flags.c_contiguous
    for state, seen in ((full, boxes), (part, boxes[:, chosen])):
        ours.update(state, seen)
        ours.predict(state)
    np.testing.assert_allclose(part, full[..., chosen], rtol=1e-12)


@pytest.mark.parametrize(("model", "noise"), MODELS)
@pytest.mark.parametrize("axes", [2, 4])
def test_mahalanobis_equals_the_matrix_version(model, noise, axes) -> None:
    walk, ours, state, theirs = start(model, noise)
    ours.predict(state)
    for track in theirs:
        track.predict(1.0)
    boxes = np.concatenate([walk.step(), walk.step()[:, :3]], axis=1)
    H = np.eye(axes, 8)
    expected = np.empty((TRACKS, boxes.shape[1]))
    for row, track in enumerate(theirs):
        S = H @ track.filter.P @ H.T + track.measurement_noise()[:axes, :axes]
        for column, box in enumerate(boxes.T):
            residual = (box - track.box)[:axes]
            expected[row, column] = residual @ np.linalg.inv(S) @ residual
    np.testing.assert_allclose(ours.squared_mahalanobis(state, boxes, axes), expected, rtol=1e-9)


@pytest.mark.parametrize(("model", "noise"), MODELS)
def test_no_time_changes_nothing(model, noise) -> None:
    _, ours, state, _ = start(model, noise)
    before = state.copy()
    ours.predict(state, 0.0)
    np.testing.assert_array_equal(state, before)


@pytest.mark.parametrize(("model", "_noise"), MODELS)
def test_no_tracks_and_no_measurements(model, _noise) -> None:
    ours = KalmanFilter(model)
    state = ours.initiate(np.zeros((4, 0)))
    ours.predict(state)
    ours.update(state, np.zeros((4, 0)))
    assert state.shape == (5, 4, 0)
    assert ours.squared_mahalanobis(state, np.zeros((4, 3))).shape == (0, 3)
    two = ours.initiate(np.ones((4, 2)))
    assert ours.squared_mahalanobis(two, np.zeros((4, 0))).shape == (2, 0)


@pytest.mark.parametrize(("model", "_noise"), MODELS)
def test_a_box_without_area_is_filtered_without_a_division_by_zero(model, _noise) -> None:
    ours = KalmanFilter(model)
    empty = model.from_xyxy(np.array([[5.0, 5, 5, 5]])).T
    state = ours.initiate(empty)
    for _ in range(20):
        ours.predict(state)
        ours.update(state, empty)
    np.testing.assert_allclose(state[0], empty)
    assert np.isfinite(state).all()


@pytest.mark.parametrize(("model", "_noise"), MODELS)
def test_measurements_are_unchanged(model, _noise) -> None:
    ours, boxes = KalmanFilter(model), np.full((4, 2), 7.0)
    state = ours.initiate(boxes)
    ours.predict(state)
    ours.update(state, boxes)
    assert (boxes == 7).all()
