"""Poles, trees, walls, hedges, vans: images with an alpha channel that stand in the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.opencv import cv2
from mot.synthetic.camera import Array, Camera
from mot.synthetic.layout import Prop
from mot.synthetic.prop_textures import PROP_TEXTURES
from mot.synthetic.scenes import stream
from mot.types import Image


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece of image and where its upper left corner goes."""

    colour: Image  # (h, w, 4) BGR times alpha, and alpha
    left: int
    top: int


class Stage:
    """Draws the props for a camera; for one that does not move, once."""

    def __init__(self, props: list[Prop], camera: Camera, seed: int) -> None:
        self.props = props
        self._pictures = [
            PROP_TEXTURES[prop.kind](prop, 1.2 * camera.focal / prop.y, stream(seed, "prop", index))
            for index, prop in enumerate(props)
        ]
        self._camera: Camera | None = None
        self._patches: list[Patch | None] = []

    def patches(self, camera: Camera) -> list[Patch | None]:
        """One for each prop; None for what is out of view."""
        if camera != self._camera:
            pairs = zip(self.props, self._pictures, strict=True)
            self._patches = [_stand(prop, image, camera) for prop, image in pairs]
            self._camera = camera
        return self._patches


def _stand(prop: Prop, image: Image, camera: Camera) -> Patch | None:
    """The image's lower edge stands on the ground at the prop's foot."""
    high = prop.height
    wide = high * image.shape[1] / image.shape[0]
    corners = _corners(prop, wide, camera)
    bounds = _bounds(corners, camera)
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    scale = image.shape[0] / high
    to_plane = np.array([[1 / scale, 0, prop.x - wide / 2], [0, -1 / scale, high], [0, 0, 1]])
    shift = np.array([[1.0, 0, -left], [0, 1.0, -top], [0, 0, 1.0]])
    size = (right - left, bottom - top)
    seen = cv2.warpPerspective(image, shift @ camera.front(prop.y) @ to_plane, size)
    if prop.kind in _BOXES:
        seen = _with_faces(np.asarray(seen, np.uint8), corners - (left, top), image)
    return Patch(np.asarray(seen, np.uint8), left, top)


_BOXES = ("wall", "kiosk")


def _corners(prop: Prop, wide: float, camera: Camera) -> Array:
    """(8, 2) pixels: the front's four corners from the lower left clockwise, then the back's."""
    left, right = prop.x - wide / 2, prop.x + wide / 2
    front = [(left, 0.0), (left, prop.height), (right, prop.height), (right, 0.0)]
    back = prop.y + prop.depth
    points = [(x, prop.y, z) for x, z in front] + [(x, back, z) for x, z in front]
    return camera.project(np.array(points).T)[:2].T


def _bounds(corners: Array, camera: Camera) -> tuple[int, int, int, int] | None:
    low = np.floor(corners.min(axis=0)) - 1
    high = np.ceil(corners.max(axis=0)) + 1
    left, top = (int(max(value, 0)) for value in low)
    right, bottom = (int(min(v, side)) for v, side in zip(high, camera.size, strict=True))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _with_faces(front: Image, corners: Array, image: Image) -> Image:
    """The top and the side that the camera sees of a box, in the tone of its front."""
    tone = image[..., :3].reshape(-1, 3).mean(axis=0)
    faces = np.zeros_like(front)
    side = (0, 1, 5, 4) if corners[4, 0] < corners[0, 0] else (3, 2, 6, 7)
    for rows, light in ((side, 0.62), ((1, 2, 6, 5), 1.22)):
        colour = (*np.minimum(tone * light, 235).tolist(), 255.0)
        points = np.round(corners[list(rows)] * 8).astype(np.int32)
        cv2.fillConvexPoly(faces, points, colour, cv2.LINE_AA, 3)
    return over(faces, front)


def over(below: Image, above: Image) -> Image:
    """Four-channel images; both already hold color times alpha."""
    clear = cv2.bitwise_not(above[..., 3])
    return np.asarray(
        cv2.add(cv2.multiply(below, cv2.merge([clear] * 4), scale=1 / 255), above), np.uint8
    )
