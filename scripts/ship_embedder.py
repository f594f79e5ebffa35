"""Make what `mot` ships of a trained embedder: `mot/weights/embedder.onnx`.

    python scripts/ship_embedder.py runs/train/reid-person/best.safetensors [--common 0.43]
        [--start EARLIER.safetensors --way 0.7]

As those of `person`, its weights may be led a part of the way back to what they began as.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ship_person import FOLDER, lead_back, told_of

from mot.appearance.export import export_embedder
from mot.appearance.networks import load_embedder
from mot.appearance.settings import spec_of

FILE = FOLDER / "embedder.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("--common", type=float, default=0.43, help="by which distances are less")
    parser.add_argument("--start", type=Path, help="what it began as")
    parser.add_argument("--way", type=float, default=0.7, help="that is kept of the one from there")
    given = parser.parse_args()
    model, settings = load_embedder(given.trained)
    if given.start:
        lead_back(model, load_embedder(given.start)[0], given.way)
    model.common = given.common
    export_embedder(model, spec_of(settings), FILE, small=True)
    print(told_of(FILE))


if __name__ == "__main__":
    main()
