"""Soft shadows on the ground, of people and of things."""

from __future__ import annotations

import numpy as np

from mot.opencv import cv2
from mot.synthetic import body
from mot.synthetic.body import Array
from mot.synthetic.camera import Camera
from mot.synthetic.layout import Prop
from mot.types import Image

_SUN = (0.62, -0.22)  # where a shadow falls for a metre of height, metres
_BONES = (
    (body.HEELS, body.KNEES, 0.04), (body.KNEES, body.HIPS, 0.06), (body.HEELS, body.TOES, 0.035),
    (body.SHOULDERS, body.ELBOWS, 0.04), (body.ELBOWS, body.HANDS, 0.035),
    (body.SHOULDERS, body.HIPS, 0.1),
)  # fmt: skip


def cast_shadows(
    image: Image, world: Array, props: list[Prop], camera: Camera, strength: float
) -> None:
    """Darken the image where bodies and props keep the sun off; world: (3, S, N) spheres."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    cast = np.zeros((height, width), np.uint8)
    tone = int(255 * strength)
    for prop in props:
        _fell_prop(cast, prop, camera, tone)
    points = _fallen(world, camera)
    fixed = np.round(points[:2] * 4).astype(np.int32).T  # (N, S, 2)
    scale = camera.focal / 2 / points[2, body.HIPS]
    for spots, pixels in zip(fixed, scale.tolist(), strict=True):
        _fell(cast, spots.tolist(), pixels, tone)
    blur = max(width // 160, 1) * 2 + 1
    light = cv2.resize(cv2.bitwise_not(cv2.blur(cast, (blur, blur))), image.shape[1::-1])
    cv2.multiply(image, cv2.cvtColor(light, cv2.COLOR_GRAY2BGR), dst=image, scale=1 / 255)


def _fallen(points: Array, camera: Camera) -> Array:
    """(3, ...) in the street -> where their shadows are seen: pixel x, pixel y, depth."""
    x, y, z = points
    return camera.project(np.array([x + _SUN[0] * z, y + _SUN[1] * z, 0 * z]))


def _fell_prop(cast: Image, prop: Prop, camera: Camera, tone: int) -> None:
    low, high, depth = prop.x - prop.width / 2, prop.x + prop.width / 2, prop.y + prop.depth
    corners = [(x, y, z) for z in (0.0, prop.height) for x in (low, high) for y in (prop.y, depth)]
    outline = np.round(_fallen(np.array(corners).T, camera)[:2].T * 4).astype(np.int32)
    cv2.fillConvexPoly(cast, cv2.convexHull(outline), tone, cv2.LINE_8, 3)
    if prop.kind == "tree":
        _fell_crown(cast, prop, camera, tone * 3 // 4)


def _fell_crown(cast: Image, prop: Prop, camera: Camera, tone: int) -> None:
    """A crown is a heap of leaves: round blots side by side, more of them in the middle."""
    turns = np.arange(23) * 2.4
    away = 0.36 * np.sqrt(np.arange(23))
    heap = np.array([prop.x + away * np.cos(turns), prop.y + away * np.sin(turns), 0 * turns])
    heap[2] = 0.72 * prop.height
    for x, y, depth in _fallen(heap, camera).T.tolist():
        wide = 0.55 * camera.focal / 2 / depth
        axes = (round(wide * 8), round(wide * 8 * min(camera.height / depth, 1.0)))
        spot = (round(x * 4), round(y * 4))
        cv2.ellipse(cast, spot, axes, 0, 0, 360, tone, cv2.FILLED, cv2.LINE_8, 3)


def _fell(cast: Image, spots: list[list[int]], pixels: float, tone: int) -> None:
    """spots: where each sphere's shadow falls, in eighths of the half-size image's pixels."""
    for first, second, thick in _BONES:
        for side in (0, 1):
            wide = max(int(thick * 1.75 * pixels), 1)
            cv2.line(cast, spots[first + side], spots[second + side], tone, wide, cv2.LINE_8, 3)
    head = max(int(0.09 * pixels * 8), 4)
    cv2.circle(cast, spots[body.SKULL], head, tone, cv2.FILLED, cv2.LINE_8, 3)
    blot = (max(int(0.19 * pixels * 8), 8), max(int(0.06 * pixels * 8), 4))
    for side in (0, 1):
        foot = (spots[body.HEELS + side][0], spots[body.HEELS + side][1])
        cv2.ellipse(cast, foot, blot, 0, 0, 360, tone, cv2.FILLED, cv2.LINE_8, 3)
