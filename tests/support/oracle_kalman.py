"""Shared by the tracker oracles: dense Kalman filters, IoU, gated assignment.

Written one box and one track at a time, in the matrices of the papers. One time step is one frame.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mot.types import Detections

Array = npt.NDArray[np.float64]

SAME_AXIS = np.eye(8) + np.eye(8, k=4) + np.eye(8, k=-4)  # of a position and a velocity
CHI2_95 = 9.4877  # 95 % quantile of the chi-square distribution with four degrees of freedom


def iou(a: Array, b: Array) -> float:
    """Of two xyxy boxes."""
    left, top, right, bottom = a.tolist()
    x1, y1, x2, y2 = b.tolist()
    width, height = min(right, x2) - max(left, x1), min(bottom, y2) - max(top, y1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - shared)


def assign(cost: Array, limit: float) -> list[tuple[int, int]]:
    """The cheapest pairs of a row and a column, where an unmatched pair costs `limit`.

    Each row and each column may also stay unmatched, for half of `limit`.
    """
    rows, columns = cost.shape
    if not rows or not columns:
        return []
    extended = np.full((rows + columns, rows + columns), limit / 2)
    extended[:rows, :columns] = cost
    extended[rows:, columns:] = 0
    chosen = zip(*linear_sum_assignment(extended), strict=True)
    return [(int(row), int(column)) for row, column in chosen if row < rows and column < columns]


def by_score(detections: Detections) -> list[int]:
    """Rows, highest score first, ties by box: the order of ids does not depend on that of rows."""
    keys = [(-score, *box) for score, box in zip(detections.scores, detections.boxes, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def move_box(box: Array, motion: Array) -> Array:
    """The box whose corners are moved by a (2, 3) affine."""
    return (box.reshape(2, 2) @ motion[:, :2].T + motion[:, 2]).reshape(4)


def image_scale(motion: Array) -> float:
    """The zoom of a (2, 3) affine."""
    (a, b, _), (c, d, _) = motion
    return float(abs(a * d - b * c) ** 0.5)


class BoxKalman:
    """Constant velocity of the four numbers of a box; subclasses name these and their noise.

    A paper gives standard deviations; those of velocities follow those of the four numbers.
    """

    size = 8  # of the state
    scale_powers = (0, 0)  # how the last two numbers grow with the scale of the image

    def __init__(self, box: Array) -> None:
        number = self.measure(box)
        self.mean = np.concatenate([number, np.zeros(self.size - 4)])
        self.covariance = np.diag(np.square(self.initial_noise(number)))
        self.transition = np.eye(self.size) + np.eye(self.size, k=4)  # F
        self.observation = np.eye(4, self.size)  # H

    def measure(self, box: Array) -> Array:
        raise NotImplementedError

    def initial_noise(self, number: Array) -> Array:
        raise NotImplementedError

    def process_noise(self, number: Array) -> Array:
        raise NotImplementedError

    def measurement_noise(self, number: Array) -> Array:
        raise NotImplementedError

    @property
    def box(self) -> Array:
        raise NotImplementedError

    def copy(self) -> Self:
        other = copy.copy(self)
        other.mean, other.covariance = self.mean.copy(), self.covariance.copy()
        return other

    def predict(self) -> None:
        F, Q = self.transition, np.diag(np.square(self.process_noise(self.mean[:4])))
        self.mean = F @ self.mean
        self.covariance = F @ self.covariance @ F.T + Q

    def update(self, box: Array, variance_factor: float = 1.0) -> None:
        H, S = self.observation, self.innovation_covariance(variance_factor)
        K = self.covariance @ H.T @ np.linalg.inv(S)
        self.mean = self.mean + K @ (self.measure(box) - H @ self.mean)
        self.covariance = (np.eye(self.size) - K @ H) @ self.covariance

    def innovation_covariance(self, variance_factor: float = 1.0) -> Array:
        R = np.diag(np.square(self.measurement_noise(self.mean[:4]))) * variance_factor
        return self.observation @ self.covariance @ self.observation.T + R

    def squared_mahalanobis(self, boxes: list[Array]) -> list[float]:
        """Of the predicted box and each of `boxes`."""
        precision = np.linalg.inv(self.innovation_covariance())
        residuals = [self.measure(box) - self.mean[:4] for box in boxes]
        return [float(residual @ precision @ residual) for residual in residuals]

    def warp(self, motion: Array) -> None:
        """Camera motion: centres and their velocities follow the (2, 3) affine.

        Departures from BoT-SORT, in which the 2 x 2 matrix multiplies sizes as well: sizes follow
        the scale of the motion, and the covariance between axes is dropped.
        """
        linear, shift = motion[:, :2], motion[:, 2]
        scale = image_scale(motion)
        M = np.zeros((8, 8))
        M[:2, :2] = M[4:6, 4:6] = linear
        for axis, power in zip((2, 3), self.scale_powers, strict=True):
            M[axis, axis] = M[axis + 4, axis + 4] = scale**power
        M = M[: self.size, : self.size]
        same_axis = SAME_AXIS[: self.size, : self.size]
        self.mean = M @ self.mean
        self.mean[:2] += shift
        self.covariance = M @ self.covariance @ M.T * same_axis


class AreaKalman(BoxKalman):
    """SORT and OC-SORT: centre, area, aspect; the aspect has no velocity."""

    size = 7
    scale_powers = (2, 0)

    def measure(self, box: Array) -> Array:
        w, h = box[2:] - box[:2]
        return np.array([box[0] + w / 2, box[1] + h / 2, w * h, w / h])

    def initial_noise(self, number: Array) -> Array:
        return np.sqrt([10, 10, 10, 10, 1e4, 1e4, 1e4])

    def process_noise(self, number: Array) -> Array:
        return np.sqrt([1, 1, 1, 1, 1e-2, 1e-2, 1e-4])

    def measurement_noise(self, number: Array) -> Array:
        return np.sqrt([1.0, 1, 10, 10])

    @property
    def box(self) -> Array:
        area, aspect = max(self.mean[2], 0), max(self.mean[3], 0)
        width = (area * aspect) ** 0.5
        half = np.array([width, area / width if width > 0 else 0]) / 2
        return np.concatenate([self.mean[:2] - half, self.mean[:2] + half])


class AspectKalman(BoxKalman):
    """DeepSORT and ByteTrack: centre, aspect, height; noise grows with the height."""

    scale_powers = (0, 1)

    def measure(self, box: Array) -> Array:
        w, h = box[2:] - box[:2]
        return np.array([box[0] + w / 2, box[1] + h / 2, w / h, h])

    def initial_noise(self, number: Array) -> Array:
        h = number[3]
        return np.array([h / 10, h / 10, 1e-2, h / 10, h / 16, h / 16, 1e-5, h / 16])

    def process_noise(self, number: Array) -> Array:
        h = number[3]
        return np.array([h / 20, h / 20, 1e-2, h / 20, h / 160, h / 160, 1e-5, h / 160])

    def measurement_noise(self, number: Array) -> Array:
        h = number[3]
        return np.array([h / 20, h / 20, 1e-1, h / 20])

    @property
    def box(self) -> Array:
        half = np.array([self.mean[2] * self.mean[3], self.mean[3]]) / 2
        return np.concatenate([self.mean[:2] - half, self.mean[:2] + half])


class SizeKalman(BoxKalman):
    """BoT-SORT: centre, width, height; noise grows with the width along x, the height along y."""

    scale_powers = (1, 1)

    def measure(self, box: Array) -> Array:
        size = box[2:] - box[:2]
        return np.concatenate([box[:2] + size / 2, size])

    def initial_noise(self, number: Array) -> Array:
        w, h = number[2:]
        return np.array([w / 10, h / 10, w / 10, h / 10, w / 16, h / 16, w / 16, h / 16])

    def process_noise(self, number: Array) -> Array:
        w, h = number[2:]
        return np.array([w / 20, h / 20, w / 20, h / 20, w / 160, h / 160, w / 160, h / 160])

    def measurement_noise(self, number: Array) -> Array:
        w, h = number[2:]
        return np.array([w / 20, h / 20, w / 20, h / 20])

    @property
    def box(self) -> Array:
        half = self.mean[2:4] / 2
        return np.concatenate([self.mean[:2] - half, self.mean[:2] + half])
