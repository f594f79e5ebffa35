"""The row of houses at the far end: walls, windows, shops, doors, and the sky above them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.opencv import cv2
from mot.synthetic.camera import Camera
from mot.synthetic.layout import Layout
from mot.synthetic.scenes import stream
from mot.types import Image

_WALLS = (
    (196, 178, 150), (172, 152, 130), (206, 198, 184), (150, 92, 74), (132, 84, 70),
    (178, 170, 160), (186, 150, 120), (140, 138, 134), (214, 204, 178), (120, 112, 106),
)  # fmt: skip
_SHOPS = ((56, 66, 60), (48, 54, 70), (96, 52, 48), (40, 40, 42), (110, 96, 70), (70, 84, 96))


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A image of the plane of the houses that is drawn on in metres."""

    image: Image
    left: float  # metres at column 0
    scale: float  # pixels a metre
    night: bool

    def box(self, x: float, z: float, wide: float, high: float, rgb: tuple[float, ...]) -> None:
        """From the lower left corner (x, z); z is up from the ground."""
        foot = self.image.shape[0]
        low = (round((x - self.left) * self.scale), round(foot - z * self.scale))
        right, top = (x + wide - self.left) * self.scale, foot - (z + high) * self.scale
        end = (max(round(right) - 1, low[0]), min(round(top), low[1] - 1))
        cv2.rectangle(self.image, (low[0], low[1] - 1), end, rgb[::-1], cv2.FILLED)

    def region(self, x: float, z: float, wide: float, high: float) -> Image:
        foot = self.image.shape[0]
        first = max(round((x - self.left) * self.scale), 0)
        last = max(round((x + wide - self.left) * self.scale), first)
        top = max(round(foot - (z + high) * self.scale), 0)
        return self.image[top : max(round(foot - z * self.scale), top), first:last]


