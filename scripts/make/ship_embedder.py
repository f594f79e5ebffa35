"""Make what `mot` ships of a trained embedder: `mot/weights/embedder.onnx`.

python scripts/make/ship_embedder.py runs/train/reid-person/best.safetensors [--common 0.47]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shipping import FOLDER, told_of

from mot.reid.export import export_embedder
from mot.reid.networks import load_embedder

FILE = FOLDER / "embedder.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("--common", type=float, default=0.47, help="by which distances are less")
    given = parser.parse_args()
    model, settings = load_embedder(given.trained)
    model.common = given.common
    export_embedder(model, settings.input_spec, FILE, packed=True)
    print(told_of(FILE))


if __name__ == "__main__":
    main()
