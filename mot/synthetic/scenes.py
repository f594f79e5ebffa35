"""The named scenes: what is in the street, how the camera stands, what the weather does."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Scene:
    """Lengths in metres, angles in degrees, speeds in metres a second."""

    people: int = 12  # how many are in the street at a time
    size: tuple[int, int] = (640, 360)  # width, height in pixels
    fps: float = 30.0
    camera_height: float = 3.2
    camera_pitch: float = 7.0  # downwards
    field: float = 62.0  # horizontal field of view
    camera_motion: float = 0.0  # 0: on a stand; 1: pans, sways and drifts
    near: float = 8.0  # people walk between these depths
    far: float = 23.0
    poles: int = 2
    walls: int = 1  # free-standing ones among the people; two more always close the far end
    streams: bool = False  # two opposite streams, side by side, instead of a crowd
    speed: float = 1.3
    speed_spread: float = 0.16
    pairs: float = 0.2  # share of the newcomers who bring a companion
    stops: float = 0.15  # share who stop for a while
    light_change: float = 0.06  # slow change of the brightness, as clouds pass
    sun: float = 0.55  # strength of the cast shadows
    night: bool = False
    rain: bool = False
    noise: float = 1.5  # of the sensor, in gray levels
    jpeg: int = 0  # quality of the compression; 0: none
    false_alarms: float = 0.15  # a frame


SCENES: dict[str, Scene] = {
    "easy": Scene(people=6, pairs=0.0, poles=1, walls=0),
    "crowd": Scene(people=26, camera_height=3.6, poles=5, walls=2, near=7.5, false_alarms=0.4),
    "crossing": Scene(
        people=18,
        camera_height=2.4,
        camera_pitch=3.0,
        near=8.5,
        far=12.5,
        poles=1,
        walls=0,
        streams=True,
        speed=1.25,
        speed_spread=0.06,
        pairs=0.1,
        stops=0.0,
    ),
    "camera": Scene(people=22, poles=3, walls=1, camera_motion=1.0, light_change=0.12),
    "night": Scene(
        people=14,
        poles=3,
        walls=1,
        sun=0.25,
        night=True,
        rain=True,
        noise=6.0,
        jpeg=45,
        false_alarms=0.5,
    ),
}


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """A generator of its own for each purpose, so that one never disturbs another."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), index])
