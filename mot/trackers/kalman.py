"""The constant-velocity Kalman filter of SORT and its successors, in closed form for many tracks.

The four axes of a box move independently and all noise is diagonal, so the 8x8 filter of each track
splits into four 2x2 filters, which need no matrix: a position `x`, its velocity `v` and their
covariance `xx`, `xv`, `vv`. A state is one (5, 4, N) array: these five planes, for four axes and N
tracks. The time unit is one frame at 30 frames a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.boxes import Boxes

State = npt.NDArray[np.float64]  # (5, 4, N): x, v, xx, xv, vv
Measurement = npt.NDArray[np.float64]  # (4, N)
Weights = tuple[float, float, float, float]

_MIN_VARIANCE = 1e-24


@dataclass(frozen=True, slots=True)
class BoxModel:
    """The four axes of a filtered box, and their standard deviations.

    A deviation is relative to the axis that `scale_axis` names; absolute where it is -1.
    """

    from_xyxy: Callable[[Boxes], Boxes]
    to_xyxy: Callable[[Boxes], Boxes]
    scale_axis: tuple[int, int, int, int]
    measurement: Weights
    position: Weights  # process noise of one time unit
    velocity: Weights
    initial_position: Weights
    initial_velocity: Weights
    size_power: tuple[int, int]  # powers of the image's scale by which the last two axes grow


# SORT filters center, area and aspect; its aspect has no velocity.
SORT_MODEL = BoxModel(
    from_xyxy=boxes.xyxy_to_xysr,
    to_xyxy=boxes.xysr_to_xyxy,
    scale_axis=(-1, -1, -1, -1),
    measurement=(1.0, 1.0, 10.0**0.5, 10.0**0.5),
    position=(1.0, 1.0, 1.0, 1.0),
    velocity=(0.1, 0.1, 0.01, 0.0),
    initial_position=(10.0**0.5,) * 4,
    initial_velocity=(100.0, 100.0, 100.0, 0.0),
    size_power=(2, 0),
)
# DeepSORT and ByteTrack filter center, aspect and height; deviations grow with the height.
XYAH_MODEL = BoxModel(
    from_xyxy=boxes.xyxy_to_xyah,
    to_xyxy=boxes.xyah_to_xyxy,
    scale_axis=(3, 3, -1, 3),
    measurement=(1 / 20, 1 / 20, 1e-1, 1 / 20),
    position=(1 / 20, 1 / 20, 1e-2, 1 / 20),
    velocity=(1 / 160, 1 / 160, 1e-5, 1 / 160),
    initial_position=(2 / 20, 2 / 20, 1e-2, 2 / 20),
    initial_velocity=(10 / 160, 10 / 160, 1e-5, 10 / 160),
    size_power=(0, 1),
)
# BoT-SORT filters center, width and height; horizontal deviations grow with the width.
XYWH_MODEL = BoxModel(
    from_xyxy=boxes.xyxy_to_cxcywh,
    to_xyxy=boxes.cxcywh_to_xyxy,
    scale_axis=(2, 3, 2, 3),
    measurement=(1 / 20,) * 4,
    position=(1 / 20,) * 4,
    velocity=(1 / 160,) * 4,
    initial_position=(2 / 20,) * 4,
    initial_velocity=(10 / 160,) * 4,
    size_power=(1, 1),
)


class KalmanFilter:
    """Predicts and corrects states in place, under one box model."""

    def __init__(self, model: BoxModel) -> None:
        self._size_power = model.size_power
        self._measurement = _Variance(model.scale_axis, model.measurement)
        self._process = _Variance(model.scale_axis, model.position, model.velocity)
        self._initial = _Variance(model.scale_axis, model.initial_position, model.initial_velocity)

    def initiate(self, measurement: Measurement) -> State:
        """States at rest at the measured boxes."""
        state = np.zeros((5, *measurement.shape))
        state[0] = measurement
        state[2::2] = self._initial.at(measurement)
        return state

    def predict(self, state: State, time: float = 1.0) -> None:
        """Predict the states after `time`."""
        noise = self._process.at(state[0])
        if time != 1:
            noise = noise * time
        state[...] = _transition(time).dot(state.reshape(5, -1)).reshape(state.shape)
        state[2::2] += noise

    def update(
        self,
        state: State,
        measurement: Measurement,
        noise_factor: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Correct each state; `noise_factor` scales the variance of each measurement."""
        noise = self.measurement_variance(state[0])
        total = state[2] + (noise if noise_factor is None else noise * noise_factor)
        covariance = state[2:4]  # xx and xv: of position and velocity with the measured position
        gain = covariance / total
        state[4] -= gain[1] * state[3]
        state[:2] += gain * (measurement - state[0])
        covariance *= 1 - gain[0]

    def warp(self, state: State, motion: npt.NDArray[np.float64]) -> None:
        """Move the states along with an image that moved by a (2, 3) affine.

        Centers are transformed, sizes are scaled. The covariance of x and y that a rotation causes
        is neglected: the axes stay independent.
        """
        linear, shift = motion[:, :2], motion[:, 2]
        state[:2, :2] = np.einsum("ij,kjn->kin", linear, state[:2, :2])
        state[0, :2] += shift[:, None]
        state[2:, :2] = np.einsum("ij,kjn->kin", np.square(linear), state[2:, :2])
        scale = abs(np.linalg.det(linear)) ** 0.5
        growth = scale ** np.array(self._size_power)[:, None]
        state[:2, 2:] *= growth
        state[2:, 2:] *= growth * growth

    def measurement_variance(self, position: Measurement) -> npt.NDArray[np.float64]:
        variance: Measurement = self._measurement.at(position)[0]
        return variance

    def squared_mahalanobis(
        self, state: State, measurement: Measurement, axes: int = 4
    ) -> npt.NDArray[np.float64]:
        """(N, M) distances of M measurements from N states, over the first `axes` axes."""
        precision = 1 / (state[2, :axes] + self.measurement_variance(state[0])[:axes])
        residual = measurement[:axes, None, :] - state[0, :axes, :, None]
        residual *= residual
        distance: Measurement = np.einsum("an,anm->nm", precision, residual)
        return distance


class _Variance:
    """Variances of the axes, linear in the squares of the positions."""

    def __init__(self, scale_axis: tuple[int, ...], *deviations: Weights) -> None:
        scaled = np.array([np.arange(4) == axis for axis in scale_axis], np.float64)
        squares = np.square(np.array(deviations))  # (K, 4)
        self._shape = (len(deviations), 4, -1)
        self._linear = (squares[:, :, None] * scaled).reshape(-1, 4)
        self._grows = bool(scaled.any())
        # An empty box has some noise too, so that the gain is never 0 / 0.
        self._constant = (squares * (1 - scaled.sum(axis=1)) + _MIN_VARIANCE).reshape(-1, 1)

    def at(self, position: Measurement) -> npt.NDArray[np.float64]:
        """(K, 4, N) for K deviations and N boxes, or (K, 4, 1) where all boxes have the same."""
        if not self._grows:
            constant: npt.NDArray[np.float64] = self._constant.reshape(self._shape)
            return constant
        variance: npt.NDArray[np.float64] = self._linear.dot(position * position)
        variance += self._constant
        return variance.reshape(self._shape)


@lru_cache(maxsize=64)
def _transition(time: float) -> npt.NDArray[np.float64]:
    """(5, 5) step of x, v, xx, xv and vv over `time`: F P F' of each 2x2 filter, written out."""
    step = np.eye(5)
    step[0, 1] = step[3, 4] = time
    step[2, 3:] = 2 * time, time * time
    return step
