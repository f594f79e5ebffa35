"""Put the best weights of a training of `person` into the package, for PyTorch and ONNX Runtime.

python scripts/ship_person.py runs/train/person/best.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

from mot.detectors.export import export
from mot.detectors.families import CfgSettings, FileSettings, load_model, metadata_of
from mot.detectors.safetensors_header import read_metadata
from mot.detectors.weights import save_weights

FOLDER = Path(__file__).resolve().parent.parent / "mot" / "weights"
SIZE = (640, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("best", type=Path)
    best = parser.parse_args().best
    model, spec, names, settings = load_model(FileSettings(model=str(best)))
    assert isinstance(settings, CfgSettings)
    settings = replace(settings, weights="", width=SIZE[0], height=SIZE[1])
    told = {"trained": read_metadata(best)["trained"], "licence": "Apache-2.0"}
    FOLDER.mkdir(exist_ok=True)
    save_weights(model, FOLDER / "person.safetensors", metadata_of(settings) | told)
    export(model.fold(), replace(spec, size=SIZE), names, FOLDER / "person.onnx")
    for path in sorted(FOLDER.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name}  {path.stat().st_size / 1e6:.2f} MB  {digest}")


if __name__ == "__main__":
    main()