def house_image(layout: Layout, camera: Camera, seed: int) -> Image:
    """(H, W, 3): the plane of the houses as the camera sees it, sky above."""
    rng = stream(seed, "houses")
    line = layout.house_line
    scale = 1.25 * camera.focal / line
    reach = line * camera.size[0] / 2 / camera.focal * 1.06 + 0.5
    steep = np.arctan2(camera.size[1] / 2, camera.focal) - camera.pitch
    tall = max(camera.height + line * np.tan(steep) * 1.1 + 1.0, 4.0)
    blank = _sky(rng, round(tall * scale), round(2 * reach * scale))
    sheet = _Sheet(blank, -reach, scale, layout.scene.night)
    sky = blank.copy()
    _trees(sheet, rng, reach)
    x = -reach - float(rng.uniform(0, 3))
    while x < reach:
        wide = float(rng.uniform(5.5, 10.5))
        if rng.random() < 0.86:
            _house(sheet, rng, x, wide)
        x += wide
    built = (blank != sky).any(axis=2)
    _weather(sheet, rng)
    blank[~built] = sky[~built]
    to_plane = np.array(
        [[1 / scale, 0, -reach], [0, -1 / scale, blank.shape[0] / scale], [0, 0, 1]]
    )
    seen = camera.front(line) @ to_plane
    return np.asarray(
        cv2.warpPerspective(sheet.image, seen, camera.size, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _sky(rng: np.random.Generator, height: int, width: int) -> Image:
    """Pale towards the roofs, with soft clouds; drawn small and enlarged."""
    top = np.array([214.0, 190.0, 168.0]) + rng.uniform(-12, 12)
    low = np.array([228.0, 222.0, 214.0])
    rise = np.linspace(0, 1, 90)[:, None, None]
    clouds = rng.normal(0, 1, (6, 14)).astype(np.float32)
    soft = cv2.resize(clouds, (160, 90), interpolation=cv2.INTER_CUBIC)[..., None]
    small = np.clip(top + rise * (low - top) + 7 * soft, 0, 255).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def _trees(sheet: _Sheet, rng: np.random.Generator, reach: float) -> None:
    """Far foliage that shows where there is a gap between houses: crowns of many leaves."""
    height = sheet.image.shape[0]
    sheet.box(-reach, 0, 2 * reach, 2.0, (48, 58, 44))
    for x in np.arange(-reach, reach, 2.3):
        middle, radius = float(x + rng.uniform(-0.8, 0.8)), float(rng.uniform(1.3, 2.4))
        rise, hue = float(rng.uniform(1.4, 3.4)), rng.uniform(0.85, 1.1, 3)
        for index in range(260):
            angle, away = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.uniform())
            light = 0.5 + 0.3 * index / 260 + 0.28 * np.sin(angle) * away / radius
            tone = light * hue * rng.uniform(0.8, 1.15) * np.array([62.0, 106.0, 92.0])
            z = rise + 0.9 * away * np.sin(angle)
            place = (
                (middle + away * np.cos(angle) + reach) * sheet.scale,
                height - z * sheet.scale,
            )
            size = max(round(float(rng.uniform(0.1, 0.34)) * sheet.scale), 1)
            spot = (round(place[0]), round(place[1]))
            cv2.circle(sheet.image, spot, size, tone.tolist(), cv2.FILLED, cv2.LINE_AA)
    sheet.box(-reach, 0, 2 * reach, 1.0, (74, 84, 62))


def _house(sheet: _Sheet, rng: np.random.Generator, x: float, wide: float) -> None:
    wall = np.asarray(_WALLS[int(rng.integers(len(_WALLS)))], float) * rng.uniform(0.84, 1.0)
    storey = float(rng.uniform(2.9, 3.5))
    floors = int(rng.integers(2, 5))
    height = 3.6 + floors * storey
    sheet.box(x, 0, wide, height, tuple(wall))
    if wall[0] > wall[2] * 1.5:
        _bricks(sheet, x, wide, height)
    columns = max(2, round(wide / float(rng.uniform(2.0, 2.8))))
    style = rng.uniform(0, 1, 4)
    for floor in range(floors):
        for column in range(columns):
            middle = x + wide * (column + 0.5) / columns
            _window(sheet, rng, middle, 4.3 + floor * storey, style)
    sheet.box(x, 3.45, wide, 0.18, tuple(wall * 0.8))
    sheet.box(x, 3.63, wide, 0.05, tuple(np.minimum(wall * 1.15, 255)))
    sheet.box(x, height - 0.3, wide, 0.3, tuple(wall * 0.72))
    _ground_floor(sheet, rng, x, wide, wall)
    sheet.box(x + wide - 0.06, 0, 0.06, height, tuple(wall * 0.62))


def _bricks(sheet: _Sheet, x: float, wide: float, height: float) -> None:
    part = sheet.region(x, 0, wide, height)
    rows = np.arange(part.shape[0]) / sheet.scale
    part[(rows % 0.24) < 0.05] = (part[(rows % 0.24) < 0.05] * 0.9).astype(np.uint8)


def _window(sheet: _Sheet, rng: np.random.Generator, x: float, z: float, style) -> None:  # type: ignore[no-untyped-def]
    wide, high = 0.95 + 0.4 * style[0], 1.5 + 0.4 * style[1]
    frame = (222, 218, 210) if style[2] > 0.4 else (86, 70, 60)
    left = x - wide / 2
    sheet.box(left - 0.12, z - 0.12, wide + 0.24, high + 0.24, (178, 172, 162))
    sheet.box(left, z, wide, high, frame)
    _glass(sheet, rng, (left + 0.07, z + 0.07, wide - 0.14, high - 0.14))
    sheet.box(x - 0.03, z, 0.06, high, frame)
    if style[3] > 0.5:
        sheet.box(left, z + high * 0.66, wide, 0.05, frame)
    sheet.box(left - 0.16, z - 0.2, wide + 0.32, 0.1, (196, 190, 180))
    sheet.box(left - 0.16, z - 0.26, wide + 0.32, 0.06, (96, 90, 84))


def _glass(sheet: _Sheet, rng: np.random.Generator, box: tuple[float, float, float, float]) -> None:
    """Dark glass with the sky in its upper part, or a lit room; now and then a curtain."""
    part = sheet.region(*box)
    if not part.size:
        return
    rise = np.linspace(1, 0, part.shape[0])[:, None, None]
    shade = np.array([64.0, 56.0, 50.0]) * rng.uniform(0.7, 1.2)
    light = rng.uniform(20, 80)
    if sheet.night and rng.random() < 0.45:
        shade, light = np.array([120.0, 190.0, 228.0]) * rng.uniform(0.7, 1.0), 25.0
    part[:] = np.clip(shade + rise * light, 0, 255)
    if rng.random() < 0.35:
        curtain = max(part.shape[1] // 4, 1)
        part[:, :curtain] = part[:, -curtain:] = (168, 172, 174)


def _ground_floor(
    sheet: _Sheet, rng: np.random.Generator, x: float, wide: float, wall: np.ndarray
) -> None:
    """Shops with a sign and large panes, or a plain house with a door and windows."""
    if rng.random() < 0.3:
        sheet.box(x, 0, wide, 0.7, tuple(wall * 0.66))
        for middle in np.arange(x + 2.6, x + wide - 0.8, 2.1):
            _window(sheet, rng, float(middle), 1.15, np.array([0.5, 0.1, 0.7, 0.2]))
        _door(sheet, rng, x + 1.1, (92, 66, 50))
        return
    front = np.asarray(_SHOPS[int(rng.integers(len(_SHOPS)))], float)
    sheet.box(x + 0.2, 0, wide - 0.4, 3.3, tuple(front))
    sheet.box(x + 0.2, 2.62, wide - 0.4, 0.68, tuple(np.minimum(front * 1.25, 255)))
    _lettering(sheet, rng, x + 0.9, wide - 1.8)
    door = x + float(rng.uniform(0.25, 0.6)) * wide
    for left, right in ((x + 0.4, door - 0.65), (door + 0.65, x + wide - 0.4)):
        if right - left > 0.6:
            _display(sheet, rng, left, right - left)
    _door(sheet, rng, door, tuple(front * 0.8))
    if rng.random() < 0.4:
        _awning(sheet, rng, x + 0.3, wide - 0.6)


def _display(sheet: _Sheet, rng: np.random.Generator, x: float, wide: float) -> None:
    """A shop window: dim inside, with goods and a reflection of the sky."""
    _glass(sheet, rng, (x, 0.55, wide, 1.95))
    for _ in range(int(wide * 3)):
        tone = rng.uniform(50, 150, 3)
        place, high = x + float(rng.uniform(0, max(wide - 0.4, 0.1))), float(rng.uniform(0.2, 0.9))
        sheet.box(place, 0.6, float(rng.uniform(0.15, 0.4)), high, tuple(0.6 * tone + 20))
    for bar in np.arange(x, x + wide + 0.1, max(wide / max(round(wide / 1.6), 1), 0.5)):
        sheet.box(float(bar) - 0.03, 0.5, 0.06, 2.05, (48, 46, 44))


def _door(sheet: _Sheet, rng: np.random.Generator, x: float, rgb: tuple[float, ...]) -> None:
    sheet.box(x - 0.55, 0, 1.1, 2.35, (120, 114, 106))
    sheet.box(x - 0.46, 0.04, 0.92, 2.2, rgb)
    _glass(sheet, rng, (x - 0.34, 0.9, 0.68, 1.2))


def _lettering(sheet: _Sheet, rng: np.random.Generator, x: float, wide: float) -> None:
    """Letters without meaning on the sign of a shop."""
    place, end = x, x + wide * float(rng.uniform(0.4, 0.9))
    tone = tuple(rng.uniform(190, 230, 3))
    while place < end:
        step = float(rng.uniform(0.12, 0.26))
        if rng.random() < 0.85:
            sheet.box(place, 2.78, step * 0.7, 0.32 * float(rng.uniform(0.7, 1.1)), tone)
        place += step


def _awning(sheet: _Sheet, rng: np.random.Generator, x: float, wide: float) -> None:
    base = rng.uniform(80, 150, 3)
    for index, place in enumerate(np.arange(x, x + wide - 0.2, 0.3)):
        tone = base if index % 2 else np.full(3, 206.0)
        sheet.box(float(place), 2.25, 0.3, 0.62, tuple(tone))
    sheet.box(x, 2.15, wide, 0.1, tuple(base * 0.7))


def _weather(sheet: _Sheet, rng: np.random.Generator) -> None:
    """Uneven tones, so that no wall is flat; a shadow at the foot of the walls."""
    height, width = sheet.image.shape[:2]
    total = np.ones((height, width), np.float32)
    for cells, weight in ((3, 0.03), (0.5, 0.03), (0.08, 0.035)):
        shape = (
            max(int(height / sheet.scale / cells), 2),
            max(int(width / sheet.scale / cells), 2),
        )
        coarse = rng.normal(0, weight, shape).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    foot = np.clip(np.arange(height, 0, -1) / (0.7 * sheet.scale), 0, 1)
    total *= (0.72 + 0.28 * foot[:, None]).astype(np.float32)
    factor = np.clip(128 * total, 0, 255).astype(np.uint8)
    cv2.multiply(
        sheet.image, cv2.cvtColor(factor, cv2.COLOR_GRAY2BGR), dst=sheet.image, scale=1 / 128
    )
