"""The ground: slabs, a channel, a kerb and a road, shaded for every pixel of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.opencv import cv2
from mot.synthetic.camera import Camera
from mot.synthetic.layout import Layout
from mot.synthetic.scenes import stream
from mot.types import Image

Field = npt.NDArray[np.float32]  # one value a sample of the ground


def _fine(width: int) -> int:
    """Samples a row: the ground is seen at a grazing angle, and small images show it worst."""
    return 3 if width <= 1000 else 2


@dataclass(frozen=True, slots=True)
class _Samples:
    x: Field  # (R, W) metres
    y: Field  # (R, W)
    blur: Field  # (R, 1) metres that a pixel covers across


def ground_image(layout: Layout, camera: Camera, base: int, seed: int) -> Image:
    """(H - base, W, 3): the ground from row `base` down."""
    rng = stream(seed, "ground")
    samples = _cast(camera, base)
    noise = _noise_tile(rng)
    kerb, far_kerb = layout.scene.far + 0.1, layout.house_line - 1.5
    middle = layout.scene.near + 0.42 * (layout.scene.far - layout.scene.near)
    sizes = ((0.8, 0.8), (0.9, 0.45), (0.6, 0.6), (1.2, 0.6))
    near = _slabs(samples, rng, sizes[int(rng.integers(4))])
    far = _slabs(samples, rng, (0.3, 0.3)) * np.float32(rng.uniform(0.86, 0.96))
    tone = np.where(samples.y < middle, near, far)
    tone = _band(tone, samples, middle, 0.32, 0.74)
    tone = np.where(samples.y > kerb, _asphalt(samples, kerb, far_kerb), tone)
    tone = np.where(samples.y > far_kerb, near * np.float32(0.97), tone)
    for line in (kerb, far_kerb):
        tone = _band(tone, samples, line + 0.02, 0.24, 1.12)
        tone = _band(tone, samples, line + (0.2 if line == kerb else -0.16), 0.1, 0.6)
    tone = tone * _stains(samples, noise)
    return _coloured(tone, samples, rng)


def _cast(camera: Camera, base: int) -> _Samples:
    """Where the rays through the pixels meet the ground."""
    width, height = camera.size
    fine = _fine(width)
    rows = (np.arange((height - base) * fine) + 0.5) / fine + base - height / 2
    columns = (np.arange(width) + 0.5 - width / 2) / camera.focal
    right, down, forward = camera.rotation()
    ray_y, ray_z = (
        forward[1] + rows / camera.focal * down[1],
        forward[2] + rows / camera.focal * down[2],
    )
    reach = camera.height / np.maximum(-ray_z, 0.02)
    x = columns[None, :] * right[0] * reach[:, None]
    y = np.broadcast_to((ray_y * reach)[:, None], x.shape)
    blur = (reach / camera.focal)[:, None]
    return _Samples(x.astype(np.float32), y.astype(np.float32), blur.astype(np.float32))


def _noise_tile(rng: np.random.Generator) -> Field:
    """(256, 256) that repeats without seams, mean 0, deviation about 1."""
    tile = np.zeros((256, 256), np.float32)
    for cells, weight in ((8, 0.6), (16, 0.5), (32, 0.4), (64, 0.35), (256, 0.3)):
        coarse = np.tile(rng.normal(0, 1, (cells, cells)).astype(np.float32), (3, 3))
        large = cv2.resize(coarse, (768, 768), interpolation=cv2.INTER_CUBIC)
        tile += weight * large[256:512, 256:512]
    return tile


def _look_up(tile: Field, samples: _Samples, cell: float) -> Field:
    """The noise with 256 cells of this size, in metres, to a repeat."""
    u, v = samples.x / cell, samples.y / cell
    found = cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found * np.minimum(1.0, 2.0 * cell / samples.blur), np.float32)


def _stains(samples: _Samples, tile: Field) -> Field:
    broad = 0.035 * _look_up(tile, samples, 0.11) + 0.03 * _look_up(tile, samples, 0.034)
    return np.asarray(1.0 + broad + 0.035 * _look_up(tile, samples, 0.009), np.float32)


def _slabs(samples: _Samples, rng: np.random.Generator, size: tuple[float, float]) -> Field:
    """Brightness of slabs laid in a bond: each with its own tone, joints between them."""
    wide, deep = size
    # A view without roll: all samples of an image's row lie in one row of slabs.
    row = np.floor(samples.y[:, :1] / deep)
    shifted = samples.x / np.float32(wide) + np.float32(0.5) * (row % 2)
    column = np.floor(shifted)
    table = rng.normal(1.0, 0.045, (64, 64)).astype(np.float32)
    tone = table[row.astype(np.intp) % 64, column.astype(np.intp) % 64]
    tone = 1 + (tone - 1) * np.minimum(1.0, 0.5 * deep / samples.blur)
    across = np.abs(shifted - np.round(shifted)) * wide
    lines = samples.y[:, :1] / deep
    along = np.abs(lines - np.round(lines)) * deep
    joint = np.maximum(_line(across, 0.012, samples.blur), _line(along, 0.012, 1.5 * samples.blur))
    return np.asarray(tone * (1 - 0.38 * joint), np.float32)


def _line(away: Field, half: float, blur: Field) -> Field:
    """1 within a thin line, fading out over a pixel, fainter where a pixel is wider than it."""
    soft = np.maximum(blur, half)
    return np.asarray(np.clip(1.5 - away / soft, 0, 1) * (half / soft), np.float32)


def _band(tone: Field, samples: _Samples, middle: float, width: float, factor: float) -> Field:
    inside = np.abs(samples.y - middle) < width / 2
    return np.where(inside, np.float32(factor), tone)


def _asphalt(samples: _Samples, near: float, far: float) -> Field:
    tone = np.full(samples.x.shape, 0.5, np.float32)
    dashes = (np.abs(samples.y - (near + far) / 2) < 0.09) & (samples.x % 4.0 < 2.2)
    tone[dashes] = 1.05
    return tone


def _coloured(tone: Field, samples: _Samples, rng: np.random.Generator) -> Image:
    """A warm or cool gray; a little brighter into the distance; fine samples averaged."""
    haze = 1.0 + 0.05 * np.clip(samples.y / 25.0 - 0.4, -0.4, 0.8).astype(np.float32)
    height, width = tone.shape
    flat = cv2.resize(tone * haze, (width, height // _fine(width)), interpolation=cv2.INTER_AREA)
    warm = rng.uniform(-1, 1)
    grey = np.float32(rng.uniform(132, 158)) * np.array(
        [0.985 - 0.03 * warm, 1.0, 1.0 + 0.03 * warm]
    )
    return np.asarray(np.clip(flat[..., None] * grey.astype(np.float32), 0, 255), np.uint8)
