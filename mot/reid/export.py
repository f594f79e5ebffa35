"""A trained embedder as an ONNX file: any number of crops at a time, unit vectors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from mot.detectors.export import INPUT, noise, packed, simplified, traced, write_checked
from mot.errors import MotError
from mot.reid.networks import EmbedderNetwork
from mot.runtime.onnx_metadata import describe
from mot.runtime.preprocess import InputSpec

# Of a unit vector; in half as many bytes its weights have three digits.
_TOLERANCE, _TOLERANCE_PACKED = 1e-4, 3e-3
_AXES = {"vectors": {0: "batch"}, INPUT: {0: "batch"}}


def export_embedder(
    model: EmbedderNetwork, spec: InputSpec, path: Path, small: bool = False
) -> None:
    """Write it, on wish in half as many bytes; a file that differs from it is not written."""
    model = copy.deepcopy(model).cpu().float().eval()

    def make() -> Any:
        file = simplified(traced(model, noise(model, spec.size, 2), _AXES))
        return packed(file) if small else file

    limit = _TOLERANCE_PACKED if small else _TOLERANCE

    def check(_: Any, session: Any) -> None:
        for batch in (1, 3):
            crops = noise(model, spec.size, batch)
            (found,) = session.run(None, {INPUT: crops.numpy()})
            off = float(np.abs(found - model(crops).numpy()).max())
            if not off <= limit:
                raise MotError(f"cannot export: its vectors are wrong by {off:.1g}")

    write_checked(path, make, describe(spec, ()), check)
