"""Exports a trained embedder to ONNX: any number of crops to unit vectors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from mot.errors import MotError
from mot.reid.networks import EmbedderNetwork
from mot.runtime.export import (
    INPUT,
    export_verified,
    pack_weights,
    sample_images,
    simplify,
    trace,
)
from mot.runtime.onnx_metadata import make_metadata
from mot.runtime.preprocess import InputSpec

# Largest error of a component; weights packed as float16 have three digits.
_TOLERANCE, _TOLERANCE_PACKED = 1e-4, 3e-3
_AXES = {"vectors": {0: "batch"}, INPUT: {0: "batch"}}


def export_embedder(
    model: EmbedderNetwork, spec: InputSpec, path: Path, packed: bool = False
) -> None:
    """Writes an ONNX file of the model; raises if its vectors differ.

    `packed` stores the weights as float16, in half the bytes.
    """
    model = copy.deepcopy(model).cpu().float().eval()

    def make() -> Any:
        file = simplify(trace(model, sample_images(model, spec.size, 2), _AXES))
        return pack_weights(file) if packed else file

    limit = _TOLERANCE_PACKED if packed else _TOLERANCE

    def verify(_: Any, session: Any) -> None:
        for batch in (1, 3):
            crops = sample_images(model, spec.size, batch)
            (found,) = session.run(None, {INPUT: crops.numpy()})
            error = float(np.abs(found - model(crops).numpy()).max())
            if not error <= limit:
                raise MotError(f"cannot export: its vectors differ by {error:.1g}")

    export_verified(path, make, make_metadata(spec, ()), verify)
