"""The street behind the people, drawn once and then moved with the camera."""

from __future__ import annotations

import numpy as np

from mot.opencv import cv2
from mot.synthetic.camera import Array, Camera
from mot.synthetic.ground import ground_image
from mot.synthetic.houses import house_image
from mot.synthetic.layout import Layout
from mot.types import Image


class Backdrop:
    """Two layers, the ground and the plane of the houses, each moved by its own homography."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self._line = layout.house_line
        self._wide = layout.camera.widened(layout.margin)
        base = int(self._wide.project(np.array([0.0, self._line, 0.0]))[1])
        self._base = int(np.clip(base, 0, self._wide.size[1] - 2))
        self._houses = house_image(layout, self._wide, seed)
        self._ground = ground_image(layout, self._wide, self._base, seed)
        self._whole = self._houses.copy()
        self._whole[self._base :] = self._ground
        self._still = layout.margin == 1.0

    def at(self, camera: Camera) -> Image:
        """A fresh image of the street from this camera."""
        if self._still:
            return self._whole.copy()
        houses = camera.front(self._line) @ np.linalg.inv(self._wide.front(self._line))
        image = cv2.warpPerspective(
            self._houses, houses, camera.size, borderMode=cv2.BORDER_REPLICATE
        )
        ground = camera.ground() @ np.linalg.inv(self._wide.ground()) @ _shifted(self._base)
        cv2.warpPerspective(
            self._ground, ground, camera.size, dst=image, borderMode=cv2.BORDER_TRANSPARENT
        )
        return np.asarray(image, np.uint8)


def _shifted(rows: int) -> Array:
    return np.array([[1.0, 0, 0], [0, 1.0, rows], [0, 0, 1.0]])
