"""The images of the props, drawn flat: (h, w, 4), BGR times alpha, and alpha."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mot.opencv import cv2
from mot.synthetic.layout import Prop
from mot.types import Image

Art = Callable[[Prop, float, np.random.Generator], Image]


def _blank(wide: float, high: float, scale: float) -> Image:
    """A clear image of so many metres, at a scale in pixels a metre."""
    return np.zeros((max(round(high * scale), 2), max(round(wide * scale), 2), 4), np.uint8)


def _round_shade(width: int) -> np.ndarray:
    """(width,) brightness across a cylinder that is lit from the left."""
    across = (np.arange(width) + 0.5) / width * 2 - 1
    return np.asarray(0.55 + 0.5 * np.sqrt(np.clip(1 - (across + 0.3) ** 2 / 1.75, 0, 1)))


def _speckle(image: Image, rng: np.random.Generator, depth: float) -> None:
    """Uneven tones over all that is drawn."""
    height, width = image.shape[:2]
    fine = rng.normal(0, depth, (height, width)).astype(np.float32)
    coarse = rng.normal(0, depth, (height // 8 + 2, width // 8 + 2)).astype(np.float32)
    total = 1 + 0.6 * cv2.blur(fine, (2, 2)) + cv2.resize(coarse, (width, height))
    image[..., :3] = np.clip(image[..., :3] * total[..., None], 0, 250)
    image[..., :3] = np.minimum(image[..., :3], image[..., 3:])


def _post(prop: Prop, scale: float, rgb: tuple[float, float, float], wide: float) -> Image:
    """A cylinder in the middle of an image so many metres wide."""
    image = _blank(max(wide, prop.width), prop.height, scale)
    height, width = image.shape[:2]
    thick = max(round(prop.width * scale * 0.62), 2)
    left = (width - thick) // 2
    shade = _round_shade(thick)[None, :, None] * np.array(rgb[::-1])
    image[:, left : left + thick, :3] = np.clip(shade, 0, 255)
    image[:, left : left + thick, 3] = 255
    foot = min(round(0.5 * scale), height)
    base = max(round(prop.width * scale), thick)
    start = (width - base) // 2
    wide_shade = _round_shade(base)[None, :, None] * np.array(rgb[::-1]) * 0.92
    image[height - foot :, start : start + base, :3] = np.clip(wide_shade, 0, 255)
    image[height - foot :, start : start + base, 3] = 255
    return image


def _lamp(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    image = _post(prop, scale, (74, 80, 80), 0.9)
    width = image.shape[1]
    head = (width // 2, round(0.28 * scale))
    cv2.ellipse(
        image,
        head,
        (round(0.24 * scale), round(0.26 * scale)),
        0,
        0,
        360,
        (196, 214, 218, 255),
        cv2.FILLED,
        cv2.LINE_AA,
    )
    top = np.array([[0.14, 0.1], [0.5, -0.02], [0.86, 0.1]]) * (width, 0.9 * scale)
    cv2.fillConvexPoly(image, top.astype(np.int32), (58, 56, 54, 255), cv2.LINE_AA)
    _speckle(image, rng, 0.03)
    return image


def _sign(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    image = _post(prop, scale, (136, 140, 142), 0.7)
    width = image.shape[1]
    middle, radius = (width // 2, round(0.36 * scale)), round(0.3 * scale)
    tone = [(150, 70, 40, 255), (60, 60, 170, 255)][int(rng.integers(2))]
    cv2.circle(image, middle, radius, (226, 226, 226, 255), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, middle, round(radius * 0.86), tone, cv2.FILLED, cv2.LINE_AA)
    half = radius // 2
    cv2.rectangle(
        image,
        (middle[0] - half, middle[1] - half // 3),
        (middle[0] + half, middle[1] + half // 3),
        (226, 226, 226, 255),
        cv2.FILLED,
    )
    return image


def _bollard(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    image = _post(prop, scale, (88, 84, 80), prop.width)
    band = round(0.16 * scale)
    row = image[band : 2 * band]
    row[..., :3] = np.where(row[..., 3:] > 0, np.minimum(row[..., :3] * 2.2, 230), 0)
    _speckle(image, rng, 0.04)
    return image


_LEAVES = 1800


def _tree(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    """A trunk with bark, a round crown of many leaves above everybody's heads."""
    image = _post(prop, scale, (104, 92, 78), 4.6)
    _speckle(image, rng, 0.1)
    height, width = image.shape[:2]
    crown_foot = 3.0  # metres
    image[: height // 4] = 0  # the trunk ends within the crown
    high = prop.height - crown_foot
    for index in range(_LEAVES):
        layer = index / _LEAVES
        angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1)) * (1 - 0.15 * layer)
        x = width / 2 + np.cos(angle) * radius * 2.0 * scale
        z = crown_foot + high * 0.5 + np.sin(angle) * radius * (high * 0.5 - 0.2)
        light = 0.55 + 0.35 * layer + 0.25 * np.sin(angle) - 0.1 * np.cos(angle)
        tone = light * np.array([52.0, 104.0, 84.0]) * rng.uniform(0.75, 1.2)
        size = max(round(rng.uniform(0.05, 0.16) * (1.6 - 0.9 * layer) * scale), 1)
        place = (round(x), round(height - z * scale))
        cv2.circle(
            image, place, size, (*np.clip(tone, 0, 250).tolist(), 255.0), cv2.FILLED, cv2.LINE_AA
        )
    return image


