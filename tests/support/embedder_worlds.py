"""People whose two colours tell them apart, filmed in changing light: sequences in MOT's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mot.opencv import cv2

PEOPLE = 6
SIDES = (120, 60)  # pixels of a picture: width, height
_LIGHTS = 0.45  # how much each channel's light changes


def write_sequence(folder: Path, frames: int, seed: int = 0, step: int = 1) -> Path:
    """The same people in every sequence; only each `step`-th picture is there."""
    colours = np.random.default_rng(99).integers(40, 216, (PEOPLE, 2, 3))
    rng = np.random.default_rng(seed)
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    rows = []
    for frame in range(1, frames + 1):
        places = rng.permutation(PEOPLE) * (SIDES[0] // PEOPLE)
        for person, left in enumerate(places.tolist()):
            rows.append(f"{frame},{person + 1},{left + 1},{11},{16},{40},1,1,1")
        if (frame - 1) % step == 0:
            picture = _picture(colours, places, rng)
            cv2.imwrite(str(folder / "img1" / f"{frame:06d}.png"), picture)
    (folder / "gt" / "gt.txt").write_text("\n".join(rows) + "\n")
    width, height = SIDES
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=10\nseqLength={frames}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.png\n"
    )
    return folder


def _picture(colours: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width, height = SIDES
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.float64)
    for (upper, lower), left in zip(colours, places.tolist(), strict=True):
        light = rng.uniform(1 - _LIGHTS, 1 + _LIGHTS, 3)
        picture[12:30, left + 2 : left + 14] = upper * light
        picture[30:50, left + 2 : left + 14] = lower * light
    return np.clip(picture, 0, 255).astype(np.uint8)
