"""Put trained weights of `person`, or those of `joint`, into the package, for PyTorch and ONNX
Runtime.

python scripts/make/ship_detector.py runs/train/person/best.safetensors --start WEIGHTS
python scripts/make/ship_detector.py runs/train/jde-person/best.safetensors

What a network learned of many pictures, and forgets of few, comes back where it is led a part of
its way back to its start (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from shipping import FOLDER, told_of
from torch import nn

from mot.detectors.architectures import FileSettings, checkpoint_metadata, load_model
from mot.detectors.built_in import WIDE_BLOCK
from mot.detectors.darknet.model import load_darknet
from mot.detectors.export import export
from mot.detectors.models.architecture import CfgSettings, JdeSettings
from mot.runtime.checkpoints import save_weights
from mot.runtime.safetensors_metadata import read_metadata
from mot.training.initial_model import find_weights_file

SIZE = (640, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("--start", help="the Darknet network that it began as")
    parser.add_argument("--way", type=float, default=0.7, help="that is kept of the one from there")
    given = parser.parse_args()
    model, spec, names, settings = load_model(FileSettings(model=str(given.trained)))
    if given.start:
        start = find_weights_file(given.start)
        lead_back(model, load_darknet(start, start.with_suffix(".weights")), given.way)
    assert isinstance(settings, CfgSettings | JdeSettings)
    name = "joint" if isinstance(settings, JdeSettings) else "person"
    settings = replace(settings, weights="", width=SIZE[0], height=SIZE[1])
    told = {"trained": read_metadata(given.trained)["trained"], "licence": "Apache-2.0"}
    FOLDER.mkdir(exist_ok=True)
    save_weights(model, FOLDER / f"{name}.safetensors", checkpoint_metadata(settings) | told)
    model, spec = model.fold(), replace(spec, size=SIZE)
    export(model, spec, names, FOLDER / f"{name}.onnx")
    export(model, spec, names, FOLDER / f"{name}{WIDE_BLOCK}.onnx", block=WIDE_BLOCK)
    for path in sorted(FOLDER.glob(f"{name}*")):
        print(told_of(path))


def lead_back(model: nn.Module, start: nn.Module, way: float) -> None:
    """Of layers that the start does not have nothing changes."""
    theirs = start.state_dict()
    with torch.no_grad():
        for name, array in model.state_dict().items():
            if name in theirs and array.is_floating_point():
                array.copy_(way * array.double() + (1 - way) * theirs[name].double())


if __name__ == "__main__":
    main()
