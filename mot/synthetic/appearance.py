"""Appearance of a person: body build, skin, hair and clothes, drawn from muted palettes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.synthetic import body
from mot.synthetic.body import Array, Build

Color = tuple[int, int, int]  # BGR

# Written as RGB, as palettes are; `_pick` turns them round.
_SKIN = (
    (236, 200, 178), (226, 184, 156), (214, 168, 138), (190, 142, 112),
    (160, 114, 86), (124, 86, 64), (92, 64, 50),
)  # fmt: skip
_HAIR = (
    (30, 26, 24), (44, 34, 28), (66, 48, 36), (92, 66, 46), (130, 98, 62), (176, 144, 98),
    (120, 116, 112), (178, 174, 168), (92, 60, 44),
)  # fmt: skip
_TOPS = (
    (36, 40, 50), (52, 56, 66), (74, 82, 98), (204, 202, 196), (228, 226, 220), (122, 44, 44),
    (146, 70, 58), (58, 78, 66), (96, 106, 78), (150, 132, 104), (186, 166, 134), (70, 90, 126),
    (112, 134, 164), (104, 92, 112), (168, 158, 150), (88, 60, 48), (174, 146, 94), (160, 108, 108),
    (28, 30, 34), (60, 96, 108),
)  # fmt: skip
_TROUSERS = (
    (34, 40, 58), (48, 60, 88), (72, 86, 114), (28, 28, 32), (60, 60, 64), (94, 92, 88),
    (140, 124, 100), (172, 156, 130), (74, 66, 52), (86, 64, 50),
)  # fmt: skip
_SHOES = ((24, 22, 22), (46, 36, 30), (84, 60, 42), (200, 198, 194), (110, 108, 108), (60, 64, 76))
_BAGS = ((38, 36, 36), (92, 62, 40), (60, 70, 84), (120, 50, 46), (86, 92, 70), (150, 136, 112))

_RADII = np.zeros(body.SPHERES)
_RADII[[body.SKULL, body.NAPE, body.JAW, body.NECK, body.CHEST]] = 0.0455, 0.047, 0.031, 0.033, 0.06
for _first, _radius in (
    (body.SHOULDERS, 0.034), (body.ELBOWS, 0.026), (body.WRISTS, 0.019), (body.HANDS, 0.021),
    (body.WAIST, 0.048), (body.HIPS, 0.052), (body.KNEES, 0.035), (body.ANKLES, 0.025),
    (body.TOES, 0.016), (body.HEELS, 0.021), (body.HEM, 0.03), (body.BAG, 0.02),
    (body.HAT, 0.02),
):  # fmt: skip
    _RADII[_first : _first + 2] = _radius
_RADII[body.HAIR] = 0.02


@dataclass(frozen=True, slots=True)
class Look:
    skin: Color
    hair: Color
    top: Color
    inner: Color  # the shirt below an open jacket
    legs: Color
    shoes: Color
    bag: Color
    hat: Color
    pattern: str  # of the top: plain, stripes, checks, block, print
    jacket: bool
    sleeves: str  # long, short
    bottom: str  # trousers, shorts, skirt, coat
    bag_kind: str  # none, backpack, shoulder
    hat_kind: str  # none, cap, beanie, hood
    hair_kind: str  # short, long, bun, bald
    grain: int  # which fabric texture


def _pick(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Color:
    rgb = np.asarray(palette[int(rng.integers(len(palette)))], float)
    shaded = np.clip(rgb * rng.uniform(0.88, 1.08) + rng.uniform(-6, 6, 3), 12, 236)
    red, green, blue = (int(value) for value in shaded)
    return blue, green, red


def _choose(rng: np.random.Generator, options: dict[str, float]) -> str:
    shares = np.array(list(options.values()))
    return str(rng.choice(list(options), p=shares / shares.sum()))


def make_look(rng: np.random.Generator) -> Look:
    longer = rng.random() < 0.5  # long hair goes with skirts more often than not
    bottoms = {"trousers": 0.8, "shorts": 0.08, "coat": 0.14}
    bottom = _choose(rng, bottoms | ({"skirt": 0.25} if longer else {}))
    jacket = bottom == "coat" or rng.random() < 0.4
    hats = {"none": 0.76, "cap": 0.09, "beanie": 0.09, "hood": 0.06}
    hairs = {"long": 0.7, "bun": 0.2, "short": 0.1} if longer else {"short": 0.9, "bald": 0.1}
    bags = {"none": 0.56, "backpack": 0.24, "shoulder": 0.2}
    prints = {"plain": 0.6, "stripes": 0.14, "checks": 0.09, "block": 0.09, "print": 0.08}
    short = not jacket and rng.random() < 0.45
    return Look(
        skin=_pick(rng, _SKIN),
        hair=_pick(rng, _HAIR),
        top=_pick(rng, _TOPS),
        inner=_pick(rng, _TOPS),
        legs=_pick(rng, _TROUSERS),
        shoes=_pick(rng, _SHOES),
        bag=_pick(rng, _BAGS),
        hat=_pick(rng, _TOPS),
        pattern=_choose(rng, {"plain": 1.0} if jacket else prints),
        jacket=jacket,
        sleeves="short" if short else "long",
        bottom=bottom,
        bag_kind=_choose(rng, bags),
        hat_kind=_choose(rng, hats),
        hair_kind=_choose(rng, hairs),
        grain=int(rng.integers(8)),
    )


def make_build(rng: np.random.Generator, appearance: Look) -> Build:
    """The body below the look, as arrays for one person."""
    width = float(np.clip(rng.normal(1.0, 0.09), 0.84, 1.28))
    slim = appearance.hair_kind in ("long", "bun")
    radii = _RADII * 1.0
    radii[body.CHEST :] *= 0.5 + 0.5 * width
    radii[[body.WAIST, body.WAIST + 1]] *= width ** (1.2 if not slim else 0.8)
    if appearance.jacket:
        radii[[body.SHOULDERS, body.SHOULDERS + 1, body.ELBOWS, body.ELBOWS + 1]] *= 1.13
    build = Build(
        radii=radii[:, None],
        shoulder=np.array([(0.086 if slim else 0.098) * (0.6 + 0.4 * width)]),
        hip=np.array([0.044 * (0.5 + 0.5 * width) * (1.1 if slim else 1.0)]),
        swing=np.full((2, 1), rng.uniform(0.6, 1.1)),
        arm=np.full((2, 1), rng.uniform(-0.06, 0.06)),
        elbow=np.full((2, 1), rng.uniform(0.15, 0.4)),
        hem=np.zeros(1),
        bag=np.zeros((3, 2, 1)),
        hat=np.zeros((2, 1)),
        hair=np.zeros(1),
    )
    _dress(build, appearance, rng)
    _hold(build, rng)
    return build


def _dress(build: Build, appearance: Look, rng: np.random.Generator) -> None:
    """Give the extra spheres of hem, bag, hat and hair their place and size."""
    radii = build.radii[:, 0]
    if appearance.bottom in ("trousers", "coat"):
        radii[body.KNEES : body.KNEES + 2] *= 1.08
        radii[body.ANKLES : body.ANKLES + 2] *= rng.uniform(1.05, 1.4)
    if appearance.bottom in ("skirt", "coat"):
        build.hem[0] = (
            rng.uniform(0.55, 1.1) if appearance.bottom == "skirt" else rng.uniform(0.4, 0.9)
        )
        radii[body.HEM : body.HEM + 2] = 0.056 if appearance.bottom == "skirt" else 0.06
    if appearance.bag_kind == "backpack":
        build.bag[..., 0] = [[-0.095, -0.1], [0.0, 0.0], [0.02, -0.09]]
        radii[body.BAG : body.BAG + 2] = 0.05, 0.056
    elif appearance.bag_kind == "shoulder":
        side = rng.choice([-1.0, 1.0])
        build.bag[..., 0] = [[0.0, -0.02], [side * 0.125, side * 0.12], [-0.19, -0.24]]
        radii[body.BAG : body.BAG + 2] = 0.035, 0.04
    if appearance.hat_kind != "none":
        build.hat[:, 0] = [0.012, 0.075 if appearance.hat_kind == "cap" else 0.0]
        radii[body.HAT] = 0.049
        radii[body.HAT + 1] = 0.012 if appearance.hat_kind == "cap" else 0.02
    if appearance.hair_kind == "long":
        build.hair[0] = rng.uniform(0.05, 0.12)
        radii[body.HAIR] = 0.036
    elif appearance.hair_kind == "bun":
        build.hair[0] = -0.028
        radii[body.HAIR] = 0.028


def _hold(build: Build, rng: np.random.Generator) -> None:
    """Some look at a telephone, some keep a hand in a pocket."""
    side = int(rng.integers(2))
    kind = _choose(rng, {"free": 0.7, "phone": 0.14, "pocket": 0.16})
    if kind == "phone":
        build.arm[side], build.elbow[side], build.swing[side] = 0.25, 1.75, 0.05
    elif kind == "pocket":
        build.arm[side], build.elbow[side], build.swing[side] = -0.3, 0.75, 0.15


def make_vector(rng: np.random.Generator, size: int = 64) -> Array:
    """(1, size): the direction that this person's appearance has for a re-ID network."""
    vector = rng.normal(size=(1, size))
    return np.asarray(vector / np.linalg.norm(vector))
