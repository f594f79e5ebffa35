"""What happens between the street and the file: light, night, rain, sensor noise, compression."""

from __future__ import annotations

import math

import numpy as np

from mot.opencv import cv2
from mot.synthetic.camera import Camera
from mot.synthetic.layout import Layout
from mot.synthetic.scenes import stream
from mot.types import Image

_TILES = 3  # images of noise and rain that are used in turn, each time shifted


class Weather:
    def __init__(self, layout: Layout, seed: int) -> None:
        self._scene = layout.scene
        self._layout = layout
        self._rng = stream(seed, "weather")
        self._phase = float(self._rng.uniform(0, 2 * math.pi))
        width, height = layout.camera.size
        self._shape = (height, width)
        self._noise = [self._grain() for _ in range(_TILES)] if self._scene.noise else []
        self._rain = [self._streaks() for _ in range(_TILES)] if self._scene.rain else []
        self._lamps: tuple[Camera, Image] | None = None

    def apply(self, image: Image, camera: Camera, time: float) -> Image:
        scene = self._scene
        gain = 1 + scene.light_change * math.sin(0.7 * time + self._phase)
        if scene.night:
            image = cv2.multiply(image, self._lamp_light(camera), scale=gain / 128)
        elif scene.light_change:
            image = cv2.convertScaleAbs(image, alpha=gain)
        if self._rain:
            image = cv2.add(image, self._shifted(self._rain))
        if self._noise:
            image = cv2.add(image, self._shifted(self._noise))
            image = cv2.subtract(image, self._shifted(self._noise))
        if scene.jpeg:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg])[1]
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return np.asarray(image, np.uint8)

    def _shifted(self, tiles: list[Image]) -> Image:
        """One of the tiles, from a place of its own."""
        which, down, across = (int(v) for v in self._rng.integers(0, (_TILES, 64, 64)))
        height, width = self._shape
        return tiles[which][down : down + height, across : across + width]

    def _grain(self) -> Image:
        """Half of a sensor's noise: it is added once and subtracted once."""
        height, width = self._shape
        values = self._rng.standard_normal((height + 64, width + 64, 3), np.float32)
        return np.asarray(np.clip(np.abs(values) * self._scene.noise, 0, 90), np.uint8)

    def _streaks(self) -> Image:
        height, width = (side + 64 for side in self._shape)
        drops = np.zeros((height, width), np.uint8)
        long = 0.06 * self._shape[0]
        for _ in range(int(420 * width / height)):
            x, y = self._rng.uniform(0, width), self._rng.uniform(-long, height)
            size = long * self._rng.uniform(0.4, 1.2)
            end = (int((x + 0.12 * size) * 8), int((y + size) * 8))
            tone = int(self._rng.uniform(14, 46))
            cv2.line(drops, (int(x * 8), int(y * 8)), end, tone, 1, cv2.LINE_AA, 3)
        return np.asarray(cv2.cvtColor(drops, cv2.COLOR_GRAY2BGR), np.uint8)

    def _lamp_light(self, camera: Camera) -> Image:
        """(H, W, 3): the light at each pixel, 128 for full; recomputed only if the camera moves."""
        if self._lamps is None or self._lamps[0] != camera:
            self._lamps = (camera, _light_map(self._layout, camera))
        return self._lamps[1]


def _light_map(layout: Layout, camera: Camera) -> Image:
    """Bluish dark, warm pools below the lamps, light from the shop windows."""
    width, height = camera.size[0] // 4, camera.size[1] // 4
    light = np.empty((height, width, 3), np.float32)
    light[:] = (44, 36, 33)
    rows, columns = np.mgrid[0:height, 0:width] * 4.0
    for x, y, top in _lamps(layout):
        foot, head = camera.project(np.array([[x, y, 0.4], [x, y, top]]).T).T
        reach = camera.focal * 4.2 / foot[2]
        down = (rows - foot[1]) / np.where(rows > foot[1], 0.42, 0.8)
        glow = 0.9 * np.exp(-((columns - foot[0]) ** 2 + down**2) / (reach * reach) * 1.6)
        if top:
            away = (columns - head[0]) ** 2 + (rows - head[1]) ** 2
            glow += 1.5 * np.exp(-away / (0.12 * reach) ** 2)
        light += glow[..., None] * np.array([52.0, 76.0, 92.0])
    shop = camera.project(np.array([[0.0, 0.0], [layout.house_line] * 2, [2.7, 0.4]]))[1]
    between = (rows > shop[0]) & (rows < shop[1])
    light += between[..., None] * np.array([22.0, 34.0, 42.0])
    large = cv2.resize(np.clip(light, 0, 250), camera.size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 255), np.uint8)


def _lamps(layout: Layout) -> list[tuple[float, float, float]]:
    """x, y and height of the lamp posts; those of height 0 hang out of sight, in every street."""
    near, far = layout.scene.near, layout.scene.far
    posts = [(prop.x, prop.y, 0.95 * prop.height) for prop in layout.props if prop.kind == "lamp"]
    reach = float(layout.half_width(far))
    hidden = ((-0.5 * reach, far), (0.55 * reach, far), (0.1 * reach, (near + far) / 2))
    return posts + [(x, y, 0.0) for x, y in hidden]
