"""Put the mean of trained weights of `person`, or those of `joint`, into the package, for PyTorch
and ONNX Runtime.

python scripts/ship_person.py runs/train/person/best.safetensors [MORE.safetensors ...]
python scripts/ship_person.py runs/train/jde-person/best.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from mot.detectors.export import export
from mot.detectors.families import (
    CfgSettings,
    FileSettings,
    JdeSettings,
    load_model,
    metadata_of,
)
from mot.detectors.safetensors_header import read_metadata
from mot.detectors.weights import save_weights

FOLDER = Path(__file__).resolve().parent.parent / "mot" / "weights"
SIZE = (640, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path, nargs="+")
    trained = parser.parse_args().trained
    model, spec, names, settings = load_model(FileSettings(model=str(trained[-1])))
    model.load_state_dict(_mean([load_file(path) for path in trained]))
    assert isinstance(settings, CfgSettings | JdeSettings)
    name = "joint" if isinstance(settings, JdeSettings) else "person"
    settings = replace(settings, weights="", width=SIZE[0], height=SIZE[1])
    told = {"trained": read_metadata(trained[-1])["trained"], "licence": "Apache-2.0"}
    FOLDER.mkdir(exist_ok=True)
    save_weights(model, FOLDER / f"{name}.safetensors", metadata_of(settings) | told)
    export(model.fold(), replace(spec, size=SIZE), names, FOLDER / f"{name}.onnx")
    for path in sorted(FOLDER.glob(f"{name}.*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.name}  {path.stat().st_size / 1e6:.2f} MB  {digest}")


def _mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        for name, first in states[0].items()
    }


if __name__ == "__main__":
    main()
