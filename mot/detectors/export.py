"""A detector's PyTorch model as an ONNX file: any batch and size, boxes decoded, NMS outside."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mot.detectors.onnx import OUTPUTS
from mot.detectors.onnx_metadata import describe
from mot.detectors.onnx_outputs import Array
from mot.detectors.onnx_session import import_runtime
from mot.detectors.pictures import InputSpec, Size
from mot.errors import MotError
from mot.files import write_bytes

_INPUT = "images"
_OPSET = 17
# How far it may be from the original: scores, and boxes in parts of their sides.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-2}
_LEAST_SAME = 0.8  # share of the candidates of a network that chooses them
Arrays = Sequence[Array]


def export(
    model: nn.Module,
    spec: InputSpec,
    names: Sequence[str],
    path: Path,
    half: bool = False,
    block: int = 4,
) -> None:
    """Write a model whose `forward` is a `Decoding`; a file that differs from it is not written.

    With `half` its weights and pictures are float16. It is the fastest on CPUs that take `block`
    channels at a time: 4 is good on any, `cpu_block()` better on this one.
    """
    onnx = import_onnx()
    from mot.detectors.onnx_padding import pad_channels

    model = copy.deepcopy(model).cpu().eval().to(torch.float16 if half else torch.float32)
    with quietly_on_one_thread():
        try:
            file = pad_channels(simplified(_traced(model, spec)), block)
            onnx.helper.set_model_props(file, describe(spec, names))
            onnx.checker.check_model(file, full_check=True)
            data: bytes = file.SerializeToString()
            is_choosy = any(node.op_type == "TopK" for node in file.graph.node)
            for size, batch in zip(_trial_sizes(spec), (1, 3), strict=True):
                _check(data, model, _sample(model, size, batch), is_choosy)
        except MotError:
            raise
        except Exception as error:  # those of torch, onnx and ONNX Runtime have none in common
            reason = " ".join(str(error).split())[:300]
            raise MotError(f"{path}: cannot be exported: {reason}") from error
    write_bytes(path, data)


def import_onnx() -> Any:
    try:
        import onnx
        import onnxscript.optimizer
    except ImportError as error:
        raise MotError(f"cannot export ({error}): pip install 'mot-tracking[torch]'") from None
    del onnxscript
    return onnx


@contextmanager
def quietly_on_one_thread() -> Iterator[None]:
    """Small pictures take longer on several; what exporting warns of is tried out after it."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(count)


def _trial_sizes(spec: InputSpec) -> tuple[Size, Size]:
    if spec.is_fixed:
        return spec.size, spec.size
    return (4 * spec.stride, 3 * spec.stride), (5 * spec.stride, 6 * spec.stride)


def _sample(model: nn.Module, size: Size, batch: int) -> Tensor:
    """Noise, as a model of this type takes it."""
    generator = torch.Generator().manual_seed(batch)
    noise = torch.rand(batch, 3, size[1], size[0], generator=generator)
    return noise.to(next(model.parameters()).dtype)


def _traced(model: nn.Module, spec: InputSpec) -> Any:
    sample = _sample(model, _trial_sizes(spec)[0], 2)
    widths = {name: output.shape[2] for name, output in zip(OUTPUTS, model(sample), strict=False)}
    sides = {} if spec.is_fixed else {2: "height", 3: "width"}
    axes = {name: {0: "batch", 1: "candidates"} for name in widths}
    to_onnx: Any = torch.onnx.export
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "traced.onnx"
        to_onnx(
            model,
            (sample,),
            traced,
            input_names=[_INPUT],
            output_names=list(widths),
            dynamic_axes={**axes, _INPUT: {0: "batch", **sides}},
            opset_version=_OPSET,
            dynamo=False,  # which takes forty times as long, for a graph that is no faster
        )
        file = import_onnx().load(traced)
    for output in file.graph.output:  # whose last side tracing forgets
        output.type.tensor_type.shape.dim[2].dim_value = widths[output.name]
    return file


def simplified(file: Any) -> Any:
    """Constants folded; slices and casts that change nothing dropped."""
    import onnxscript.optimizer

    return onnxscript.optimizer.optimize(file)


def _check(data: bytes, model: nn.Module, sample: Tensor, is_choosy: bool) -> None:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {_INPUT: sample.numpy()})
    wanted = [output.float().numpy() for output in model(sample)]
    shapes, others = ([output.shape for output in outputs] for outputs in (found, wanted))
    size = "x".join(map(str, sample.shape[:1:-1]))
    if shapes != others:
        raise MotError(f"cannot export: at {size} it gives {shapes}, not {others}")
    limit = _TOLERANCE[sample.dtype]
    if is_choosy:
        same = min(map(_share_found, *found[:2], *wanted[:2], [limit] * len(sample)))
        if same < _LEAST_SAME:
            raise MotError(f"cannot export: at {size} only {same:.0%} of the candidates are right")
    elif not (off := _largest_error(found, wanted)) <= limit:
        raise MotError(f"cannot export: at {size} its outputs are wrong by {off:.1g}")


def _largest_error(found: Arrays, wanted: Arrays) -> float:
    """NaN where one alone is not a number."""
    scales = [_sides(wanted[0]), np.ones(1), *(1 + np.abs(looks) for looks in wanted[2:])]
    errors = [0.0]
    for one, other, scale in zip(found, wanted, scales, strict=True):
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        errors.append(np.where(same, 0, np.abs(one - other) / scale).max(initial=0))
    return float(np.max(errors))


def _share_found(
    boxes: Array, scores: Array, wanted: Array, wanted_scores: Array, limit: float
) -> float:
    """The share of (N, 4) boxes that are there, wherever, with their highest score: between
    candidates that score alike a network may choose others."""
    off = np.abs(boxes[:, None] - wanted).max(axis=2) / _sides(wanted)[:, 0]
    less = np.abs(scores.max(axis=1)[:, None] - wanted_scores.max(axis=1))
    return float((np.maximum(off, less).min(axis=0) <= limit).mean())


def _sides(boxes: Array) -> Array:
    """(..., 1) of xyxy."""
    sides: Array = 1 + np.abs(boxes[..., 2:] - boxes[..., :2]).max(axis=-1, keepdims=True)
    return sides
