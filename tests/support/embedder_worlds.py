"""MOT sequences of objects whose two colors identify them, under changing light."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mot.opencv import cv2

IDENTITIES = 6
SIDES = (120, 60)  # pixels of a frame: width, height
_LIGHT = 0.45  # largest change of each channel


def write_sequence(folder: Path, frames: int, seed: int = 0, step: int = 1) -> Path:
    """The same identities in every sequence; only each `step`-th frame has an image."""
    colors = np.random.default_rng(99).integers(40, 216, (IDENTITIES, 2, 3))
    rng = np.random.default_rng(seed)
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    rows = []
    for frame in range(1, frames + 1):
        columns = rng.permutation(IDENTITIES) * (SIDES[0] // IDENTITIES)
        for identity, left in enumerate(columns.tolist()):
            rows.append(f"{frame},{identity + 1},{left + 1},{11},{16},{40},1,1,1")
        if (frame - 1) % step == 0:
            image = _draw(colors, columns, rng)
            cv2.imwrite(str(folder / "img1" / f"{frame:06d}.png"), image)
    (folder / "gt" / "gt.txt").write_text("\n".join(rows) + "\n")
    width, height = SIDES
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=10\nseqLength={frames}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.png\n"
    )
    return folder


def _draw(colors: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width, height = SIDES
    image = rng.integers(0, 256, (height, width, 3)).astype(np.float64)
    for (upper, lower), left in zip(colors, columns.tolist(), strict=True):
        light = rng.uniform(1 - _LIGHT, 1 + _LIGHT, 3)
        image[12:30, left + 2 : left + 14] = upper * light
        image[30:50, left + 2 : left + 14] = lower * light
    return np.clip(image, 0, 255).astype(np.uint8)
