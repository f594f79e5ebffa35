"""People as the camera sees them in one frame: spheres in pixels, boxes, depths, views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.synthetic.body import Array, extents, pose
from mot.synthetic.camera import Camera
from mot.synthetic.crowd import People, stride
from mot.synthetic.layout import Prop


@dataclass(frozen=True, slots=True)
class Figures:
    """N people."""

    own: Array  # (3, S, N) centers of the body's spheres in its own frame, body heights
    world: Array  # (3, S, N) and in the street, metres
    boxes: Array  # (N, 4) xyxy in pixels: amodal, around all spheres
    depth: Array  # (N,) of the feet from the camera, metres
    turn: Array  # (N,) heading from the image's right, radians
    tilt: Array  # (N,) downward viewing angle of the camera, radians
    span: Array  # (N,) what a standing foot travels back, body heights
    inside: npt.NDArray[np.bool_]  # (N,) the box overlaps the image


def see_people(people: People, camera: Camera) -> Figures:
    pace = np.sqrt((people.velocity * people.velocity).sum(axis=1))
    span = 0.6 * stride(pace, people.height) / people.height * np.minimum(pace / 0.5, 1.0)
    own = pose(people.build, people.phase, span)
    world = _place(people, own)
    x, y, far = camera.project(world)
    boxes = extents(x, y, people.build.radii * (people.height * camera.focal) / far)
    away_x, away_y = people.place[:, 0] - camera.x, people.place[:, 1] - camera.y
    bearing = np.arctan2(away_y, away_x)
    distance = np.sqrt(away_x * away_x + away_y * away_y)
    width, height = camera.size
    inside = (boxes[:, 0] < width) & (boxes[:, 2] > 0) & (boxes[:, 1] < height)
    inside &= (boxes[:, 3] > 0) & (distance > 1.0)
    return Figures(
        own=own,
        world=world,
        boxes=boxes,
        depth=away_y * np.cos(camera.yaw) - away_x * np.sin(camera.yaw),
        turn=people.heading - bearing + np.pi / 2,
        tilt=np.arctan2(camera.height - 0.9, distance),
        span=span,
        inside=inside,
    )


def _place(people: People, own: Array) -> Array:
    """From the body's frame, in body heights, into the street, in metres."""
    placed = own * people.height
    cos, sin = np.cos(people.heading), np.sin(people.heading)
    ahead, left = placed[0].copy(), placed[1]
    x, y = people.place[:, 0], people.place[:, 1]
    placed[0] = x + ahead * cos - left * sin
    placed[1] = y + ahead * sin + left * cos
    return placed


def cover(figures: Figures) -> Array:
    """(N, N): the share of each row's box that the column's person hides."""
    boxes = figures.boxes
    share = overlap(boxes, boxes)
    share *= figures.depth[:, None] > figures.depth
    return share


def overlap(boxes: Array, others: Array) -> Array:
    """(N, M): the share of each box that lies within each other box."""
    left, top, right, bottom = boxes.T[:, :, None]
    wide = np.minimum(right, others[:, 2]) - np.maximum(left, others[:, 0])
    high = np.minimum(bottom, others[:, 3]) - np.maximum(top, others[:, 1])
    common = np.maximum(wide, 0)
    common *= np.maximum(high, 0)
    common /= np.maximum((right - left) * (bottom - top), 1e-6)
    return np.asarray(common)


def prop_boxes(props: list[Prop], camera: Camera) -> Array:
    """(P, 5): xyxy of what each prop hides, and its depth."""
    if not props:
        return np.zeros((0, 5))
    low = np.array([[p.x - p.width / 2, p.y, 0.0] for p in props])
    high = np.array([[p.x + p.width / 2, p.y, p.height] for p in props])
    foot, top = camera.project(low.T), camera.project(high.T)
    depth = np.array([camera.depth(p.x, p.y) for p in props])
    return np.stack([foot[0], top[1], top[0], foot[1], depth], axis=1)


def estimate_visibility(figures: Figures, hidden: Array, props: Array, camera: Camera) -> Array:
    """(N,): what a drawing would show of each, judged from boxes alone.

    hidden: (N, N) from `cover`. People fill some three quarters of their box, props all of it.
    """
    boxes = figures.boxes
    image = np.array([[0.0, 0.0, *camera.size]])
    shown = overlap(boxes, image)[:, 0]
    shown *= np.multiply.reduce(1 - 0.75 * hidden, axis=1)
    if len(props):
        behind = figures.depth[:, None] > props[:, 4]
        shown *= np.multiply.reduce(1 - overlap(boxes, props) * behind, axis=1)
    return shown
