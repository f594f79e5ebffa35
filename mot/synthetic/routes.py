"""Where a person enters the street and leaves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.synthetic.layout import Layout, Prop

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Route:
    start: Point
    way: Point  # a point to pass on the way
    goal: Point


def make_route(layout: Layout, rng: np.random.Generator) -> Route:
    if layout.scene.streams:
        return _in_stream(layout, rng)
    kind = rng.random()
    if kind < 0.58 or not layout.hideouts:
        return _across(layout, rng)
    if kind < 0.79:
        return _from_far(layout, rng)
    return _reversed(_from_far(layout, rng))


def _reversed(route: Route) -> Route:
    return Route(route.goal, route.way, route.start)


def _side(layout: Layout, depth: float, sign: float) -> Point:
    """Far enough out of view for two who walk side by side."""
    return sign * (float(layout.half_width(depth)) + 2.0), depth


def _depth(layout: Layout, rng: np.random.Generator) -> float:
    """Evenly over the image rather than over the ground: nearer lanes are as likely as far ones."""
    scene = layout.scene
    return float(scene.near * (scene.far / scene.near) ** rng.uniform(0.0, 0.93))


def _across(layout: Layout, rng: np.random.Generator) -> Route:
    sign = float(rng.choice([-1.0, 1.0]))
    start = _side(layout, _depth(layout, rng), sign)
    goal = _side(layout, _depth(layout, rng), -sign)
    x = float(rng.uniform(-0.4, 0.4)) * float(layout.half_width(start[1]))
    way = x, 0.5 * (start[1] + goal[1])
    return Route(start, way, goal)


def _in_stream(layout: Layout, rng: np.random.Generator) -> Route:
    """Two streams whose lanes overlap: people meet face to face in the middle of the view."""
    scene = layout.scene
    sign = float(rng.choice([-1.0, 1.0]))
    middle = 0.5 * (scene.near + scene.far)
    depth = float(np.clip(rng.normal(middle, 0.9), scene.near, scene.far))
    slant = float(rng.normal(0.0, 0.5))
    return Route(
        _side(layout, depth, sign), (0.0, depth + slant / 2), _side(layout, depth + slant, -sign)
    )


def _from_far(layout: Layout, rng: np.random.Generator) -> Route:
    """From behind a hedge or van, round its end, and off at a side; often towards the camera."""
    hideout = layout.hideouts[int(rng.integers(len(layout.hideouts)))]
    start, corner = _behind(hideout, rng)
    towards = rng.random() < 0.65
    depth = layout.scene.near * float(rng.uniform(0.8, 1.0)) if towards else _depth(layout, rng)
    return Route(start, corner, _side(layout, depth, float(rng.choice([-1.0, 1.0]))))


def _behind(hideout: Prop, rng: np.random.Generator) -> tuple[Point, Point]:
    side = float(rng.choice([-1.0, 1.0]))
    start = hideout.x + float(rng.uniform(-0.3, 0.3)) * hideout.width
    depth = hideout.y + hideout.depth + 0.6
    return (start, depth), (hideout.x + side * (hideout.width / 2 + 0.9), hideout.y + 0.3)
