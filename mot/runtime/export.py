"""Exports PyTorch models to ONNX: trace, simplify, verify against the original, write."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mot.errors import MotError
from mot.files import write_bytes
from mot.runtime.onnx_session import import_onnxruntime
from mot.runtime.preprocess import Size

INPUT = "images"  # name of the input, (B, 3, H, W)
_OPSET = 17


def export_verified(
    path: Path,
    make: Callable[[], Any],
    metadata: Mapping[str, str],
    verify: Callable[[Any, Any], None],
) -> None:
    """Writes the ONNX model that `make` returns, if it is valid and passes `verify`.

    `verify` takes the model and an ONNX Runtime session of it, and raises if outputs differ.
    """
    onnx = import_onnx()
    with _quiet_single_thread():
        try:
            file = make()
            onnx.helper.set_model_props(file, metadata)
            onnx.checker.check_model(file, full_check=True)
            data: bytes = file.SerializeToString()
            runtime = import_onnxruntime()
            options = runtime.SessionOptions()
            options.intra_op_num_threads = 1
            providers = ["CPUExecutionProvider"]
            verify(file, runtime.InferenceSession(data, options, providers=providers))
        except MotError:
            raise
        except Exception as error:  # those of torch, onnx and ONNX Runtime have no common base
            reason = " ".join(str(error).split())[:300]
            raise MotError(f"{path}: cannot be exported: {reason}") from error
    write_bytes(path, data)


def import_onnx() -> Any:
    """The module onnx; raises if it or onnxscript, which `simplify` needs, is missing."""
    try:
        import onnx
        import onnxscript.optimizer
    except ImportError as error:
        raise MotError(f"cannot export ({error}): pip install 'mot-tracking[torch]'") from None
    del onnxscript
    return onnx


@contextmanager
def _quiet_single_thread() -> Iterator[None]:
    """Small images take longer on several threads. Exporter warnings are moot: outputs are
    verified."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(count)


def sample_images(model: nn.Module, size: Size, batch: int) -> Tensor:
    """(B, 3, H, W) random images of the model's type."""
    generator = torch.Generator().manual_seed(batch)
    images = torch.rand(batch, 3, size[1], size[0], generator=generator)
    return images.to(next(model.parameters()).dtype)


def trace(model: nn.Module, sample: Tensor, axes: Mapping[str, Mapping[int, str]]) -> Any:
    """ONNX model of a PyTorch model.

    `axes` names the sides of any length: of each output, in their order, and of `INPUT`.
    """
    to_onnx: Any = torch.onnx.export
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "traced.onnx"
        to_onnx(
            model,
            (sample,),
            file,
            input_names=[INPUT],
            output_names=[name for name in axes if name != INPUT],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,  # which takes forty times as long, for a graph that is no faster
        )
        return import_onnx().load(file)


def simplify(file: Any) -> Any:
    """Folds constants, and drops slices and casts without effect."""
    import onnxscript.optimizer

    return onnxscript.optimizer.optimize(file)


def pack_weights(file: Any) -> Any:
    """Stores float32 weights as float16, half the bytes; a session casts them back once."""
    onnx = import_onnx()
    graph, casts = file.graph, []
    for array in graph.initializer:
        weights = onnx.numpy_helper.to_array(array)
        if weights.dtype == np.float32 and weights.ndim > 1:
            name, stored = array.name, f"{array.name}.stored"
            array.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float16), stored))
            casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return file
