"""What stands in the street: poles, trees and walls, with the circles people walk around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mot.synthetic.body import Array
from mot.synthetic.camera import Camera, CameraPath
from mot.synthetic.scenes import Scene, stream


@dataclass(frozen=True, slots=True)
class Prop:
    """An upright thing, broad side towards the camera, standing on the ground."""

    kind: str  # lamp, sign, tree, wall, hedge, kiosk, van
    x: float  # middle of its foot, metres
    y: float
    width: float  # of the part that hides people
    height: float
    depth: float = 0.3

    def circles(self) -> list[tuple[float, float, float]]:
        """What keeps people out, as (x, y, radius)."""
        radius = max(self.depth, 0.3) / 2 + 0.1
        reach = max(self.width / 2 - radius, 0.0)
        count = 1 + int(2 * reach / 0.45)
        middle = self.y + self.depth / 2
        return [(self.x + float(dx), middle, radius) for dx in np.linspace(-reach, reach, count)]


@dataclass(frozen=True, slots=True)
class Layout:
    scene: Scene
    camera: Camera  # at rest
    margin: float
    props: list[Prop]
    hideouts: list[Prop] = field(default_factory=list)  # people come from behind these
    house_line: float = 27.0  # depth of the houses, metres

    def half_width(self, depth: Array | float) -> Array:
        """Half of what is ever in view at a depth."""
        reach = np.asarray(depth) * (self.camera.half_width(1.0) * self.margin)
        return np.asarray(reach + (1.0 if self.margin > 1 else 0.0))

    def circles(self) -> Array:
        """(K, 3): all that people walk around."""
        found = [circle for prop in (*self.props, *self.hideouts) for circle in prop.circles()]
        return np.array(found).reshape(-1, 3)


Maker = Callable[[np.random.Generator, float, float], Prop]

_SLIM = {"lamp": (0.17, 5.2), "sign": (0.1, 2.6), "tree": (0.34, 6.4), "bollard": (0.26, 1.0)}
_BROAD = {"wall": (2.6, 1.5, 0.35), "hedge": (2.8, 1.25, 0.7), "kiosk": (1.5, 2.7, 1.5)}


def make_layout(scene: Scene, seed: int, path: CameraPath) -> Layout:
    rng = stream(seed, "layout")
    reach = path.rest.half_width(1.0) * path.margin
    props = _spread(scene, rng, reach, scene.walls, _broad, [])
    props += _spread(scene, rng, reach, scene.poles, _slim, props)
    hideouts = [] if scene.streams else _hideouts(scene, rng, reach)
    return Layout(scene, path.rest, path.margin, props, hideouts, house_line=scene.far + 4.0)


def _slim(rng: np.random.Generator, x: float, y: float) -> Prop:
    kind = str(rng.choice(list(_SLIM), p=[0.35, 0.15, 0.35, 0.15]))
    width, height = _SLIM[kind]
    return Prop(kind, x, y, width, height * float(rng.uniform(0.95, 1.1)), width)


def _broad(rng: np.random.Generator, x: float, y: float) -> Prop:
    kind = str(rng.choice(list(_BROAD)))
    width, height, depth = _BROAD[kind]
    return Prop(kind, x, y, width * float(rng.uniform(0.9, 1.1)), height, depth)


def _spread(
    scene: Scene, rng: np.random.Generator, reach: float, count: int, make: Maker, taken: list[Prop]
) -> list[Prop]:
    """Put things between the people, apart from each other in the view."""
    found: list[Prop] = []
    for _ in range(count * 40):
        if len(found) == count:
            break
        depth = float(rng.uniform(scene.near + 0.5, scene.near + 0.6 * (scene.far - scene.near)))
        prop = make(rng, float(rng.uniform(-0.8, 0.8)) * reach * depth, depth)
        if all(_apart(prop, other) for other in (*found, *taken)):
            found.append(prop)
    return found


def _apart(one: Prop, other: Prop) -> bool:
    gap = abs(one.x / one.y - other.x / other.y) * min(one.y, other.y)
    return gap > (one.width + other.width) / 2 + 1.2


def _hideouts(scene: Scene, rng: np.random.Generator, reach: float) -> list[Prop]:
    depth = scene.far + 0.4
    positions = np.array([-0.55, 0.5]) + rng.uniform(-0.15, 0.15, 2)
    kinds = rng.permutation(["van", "hedge"])
    return [
        Prop(str(kind), float(place) * reach * depth, depth, 4.4, 2.15, 0.9)
        for kind, place in zip(kinds, positions, strict=True)
    ]
