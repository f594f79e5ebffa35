"""A pinhole camera over a ground plane. World axes: x to the right, y away, z up, in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mot.synthetic.scenes import Scene, stream

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    x: float
    y: float
    height: float
    yaw: float  # radians, to the left
    pitch: float  # radians, downwards
    focal: float  # pixels
    size: tuple[int, int]  # width, height in pixels

    def rotation(self) -> Array:
        """(3, 3): rows are the camera's right, down and forward in the world."""
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        return np.array([[cy, sy, 0.0], [sy * sp, -cy * sp, -cp], [-sy * cp, cy * cp, -sp]])

    def intrinsics(self) -> Array:
        width, height = self.size
        return np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1.0]])

    def position(self) -> Array:
        return np.array([self.x, self.y, self.height])

    def project(self, points: Array) -> Array:
        """(3, ...) metres -> (3, ...): pixel x, pixel y, depth in metres."""
        flat = points.reshape(3, -1)
        turn = self.rotation()
        seen: Array = turn @ flat
        seen -= (turn @ self.position())[:, None]
        scale = self.focal / np.maximum(seen[2], 0.05)
        seen[:2] *= scale
        seen[0] += self.size[0] / 2
        seen[1] += self.size[1] / 2
        return seen.reshape(points.shape)

    def depth(self, x: float, y: float) -> float:
        """How far away a place on the ground is, along the ground, straight ahead."""
        return (y - self.y) * math.cos(self.yaw) - (x - self.x) * math.sin(self.yaw)

    def plane(self, origin: Array, across: Array, along: Array) -> Array:
        """The homography from plane coordinates (a, b), at origin + a across + b along."""
        columns = np.stack([across, along, origin - self.position()], axis=1)
        homography: Array = self.intrinsics() @ self.rotation() @ columns
        return homography

    def ground(self) -> Array:
        return self.plane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))

    def front(self, depth: float) -> Array:
        """The homography of the upright plane y = depth, in (x, z)."""
        return self.plane(np.array([0, depth, 0]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))

    def half_width(self, depth: float) -> float:
        """Half the visible width at a depth, in metres, for a level camera."""
        return depth * self.size[0] / 2 / self.focal

    def widened(self, factor: float) -> Camera:
        """The same view with margins all round: the image is larger, the focal length the same.

        It is a pan that needs room, so the margins above and below are half as wide.
        """
        width, height = self.size
        return replace(self, size=(round(width * factor), round(height * (factor + 1) / 2)))


class CameraPath:
    """Where the camera is at a time: slow pan and drift, quick small sway; all of them smooth."""

    def __init__(self, scene: Scene, seed: int, size: tuple[int, int]) -> None:
        focal = size[0] / 2 / math.tan(math.radians(scene.field) / 2)
        pitch = math.radians(scene.camera_pitch)
        self.rest = Camera(0.0, 0.0, scene.camera_height, 0.0, pitch, focal, size)
        self._amount = scene.camera_motion
        self._phases = stream(seed, "camera").uniform(0, 2 * math.pi, 6)

    @property
    def margin(self) -> float:
        """How much larger than the image an image must be that covers every view."""
        return 1.0 if self._amount == 0 else 1.0 + 0.62 * self._amount

    def at(self, time: float) -> Camera:
        if self._amount == 0:
            return self.rest
        rates = np.array([0.55, 0.43, 2.1, 2.9, 0.31, 5.3])
        reach = np.array([0.11, 0.9, 0.006, 0.007, 0.45, 0.0015]) * self._amount
        pan, drift, sway, nod, walk, shake = reach * np.sin(rates * time + self._phases)
        return replace(
            self.rest,
            x=float(drift),
            y=float(walk),
            yaw=float(pan + sway),
            pitch=self.rest.pitch + float(nod + shake),
        )
