"""Put a frame together: the street, shadows, people and props from far to near, the weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.opencv import cv2
from mot.synthetic.backdrop import Backdrop
from mot.synthetic.camera import Array, Camera
from mot.synthetic.crowd import People
from mot.synthetic.figures import Figures
from mot.synthetic.layout import Layout
from mot.synthetic.props import Patch, Stage
from mot.synthetic.shadows import cast_shadows
from mot.synthetic.sprites import Sprite, Wardrobe, view_of
from mot.synthetic.weather import Weather
from mot.types import Image

Owners = npt.NDArray[np.int16]  # (H, W): row of the person each pixel belongs to; -1: none


@dataclass(frozen=True, slots=True)
class Painting:
    image: Image
    owners: Owners
    visibility: Array  # (N,) of the people inside: the share of the silhouette that can be seen


class Painter:
    def __init__(self, layout: Layout, seed: int) -> None:
        self._scene = layout.scene
        self._backdrop = Backdrop(layout, seed)
        self._stage = Stage([*layout.props, *layout.hideouts], layout.camera, seed)
        self._wardrobe = Wardrobe()
        self._weather = Weather(layout, seed)

    def paint(self, people: People, figures: Figures, camera: Camera, time: float) -> Painting:
        image = self._backdrop.at(camera)
        rows = np.flatnonzero(figures.inside)
        cast_shadows(image, figures.world[..., rows], self._stage.props, camera, self._scene.sun)
        owners = np.full(image.shape[:2], -1, np.int16)
        full = np.ones(len(rows))
        for place, patch in self._in_order(people, figures, rows, camera):
            count = lay(image, owners, patch, place)
            if place >= 0:
                full[place] = max(count, 1)
        seen = np.bincount((owners + 1).ravel(), minlength=len(full) + 1)[1:]
        image = self._weather.apply(image, camera, time)
        return Painting(image, owners, seen / full)

    def _in_order(
        self, people: People, figures: Figures, rows: npt.NDArray[np.intp], camera: Camera
    ) -> list[tuple[int, Patch]]:
        """People (with their place in `rows`) and props (with -1), the farthest first."""
        items: list[tuple[float, int, Patch]] = []
        for prop, patch in zip(self._stage.props, self._stage.patches(camera), strict=True):
            if patch is not None:
                items.append((camera.depth(prop.x, prop.y), -1, patch))
        for place, row in enumerate(rows.tolist()):
            items.append((float(figures.depth[row]), place, self._dressed(people, figures, row)))
        items.sort(key=lambda item: -item[0])
        return [(place, patch) for _, place, patch in items]

    def _dressed(self, people: People, figures: Figures, row: int) -> Patch:
        box = figures.boxes[row]
        view = view_of(
            int(people.ids[row]),
            float(people.phase[row]),
            float(figures.turn[row]),
            float(figures.tilt[row]),
            (float(figures.span[row]), float(box[3] - box[1])),
        )
        sprite = self._wardrobe.sprite(
            view, people.appearances[row], people.build.radii[:, row], figures.own[..., row]
        )
        return fit(sprite, box)


def fit(sprite: Sprite, box: Array) -> Patch:
    """Scale and shift a sprite, to parts of a pixel, so that its body fills the box."""
    left, top = int(np.floor(box[0])) - 1, int(np.floor(box[1])) - 1
    size = int(np.ceil(box[2])) + 1 - left, int(np.ceil(box[3])) + 1 - top
    x1, y1, x2, y2 = sprite.box
    wide, high = (box[2] - box[0]) / (x2 - x1), (box[3] - box[1]) / (y2 - y1)
    # Pixel centers lie half a pixel from the corners that boxes are given by.
    right = box[0] - left - wide * x1 + 0.5 * wide - 0.5
    down = box[1] - top - high * y1 + 0.5 * high - 0.5
    place = np.array([[wide, 0, right], [0, high, down]])
    colour = cv2.warpAffine(sprite.colour, place, size, flags=cv2.INTER_LINEAR)
    return Patch(np.asarray(colour, np.uint8), left, top)


def lay(image: Image, owners: Owners, patch: Patch, owner: int) -> int:
    """Blend a patch over the image, mark its pixels' owner; returns its full pixel count."""
    solid = patch.colour[..., 3] > 127
    height, width = image.shape[:2]
    high, wide = solid.shape
    top, left = max(-patch.top, 0), max(-patch.left, 0)
    bottom, right = min(high, height - patch.top), min(wide, width - patch.left)
    if bottom > top and right > left:
        piece = patch.colour[top:bottom, left:right]
        rows = slice(patch.top + top, patch.top + bottom)
        columns = slice(patch.left + left, patch.left + right)
        clear = cv2.cvtColor(cv2.bitwise_not(piece[..., 3]), cv2.COLOR_GRAY2BGR)
        below = cv2.multiply(image[rows, columns], clear, scale=1 / 255)
        image[rows, columns] = cv2.add(below, cv2.cvtColor(piece, cv2.COLOR_BGRA2BGR))
        owners[rows, columns][solid[top:bottom, left:right]] = owner
    return int(np.count_nonzero(solid))
