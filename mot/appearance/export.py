"""A trained embedder as an ONNX file: any number of crops at a time, unit vectors."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mot.appearance.networks import EmbedderNetwork
from mot.detectors.export import import_onnx, quietly_on_one_thread, simplified
from mot.detectors.onnx_metadata import describe
from mot.detectors.onnx_session import import_runtime
from mot.detectors.pictures import InputSpec
from mot.errors import MotError
from mot.files import write_bytes

_INPUT, _OUTPUT = "images", "vectors"
_OPSET = 17
_TOLERANCE = 1e-4  # of a unit vector
_BATCHES = (1, 3)


def export_embedder(model: EmbedderNetwork, spec: InputSpec, path: Path) -> None:
    """Write it; a file that differs from it is not written."""
    onnx = import_onnx()
    model = copy.deepcopy(model).cpu().float().eval()
    with quietly_on_one_thread():
        try:
            file = simplified(_traced(model, spec))
            onnx.helper.set_model_props(file, describe(spec, ()))
            onnx.checker.check_model(file, full_check=True)
            data: bytes = file.SerializeToString()
            for batch in _BATCHES:
                _check(data, model, _crops(spec, batch))
        except MotError:
            raise
        except Exception as error:  # those of torch, onnx and ONNX Runtime have none in common
            reason = " ".join(str(error).split())[:300]
            raise MotError(f"{path}: cannot be exported: {reason}") from error
    write_bytes(path, data)


def _crops(spec: InputSpec, batch: int) -> Tensor:
    """Noise."""
    generator = torch.Generator().manual_seed(batch)
    return torch.rand(batch, 3, spec.size[1], spec.size[0], generator=generator)


def _traced(model: EmbedderNetwork, spec: InputSpec) -> Any:
    to_onnx: Any = torch.onnx.export
    traced = io.BytesIO()
    to_onnx(
        model,
        (_crops(spec, 2),),
        traced,
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_axes={_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,  # as detectors' networks are
    )
    return import_onnx().load_from_string(traced.getvalue())


def _check(data: bytes, model: EmbedderNetwork, crops: Tensor) -> None:
    session = import_runtime().InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {_INPUT: crops.numpy()})
    off = float(np.abs(found - model(crops).numpy()).max())
    if not off <= _TOLERANCE:
        raise MotError(f"cannot export: its vectors are wrong by {off:.1g}")
