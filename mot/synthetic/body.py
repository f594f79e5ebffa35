"""The walking body: spheres in 3-D, of which the limbs are the hulls.

Lengths are in body heights (a head is 1/7.5), in the person's own frame: forward, left, up.
A crowd is posed at once, and arrays have the people on their last axis: then each step runs over
memory without gaps, which is twice as fast for the few dozen people of a street.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

(SKULL, NAPE, JAW, NECK, CHEST) = range(5)
SHOULDERS, ELBOWS, WRISTS, HANDS = 5, 7, 9, 11  # each of these: left, then right
WAIST, HIPS, KNEES, ANKLES, TOES, HEELS, HEM = 13, 15, 17, 19, 21, 23, 25
BAG, HAT, HAIR = 27, 29, 31  # the two spheres of a bag, crown and brim of a hat, long hair
SPHERES = 32

_THIGH = 0.245  # the shank is as long
_STANCE = 0.6  # share of the cycle with the foot on the ground
_STEPS = 256  # rows of the gait table


@dataclass(slots=True)
class Build:
    """What stays the same of N bodies while they walk."""

    radii: Array  # (SPHERES, N)
    shoulder: Array  # (N,) half width between the shoulder joints
    hip: Array  # (N,) half width between the hip joints
    swing: Array  # (2, N) how far the arms swing, 1 is usual
    arm: Array  # (2, N) resting angle of the upper arm, radians forwards
    elbow: Array  # (2, N) bend of the elbow, radians
    hem: Array  # (N,) how far down the leg a skirt or coat reaches; 0: none, 1: the knee
    bag: Array  # (3, 2, N) where the bag hangs from the chest
    hat: Array  # (2, N) lift of the crown, reach of the brim
    hair: Array  # (N,) how far down long hair falls

    def __getitem__(self, people: npt.NDArray[np.bool_]) -> Build:
        return Build(*(getattr(self, name)[..., people] for name in self.__slots__))

    @staticmethod
    def join(builds: list[Build]) -> Build:
        names = Build.__slots__
        return Build(*(np.concatenate([getattr(b, n) for b in builds], axis=-1) for n in names))


def _gait_table() -> Array:
    """(5, STEPS): forward in spans, forward roll, lift, pitch of the foot, swing of the arm."""
    phase = np.arange(_STEPS) / _STEPS
    stance = np.clip(phase / _STANCE, 0, 1)
    swing = np.clip((phase - _STANCE) / (1 - _STANCE), 0, 1)
    eased = swing * swing * (3 - 2 * swing)
    push = np.clip((stance - 0.62) / 0.38, 0, 1) ** 2 * (1 - eased)
    lift = 0.055 * push + 0.034 * np.sin(np.pi * swing) ** 2
    strike = np.clip(1 - stance / 0.15, 0, 1) * (phase < _STANCE) + np.clip(swing * 2 - 1, 0, 1)
    pitch = 0.35 * strike - 0.95 * push
    forward = np.where(phase < _STANCE, 0.5 - stance, eased - 0.5)
    return np.stack([forward, 0.05 * push - 0.018, lift, pitch, np.cos(2 * np.pi * phase)])


_GAIT = _gait_table()
_HALF = np.array([[0.0], [0.5]])  # the right leg is half a cycle ahead
_SIDE = np.array([[1.0], [-1.0]])  # left, right


def pose(build: Build, phase: Array, span: Array) -> Array:
    """(3, SPHERES, N): forward, left, up of N bodies at a phase (0..1) of the cycle.

    span is what a foot travels back below the body while it stands: 0 for people at rest.
    """
    body = np.zeros((3, SPHERES, len(phase)))
    gait = _GAIT[:, ((phase + _HALF) * _STEPS).astype(np.intp) % _STEPS]
    active = np.minimum(span / 0.45, 1.2)
    gait[1:] *= active
    # Highest over the standing leg, lowest when both feet are down.
    rise = 0.535 - 0.018 * active * (1 + np.cos(4 * np.pi * phase))
    _legs(body, build, gait, span, rise)
    _trunk(body, build, gait[4], active)
    _extras(body, build)
    return body


def _legs(body: Array, build: Build, gait: Array, span: Array, rise: Array) -> None:
    """Feet from the gait table, knees by the cosine rule; both legs at once."""
    forward, left, up = body[:, HIPS : HIPS + 2]
    np.multiply(_SIDE, build.hip, out=left)
    np.multiply(gait[4], 0.016, out=forward)
    up[:] = rise
    ahead = gait[0] * span + gait[1] - forward
    drop = rise - 0.05 - gait[2]
    reach = np.sqrt(ahead * ahead + drop * drop)
    scale = np.minimum(1.0, 2 * _THIGH * 0.999 / reach)
    ahead *= scale
    drop *= scale
    reach *= scale
    bend = np.sqrt(_THIGH * _THIGH - 0.25 * reach * reach) / reach
    lateral = 0.75 * left
    knees, ankles = body[:, KNEES : KNEES + 2], body[:, ANKLES : ANKLES + 2]
    knees[0] = forward + 0.5 * ahead + bend * drop
    knees[2] = rise - 0.5 * drop + bend * ahead
    ankles[0] = forward + ahead
    ankles[2] = rise - drop
    knees[1] = ankles[1] = lateral
    _feet(body, ankles, gait[3])
    hips = body[:, HIPS : HIPS + 2]
    np.add(hips, build.hem * (knees - hips), out=body[:, HEM : HEM + 2])


def _feet(body: Array, ankles: Array, pitch: Array) -> None:
    cos, sin = np.cos(pitch), np.sin(pitch)
    heels, toes = body[:, HEELS : HEELS + 2], body[:, TOES : TOES + 2]
    heels[0] = ankles[0] - 0.016 * cos + 0.026 * sin
    heels[2] = ankles[2] - 0.026 * cos - 0.016 * sin
    heels[1] = ankles[1]
    toes[0] = ankles[0] + 0.092 * cos + 0.03 * sin
    toes[2] = np.maximum(ankles[2] - 0.032 * cos + 0.092 * sin, 0.016)
    toes[1] = ankles[1] + 0.018 * _SIDE


def _trunk(body: Array, build: Build, rhythm: Array, active: Array) -> None:
    """Waist, chest, head and arms stand on the hips and lean a little forward."""
    base = body[2, HIPS]
    lean = 0.01 + 0.012 * active
    body[0, _UPRIGHT] = _AHEAD + lean * (_UP / 0.3)
    body[2, _UPRIGHT] = base + _UP
    waist = body[:, WAIST : WAIST + 2]
    waist[0] = lean * 0.3
    waist[1] = _SIDE * build.hip
    waist[2] = base + 0.11
    _arms(body, build, rhythm, lean)


_UPRIGHT = slice(SKULL, CHEST + 1)  # skull, nape, jaw, neck, chest: above the hips, and ahead
_UP = np.array([[0.4235], [0.4205], [0.371], [0.315], [0.215]])
_AHEAD = np.array([[0.018], [-0.005], [0.028], [-0.004], [0.004]])


def _arms(body: Array, build: Build, rhythm: Array, lean: Array) -> None:
    """rhythm: (2, N), the legs' forward swing; each arm swings against its own leg."""
    shoulders = body[:, SHOULDERS : SHOULDERS + 2]
    shoulders[0] = lean * 0.9 - 0.018 * rhythm
    shoulders[1] = build.shoulder * _SIDE
    shoulders[2] = body[2, HIPS] + 0.276
    swing = build.swing * rhythm
    upper = build.arm - 0.42 * swing
    lower = upper + build.elbow + np.maximum(-0.22 * swing, 0)
    elbows = body[:, ELBOWS : ELBOWS + 2]
    elbows[0] = shoulders[0] + 0.17 * np.sin(upper)
    elbows[1] = shoulders[1] + 0.022 * _SIDE
    elbows[2] = shoulders[2] - 0.17 * np.cos(upper)
    ahead, down = np.sin(lower), np.cos(lower)
    for joint, away in ((WRISTS, 0.135), (HANDS, 0.18)):
        body[0, joint : joint + 2] = elbows[0] + away * ahead
        body[1, joint : joint + 2] = elbows[1] - 0.1 * away * _SIDE
        body[2, joint : joint + 2] = elbows[2] - away * down


def _extras(body: Array, build: Build) -> None:
    """Bag, hat and long hair; who has none has them hidden inside the body."""
    np.add(body[:, CHEST, None], build.bag, out=body[:, BAG : BAG + 2])
    body[:, HAT : HAT + 2] = body[:, SKULL, None]
    body[2, HAT] += build.hat[0]
    body[0, HAT + 1] += build.hat[1]
    body[:, HAIR] = body[:, NAPE]
    body[0, HAIR] -= 0.012
    body[2, HAIR] -= build.hair


def extents(x: Array, y: Array, radii: Array) -> Array:
    """(S, N) centers and radii in pixels -> (N, 4) boxes around them, xyxy."""
    low_x, low_y = (x - radii).min(axis=0), (y - radii).min(axis=0)
    return np.array([low_x, low_y, (x + radii).max(axis=0), (y + radii).max(axis=0)]).T
