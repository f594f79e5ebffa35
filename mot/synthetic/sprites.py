"""Draw one person in one pose from one side, as a small image with an alpha channel.

A sprite is drawn once for each bucket of pose, view and size, kept for a while, and then placed
into frames by scaling it to the person's exact box.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.opencv import cv2
from mot.synthetic import body
from mot.synthetic.appearance import Look
from mot.synthetic.body import Array, extents
from mot.synthetic.garments import Part, dress
from mot.types import Image

PHASES, VIEWS, TILTS, SPANS = 24, 24, 8, 8  # buckets a cycle, a turn, a radian, a body height
_LEVELS = (36, 54, 80, 120, 180, 270, 400, 600)  # heights of the sprites in pixels
_SMALL = 80  # people up to this height in pixels are drawn with fewer poses and no face
_FINE = 2  # sprites are drawn this much larger, then reduced
_SHIFT = 3  # sub-pixel bits for OpenCV's polygons
_ANGLES = np.arange(12) * (2 * np.pi / 12)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_BUDGET = 96 << 20  # bytes of sprites that are kept


@dataclass(frozen=True, slots=True)
class Sprite:
    colour: Image  # (h, w, 4) BGR times alpha, and alpha
    box: tuple[float, float, float, float]  # of the body within it, xyxy


@dataclass(frozen=True, slots=True)
class View:
    """How a person is seen: all that a sprite depends on, in buckets."""

    person: int
    phase: int
    turn: int  # of the heading from the image's right, anticlockwise
    tilt: int
    span: int
    level: int  # height in pixels


def view_of(person: int, phase: float, turn: float, tilt: float, size: tuple[float, float]) -> View:
    """size: the stance span in body heights, and the height of the box in pixels."""
    level = next((level for level in _LEVELS if level >= 0.94 * size[1]), _LEVELS[-1])
    # Of small people every second pose will do.
    coarse = 2 if level <= _SMALL else 1
    return View(
        person,
        int(phase * PHASES / coarse) * coarse % PHASES,
        round(turn * VIEWS / (2 * math.pi)) % VIEWS,
        round(max(tilt, 0.0) * TILTS),
        round(size[0] * SPANS),
        level,
    )


class Wardrobe:
    """Draws sprites and keeps those lately used, within a budget of memory."""

    def __init__(self, budget: int = _BUDGET) -> None:
        self._kept: OrderedDict[View, Sprite] = OrderedDict()
        self._left = budget

    def sprite(self, view: View, appearance: Look, radii: Array, spheres: Array) -> Sprite:
        """radii (S,) and spheres (3, S) of the person now, in body heights; see `draw_person`."""
        found = self._kept.get(view)
        if found is not None:
            self._kept.move_to_end(view)
            return found
        drawn = draw_person(view, appearance, radii, spheres)
        self._kept[view] = drawn
        self._left -= drawn.colour.nbytes
        while self._left < 0 and len(self._kept) > 1:
            self._left += self._kept.popitem(last=False)[1].colour.nbytes
        return drawn


def draw_person(view: View, appearance: Look, radii: Array, spheres: Array) -> Sprite:
    """One pose represents its bucket of phase and span."""
    turn, tilt = view.turn * 2 * math.pi / VIEWS, view.tilt / TILTS
    seen = _look_at(spheres, turn, tilt)
    scale = view.level * _FINE / _span(seen[1], radii)
    radii, seen = radii * scale, seen * scale
    left, top, right, bottom = extents(seen[0, :, None], seen[1, :, None], radii[:, None])[0]
    edge = 2 * _FINE
    centres = np.stack([seen[0] + (edge - left), seen[1] + (edge - top)], axis=1)
    wide, high = (math.ceil(side / _FINE) + 4 for side in (right - left, bottom - top))
    parts = dress(appearance, math.cos(turn), math.sin(turn), seen[2] / scale)
    small = view.level <= _SMALL
    if small:
        parts = [part for part in parts if part.shaded]
    layers = 2 if small else 3
    canvas = _Canvas((wide * _FINE, high * _FINE), centres[body.NECK], appearance, scale)
    image = canvas.draw(parts, _outlines(parts, centres, radii, scale, layers))
    reduced = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)
    place = edge / _FINE
    box = (place, place, place + (right - left) / _FINE, place + view.level)
    return Sprite(np.asarray(reduced, np.uint8), box)


def _span(y: Array, radii: Array) -> float:
    return float((y + radii).max() - (y - radii).min())


def _look_at(spheres: Array, turn: float, tilt: float) -> Array:
    """(3, S) forward, left, up -> (3, S) right, down, away, without perspective."""
    cos, sin = math.cos(turn), math.sin(turn)
    ahead, left, up = spheres
    right = ahead * cos - left * sin
    away = ahead * sin + left * cos
    down = -up * math.cos(tilt) - away * math.sin(tilt)
    return np.stack([right, down, away - up * math.sin(tilt)])


class _Canvas:
    """Color, mask and shade of one person, painted part by part from the back to the front."""

    def __init__(
        self, size: tuple[int, int], anchor: Array, appearance: Look, scale: float
    ) -> None:
        width, height = size
        self._colour = np.zeros((height, width, 3), np.uint8)
        self._mask = np.zeros((height, width), np.uint8)
        self._shade = np.full((height, width), 128, np.uint8)
        self._anchor = anchor  # pixel of the neck, where patterns hang
        self._look = appearance
        self._scale = scale  # pixels a body height

    def draw(self, parts: list[Part], outlines: npt.NDArray[np.int32]) -> Image:
        """outlines: (P, layers, points, 2) in sub-pixels."""
        for part, layers in zip(parts, outlines, strict=True):
            self._paint(part, layers)
        blur = max(1, int(0.006 * self._scale)) * 2 + 1
        shade = cv2.blur(self._shade, (blur, blur))
        shade = cv2.multiply(shade, _folds(self._look.grain, shade.shape), scale=1 / 128)
        colour = cv2.multiply(self._colour, cv2.cvtColor(shade, cv2.COLOR_GRAY2BGR), scale=1 / 128)
        colour = cv2.copyTo(colour, self._mask)
        return np.asarray(cv2.merge([*cv2.split(colour), self._mask]), np.uint8)

    def _paint(self, part: Part, layers: npt.NDArray[np.int32]) -> None:
        used = len(part.spheres) * len(_CIRCLE)  # the rest repeats
        hull = cv2.convexHull(layers[0, :used])
        cv2.fillConvexPoly(self._mask, hull, 255, cv2.LINE_8, _SHIFT)
        if part.texture is None:
            cv2.fillConvexPoly(self._colour, hull, part.colour, cv2.LINE_8, _SHIFT)
        else:
            self._print(hull)
        if part.shaded:
            cv2.fillConvexPoly(self._shade, hull, _LIGHTS[0] * part.light, cv2.LINE_8, _SHIFT)
            for layer, light in zip(layers[1:, :used], _LIGHTS[1:], strict=False):
                inner = cv2.convexHull(layer)
                cv2.fillConvexPoly(self._shade, inner, light * part.light, cv2.LINE_8, _SHIFT)

    def _print(self, outline: npt.NDArray[np.int32]) -> None:
        """Fill with a pattern that hangs from the shoulders."""
        x, y, wide, high = cv2.boundingRect(outline)
        left, top = max(x >> _SHIFT, 0), max(y >> _SHIFT, 0)
        right, bottom = ((x + wide) >> _SHIFT) + 2, ((y + high) >> _SHIFT) + 2
        inside = np.zeros_like(self._mask[top:bottom, left:right])
        moved = outline - np.array([left << _SHIFT, top << _SHIFT], np.int32)
        cv2.fillConvexPoly(inside, moved, 255, cv2.LINE_8, _SHIFT)
        cell = self._scale * 0.03
        rows = (np.arange(top, top + inside.shape[0]) - self._anchor[1]) / cell
        columns = (np.arange(left, left + inside.shape[1]) - self._anchor[0]) / cell
        part = self._colour[top:bottom, left:right]
        part[:] = cv2.copyTo(_pattern(self._look, rows, columns), inside, part.copy())


# How much of the radii each layer of shading keeps, how far it moves to the light, its brightness.
_KEEP = np.array([1.0, 0.76, 0.45])
_MOVE = np.array([0.0, 0.14, 0.32])
_LIGHTS = (96, 117, 133)


def _outlines(
    parts: list[Part], centres: Array, radii: Array, scale: float, depth: int
) -> npt.NDArray[np.int32]:
    """(P, layers, points, 2): points around the spheres of each part, for all parts at once."""
    most = max(len(part.spheres) for part in parts)
    rows = np.array([(part.spheres * most)[:most] for part in parts])
    grow = np.array([part.grow for part in parts])[:, None]
    shift = np.array([part.offset for part in parts])[:, None] * scale
    size = (radii[rows] * grow)[:, None, :, None, None]  # (P, 1, most, 1, 1)
    middles = (centres[rows] + shift)[:, None, :, None]  # (P, 1, most, 1, 2)
    keep, move = _KEEP[:depth, None, None], _MOVE[:depth, None, None]
    layers = keep * _CIRCLE - move * np.array([0.8, 0.5])
    points = middles + size * layers[:, None]
    fixed = (points * (1 << _SHIFT)).astype(np.int32)
    return np.asarray(fixed.reshape(len(parts), depth, -1, 2))


def _pattern(appearance: Look, rows: Array, columns: Array) -> Image:
    """(H, W, 3) of the top's pattern at these coordinates, in cells from the neck."""
    if appearance.pattern == "stripes":
        weight = np.broadcast_to((rows % 1 < 0.45)[:, None], (len(rows), len(columns))) * 1.0
    elif appearance.pattern == "checks":
        weight = 0.5 * (rows % 1 < 0.4)[:, None] + 0.5 * (columns % 1 < 0.4)
    elif appearance.pattern == "block":
        weight = np.broadcast_to((rows < 4.5)[:, None], (len(rows), len(columns))) * 1.0
    else:
        weight = 1.0 * ((np.abs(rows - 4.5) < 1.4)[:, None] & (np.abs(columns) < 1.5))
    top, other = np.array(appearance.top, float), np.array(appearance.inner, float)
    mixed = top + weight[..., None] * 0.8 * (other - top)
    return np.asarray(mixed, np.uint8)


def _make_folds() -> list[Image]:
    """Soft creases, mostly running down, as a factor around 128."""
    rng = np.random.default_rng(20)
    found = []
    for _ in range(8):
        coarse = rng.normal(0, 1, (14, 12)).astype(np.float32)
        fine = rng.normal(0, 1, (64, 40)).astype(np.float32)
        mixed = 9.0 * cv2.resize(coarse, (96, 224), interpolation=cv2.INTER_CUBIC)
        mixed += 4.5 * cv2.resize(fine, (96, 224), interpolation=cv2.INTER_LINEAR)
        found.append(np.clip(128 + mixed, 90, 160).astype(np.uint8))
    return found


_FOLDS = _make_folds()


def _folds(grain: int, shape: tuple[int, ...]) -> Image:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(_FOLDS[grain], size, interpolation=cv2.INTER_LINEAR), np.uint8)