def _filled(prop: Prop, scale: float, rgb: tuple[float, float, float]) -> Image:
    image = _blank(prop.width, prop.height, scale)
    image[:] = (*(int(c) for c in rgb[::-1]), 255)
    fade = np.linspace(1.05, 0.8, len(image))[:, None, None]
    image[..., :3] = np.clip(image[..., :3] * fade, 0, 255)
    return image


def _wall(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    """Bricks below a coping of stone."""
    image = _filled(prop, scale, (138, 92, 76))
    height, width = image.shape[:2]
    course = 0.1 * scale
    for row in range(int(height / course) + 1):
        y = round(row * course)
        tone = rng.uniform(0.85, 1.12, width // max(int(course * 2.2), 1) + 2)
        shift = round(course * 1.1) * (row % 2)
        columns = (np.arange(width) + shift) // max(int(course * 2.2), 1)
        part = image[y : round(y + course), :, :3]
        part[:] = np.clip(part * tone[columns % len(tone)][None, :, None], 0, 255)
        if course >= 6:
            image[y : y + max(round(course * 0.14), 1), :, :3] = (140, 148, 152)
    coping = max(round(0.1 * scale), 1)
    image[:coping, :, :3] = (164, 170, 172)
    image[coping : coping + max(coping // 4, 1), :, :3] = (70, 70, 72)
    _speckle(image, rng, 0.05)
    return image


def _hedge(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    image = _blank(prop.width * 1.06, prop.height * 1.0, scale)
    height, width = image.shape[:2]
    inner = (round(width * 0.03), round(0.14 * scale))
    cv2.rectangle(image, inner, (width - inner[0], height), (26, 46, 40, 255), cv2.FILLED)
    for index in range(int(170 * prop.width * prop.height)):
        x, y = rng.uniform(inner[0], width - inner[0]), rng.uniform(0.08 * scale, height)
        light = 0.55 + 0.55 * (1 - y / height) + 0.2 * index / (170 * prop.width * prop.height)
        tone = light * np.array([44.0, 92.0, 76.0]) * rng.uniform(0.7, 1.25)
        size = max(round(rng.uniform(0.03, 0.08) * scale), 1)
        cv2.circle(
            image,
            (round(x), round(y)),
            size,
            (*np.clip(tone, 0, 250).tolist(), 255.0),
            cv2.FILLED,
            cv2.LINE_AA,
        )
    return image


def _kiosk(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    """A stand with posters on its front."""
    image = _filled(prop, scale, (84, 96, 90))
    height, width = image.shape[:2]
    roof = round(0.22 * scale)
    image[:roof, :, :3] = (64, 62, 60)
    for index in range(2):
        left, right = round(width * (0.08 + 0.46 * index)), round(width * (0.46 + 0.46 * index))
        top, foot = round(0.5 * scale), round(height - 0.6 * scale)
        rise = np.linspace(0, 1, max(foot - top, 1))[:, None, None]
        ends = rng.uniform(90, 190, (2, 1)) + rng.uniform(-26, 26, (2, 3))
        image[top:foot, left:right, :3] = ends[0] + rise * (ends[1] - ends[0])
        for _ in range(4):
            x, y = int(rng.integers(left, right)), int(rng.integers(top, foot))
            cv2.circle(
                image,
                (x, y),
                round(rng.uniform(0.05, 0.2) * scale),
                (*(rng.uniform(60, 210) + rng.uniform(-24, 24, 3)).tolist(), 255.0),
                cv2.FILLED,
                cv2.LINE_AA,
            )
        image[top:foot, right:, :3] = (70, 78, 74)
    _speckle(image, rng, 0.02)
    return image


def _van(prop: Prop, scale: float, rng: np.random.Generator) -> Image:
    """The side of a delivery van."""
    image = _blank(prop.width, prop.height, scale)
    height, width = image.shape[:2]
    base = rng.choice([206.0, 188.0, 120.0, 92.0]) * np.array([1.0, 0.99, 0.97])
    body = (*base.tolist(), 255.0)
    outline = np.array(
        [[0, 0.86], [0, 0.08], [0.03, 0.02], [0.72, 0.02], [0.86, 0.36], [0.98, 0.5], [1, 0.86]]
    ) * (width, height)
    cv2.fillPoly(image, [outline.astype(np.int32)], body, cv2.LINE_AA)
    window = np.array([[0.66, 0.1], [0.72, 0.1], [0.83, 0.38], [0.66, 0.38]]) * (width, height)
    cv2.fillPoly(image, [window.astype(np.int32)], (66, 58, 52, 255), cv2.LINE_AA)
    for row, tone in ((0.45, 0.9), (0.74, 0.72), (0.83, 0.5)):
        y = round(row * height)
        cv2.line(image, (0, y), (width, y), (*(base * tone).tolist(), 255.0), max(height // 60, 1))
    for place in (0.19, 0.82):
        middle = (round(place * width), round(0.85 * height))
        for radius, grey in ((0.16, 40), (0.09, 130), (0.03, 60)):
            cv2.circle(
                image,
                middle,
                round(radius * height),
                (grey, grey, grey, 255),
                cv2.FILLED,
                cv2.LINE_AA,
            )
    image[..., :3] = np.minimum(image[..., :3], image[..., 3:])
    return image


PROP_TEXTURES: dict[str, Art] = {
    "lamp": _lamp,
    "sign": _sign,
    "bollard": _bollard,
    "tree": _tree,
    "wall": _wall,
    "hedge": _hedge,
    "kiosk": _kiosk,
    "van": _van,
}
