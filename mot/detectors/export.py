"""A detector's PyTorch model as an ONNX file: any batch and size, boxes decoded, NMS outside."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mot.detectors.onnx.network import OUTPUTS
from mot.detectors.onnx.outputs import Array
from mot.errors import MotError
from mot.files import write_bytes
from mot.runtime.onnx_metadata import describe
from mot.runtime.onnx_session import import_runtime
from mot.runtime.preprocess import InputSpec, Size

INPUT = "images"
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
    model = copy.deepcopy(model).cpu().eval().to(torch.float16 if half else torch.float32)

    def make() -> Any:
        from mot.runtime.pad_channels import pad_channels

        return pad_channels(simplified(_traced(model, spec)), block)

    def check(file: Any, session: Any) -> None:
        is_choosy = any(node.op_type == "TopK" for node in file.graph.node)
        for size, batch in zip(_trial_sizes(spec), (1, 3), strict=True):
            _check(session, model, noise(model, size, batch), is_choosy)

    write_checked(path, make, describe(spec, names), check)


def write_checked(
    path: Path,
    make: Callable[[], Any],
    told: Mapping[str, str],
    check: Callable[[Any, Any], None],
) -> None:
    """Write the file that `make` makes, with what is `told` of it, if it is sound and `check` finds
    that a session of it gives what it should."""
    onnx = import_onnx()
    with _quietly_on_one_thread():
        try:
            file = make()
            onnx.helper.set_model_props(file, told)
            onnx.checker.check_model(file, full_check=True)
            data: bytes = file.SerializeToString()
            check(file, _session(data))
        except MotError:
            raise
        except Exception as error:  # those of torch, onnx and ONNX Runtime have none in common
            reason = " ".join(str(error).split())[:300]
            raise MotError(f"{path}: cannot be exported: {reason}") from error
    write_bytes(path, data)


def _session(data: bytes) -> Any:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def import_onnx() -> Any:
    try:
        import onnx
        import onnxscript.optimizer
    except ImportError as error:
        raise MotError(f"cannot export ({error}): pip install 'mot-tracking[torch]'") from None
    del onnxscript
    return onnx


@contextmanager
def _quietly_on_one_thread() -> Iterator[None]:
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


def noise(model: nn.Module, size: Size, batch: int) -> Tensor:
    """Pictures, as a model of this type takes them."""
    generator = torch.Generator().manual_seed(batch)
    pictures = torch.rand(batch, 3, size[1], size[0], generator=generator)
    return pictures.to(next(model.parameters()).dtype)


def _traced(model: nn.Module, spec: InputSpec) -> Any:
    sample = noise(model, _trial_sizes(spec)[0], 2)
    widths = {name: output.shape[2] for name, output in zip(OUTPUTS, model(sample), strict=False)}
    sides = {} if spec.is_fixed else {2: "height", 3: "width"}
    axes = {name: {0: "batch", 1: "candidates"} for name in widths}
    file = traced(model, sample, {**axes, INPUT: {0: "batch", **sides}})
    for output in file.graph.output:  # whose last side tracing forgets
        output.type.tensor_type.shape.dim[2].dim_value = widths[output.name]
    return file


def traced(model: nn.Module, sample: Tensor, axes: Mapping[str, Mapping[int, str]]) -> Any:
    """Its graph, with names for the sides that may be of any length: of the outputs, in their
    order, and of `INPUT`."""
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


def simplified(file: Any) -> Any:
    """Constants folded; slices and casts that change nothing dropped."""
    import onnxscript.optimizer

    return onnxscript.optimizer.optimize(file)


def packed(file: Any) -> Any:
    """Its arrays of weights in half as many bytes: who opens it makes them float32 again, once."""
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


def _check(session: Any, model: nn.Module, sample: Tensor, is_choosy: bool) -> None:
    found = session.run(None, {INPUT: sample.numpy()})
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
