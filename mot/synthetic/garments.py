"""Which parts a dressed person is made of, and in which order they are painted."""

from __future__ import annotations

from dataclasses import dataclass

from mot.synthetic import body
from mot.synthetic.appearance import Color, Look
from mot.synthetic.body import Array


@dataclass(frozen=True, slots=True)
class Part:
    """The convex hull of some spheres, in one color or with the top's pattern."""

    spheres: tuple[int, ...]
    colour: Color
    depth: float  # larger is further away
    grow: float = 1.0  # of the spheres' radii; up to 1 it stays within the body's box
    offset: tuple[float, float] = (0.0, 0.0)  # right and down, in body heights
    texture: str | None = None
    light: float = 1.0
    shaded: bool = True


def darker(colour: Color, by: float) -> Color:
    return tuple(int(value * by) for value in colour)  # type: ignore[return-value]


def dress(appearance: Look, right: float, away: float, depth: Array) -> list[Part]:
    """All parts from the back to the front.

    right and away: where the person faces, seen from the camera; depth: of each sphere.
    """
    parts = (
        _legs(appearance, depth)
        + _trunk(appearance, right, away, depth)
        + _head(appearance, right, away, depth)
    )
    for side in (0, 1):
        parts += _arm(appearance, side, depth)
    parts += _bag(appearance, away, depth)
    return sorted(parts, key=lambda part: -part.depth)


def _legs(appearance: Look, depth: Array) -> list[Part]:
    parts = []
    lower = {"shorts": appearance.skin, "skirt": appearance.skin}.get(
        appearance.bottom, appearance.legs
    )
    upper = appearance.skin if appearance.bottom == "skirt" else appearance.legs
    nearest = int(depth[body.HIPS] > depth[body.HIPS + 1])
    for side in (0, 1):
        hip, knee = body.HIPS + side, body.KNEES + side
        ankle, toe, heel = body.ANKLES + side, body.TOES + side, body.HEELS + side
        far = 0.0 if side == nearest else 0.06
        light = 0.84 if far else 1.0
        base = float(depth[body.CHEST]) + 0.02 + far
        parts += [
            Part((heel, toe), appearance.shoes, base + 0.012, light=light),
            Part((heel, ankle), appearance.shoes, base + 0.011, grow=0.98, light=light),
            Part((knee, ankle), lower, base + 0.01, light=light),
            Part((hip, knee), upper, base + 0.005, light=light),
        ]
        if appearance.bottom == "shorts":
            parts.append(Part((knee,), appearance.legs, base + 0.004, light=light))
    return parts


def _trunk(appearance: Look, right: float, away: float, depth: Array) -> list[Part]:
    base = float(depth[body.CHEST])
    hips, waist = (body.HIPS, body.HIPS + 1), (body.WAIST, body.WAIST + 1)
    shoulders = (body.SHOULDERS, body.SHOULDERS + 1)
    texture = None if appearance.pattern == "plain" else appearance.pattern
    parts = [
        Part(hips + waist, appearance.legs, base + 0.015),
        Part(
            (*shoulders, body.NECK),
            appearance.top,
            base + 0.0005,
            grow=0.86,
            offset=(0, 0.004),
            texture=texture,
        ),
        Part((*shoulders, *waist, body.CHEST), appearance.top, base, texture=texture),
        Part(
            (*waist, *hips),
            appearance.top,
            base + 0.001,
            grow=0.99,
            offset=(0, -0.022),
            texture=texture,
        ),
    ]
    hem = (body.HEM, body.HEM + 1)
    if appearance.bottom == "skirt":
        parts.append(Part(hips + hem, appearance.legs, base + 0.014))
    if appearance.bottom == "coat":
        parts.append(Part(hips + hem + waist, appearance.top, base + 0.0005))
    if appearance.jacket and away < 0.35:
        shift = (0.03 * right, 0.0)
        front = (body.CHEST, body.NECK, body.CHEST)
        parts.append(Part((*front,), appearance.inner, base - 0.001, grow=0.42, offset=shift))
    return parts


