"""Make what `mot` ships of a trained embedder: `mot/weights/embedder.onnx`.

    python scripts/ship_embedder.py runs/train/reid-person/best.safetensors [common]

`common` is the share by which distances are made less, so that the trackers' limits fit them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from mot.appearance.export import export_embedder
from mot.appearance.networks import load_embedder
from mot.appearance.settings import spec_of

FILE = Path(__file__).resolve().parents[1] / "mot" / "weights" / "embedder.onnx"


def main(best: Path, common: float) -> None:
    model, settings = load_embedder(best)
    model.common = common
    export_embedder(model, spec_of(settings), FILE)
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    print(f"{FILE.name}: {FILE.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float([*sys.argv, "0"][2]))