def _arm(appearance: Look, side: int, depth: Array) -> list[Part]:
    shoulder, elbow = body.SHOULDERS + side, body.ELBOWS + side
    wrist, hand = body.WRISTS + side, body.HANDS + side
    chest = float(depth[body.CHEST])
    aside = float(depth[shoulder] + depth[elbow] - 2 * chest) / 2
    in_front = float(depth[hand]) - chest
    base = chest + (0.07 if aside > 0.045 else -0.07 if aside < -0.01 or in_front < 0 else 0.012)
    light = 0.84 if aside > 0.045 else 1.0
    fore = appearance.skin if appearance.sleeves == "short" else appearance.top
    texture = None if appearance.pattern in ("plain", "print", "block") else appearance.pattern
    return [
        Part((wrist, hand), appearance.skin, base + 0.003, light=light, grow=0.95),
        Part(
            (elbow, wrist),
            fore,
            base + 0.002,
            light=light,
            texture=texture if appearance.sleeves == "long" else None,
        ),
        Part((shoulder, elbow), appearance.top, base + 0.001, light=light, texture=texture),
    ]


def _head(appearance: Look, right: float, away: float, depth: Array) -> list[Part]:
    base = float(depth[body.CHEST]) - 0.15
    skull, nape, jaw = body.SKULL, body.NAPE, body.JAW
    back = away > 0.25
    bald = appearance.hair_kind == "bald"
    hair = appearance.skin if bald else appearance.hair
    parts = [
        Part((body.NECK, jaw), darker(appearance.skin, 0.85), base + 0.02, grow=0.9, light=0.9),
        Part((skull, nape), hair, base + 0.01),
        Part((skull, jaw), appearance.skin, base, grow=0.9, offset=(0.008 * right, 0.012)),
    ]
    if not bald:
        parts.append(
            Part(
                (nape,),
                hair,
                base - 0.001 if abs(right) > 0.3 or back else base + 0.005,
                grow=0.94,
                offset=(-0.012 * right, -0.0),
            )
        )
        parts.append(Part((skull,), hair, base - 0.002, grow=0.62, offset=(-0.004 * right, -0.017)))
    if back:
        parts.append(Part((skull, nape), hair, base - 0.003, grow=0.98))
        parts.append(Part((nape, jaw), hair, base - 0.003, grow=0.8))
    else:
        parts += _face(appearance, right, away, base)
    if appearance.hair_kind in ("long", "bun"):
        order = base - 0.004 if away > -0.2 else base + 0.015
        parts.append(Part((nape, body.HAIR), hair, order, grow=0.97))
    return parts + _hat(appearance, right, away, base)


def _face(appearance: Look, right: float, away: float, base: float) -> list[Part]:
    """The face as faint marks, which show on large people only."""
    dark = darker(appearance.skin, 0.45)
    parts = []
    for side in (-1, 1):
        x = 0.014 * side * -away + 0.026 * right
        if x * right < 0.036 * abs(right) + 0.01:
            parts.append(
                Part((body.SKULL,), dark, base - 0.0015, grow=0.09, offset=(x, 0.012), shaded=False)
            )
    mouth = (0.024 * right, 0.044)
    lips = darker(appearance.skin, 0.68)
    parts.append(Part((body.SKULL,), lips, base - 0.0015, grow=0.12, offset=mouth, shaded=False))
    return parts


def _hat(appearance: Look, right: float, away: float, base: float) -> list[Part]:
    if appearance.hat_kind == "none":
        return []
    parts = [Part((body.HAT,), appearance.hat, base - 0.006, offset=(0.0, -0.0), grow=0.98)]
    if appearance.hat_kind == "cap":
        parts.append(
            Part(
                (body.HAT + 1, body.SKULL),
                darker(appearance.hat, 0.8),
                base - 0.0055 if away < 0.2 else base + 0.02,
                grow=0.5,
            )
        )
    if appearance.hat_kind == "hood":
        parts.append(Part((body.NAPE, body.NECK), appearance.top, base + 0.012, grow=1.0))
    return parts


def _bag(appearance: Look, away: float, depth: Array) -> list[Part]:
    if appearance.bag_kind == "none":
        return []
    chest = float(depth[body.CHEST])
    bag = (body.BAG, body.BAG + 1)
    nearer = float(depth[body.BAG]) < chest - 0.01
    base = chest + (-0.12 if nearer else 0.13)
    parts = [Part(bag, appearance.bag, base)]
    if appearance.bag_kind == "backpack" and away < 0.3:
        for side in (0, 1):
            strap = (body.SHOULDERS + side, body.WAIST + side)
            parts.append(Part(strap, appearance.bag, chest - 0.002, grow=0.22))
    if appearance.bag_kind == "shoulder":
        parts.append(Part((body.NECK, body.BAG), appearance.bag, base + 0.001, grow=0.16))
    return parts
