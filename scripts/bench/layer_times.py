"""Where the time of a network goes, layer by layer, and its FLOPs: for `bench_detectors.py`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np


class Layer(NamedTuple):
    name: str
    shapes: str
    seconds: float  # of one run
    flops: float = 0.0  # 0 where it is not of sums of products

    @property
    def rate(self) -> str:
        return f"{self.flops / self.seconds / 1e9:7.1f}" if self.flops else 7 * " "


def of_onnx(
    path: Path, blob: np.ndarray, threads: int, runs: int = 10, as_written: bool = False
) -> list[Layer]:
    """By ONNX Runtime's own profiler, each step of the graph as it is run on a CPU, where channels
    are filled up to whole blocks; or `as_written` in the file."""
    import onnxruntime

    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        if as_written:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.profile_file_prefix = str(Path(folder) / "profile")
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        for _ in range(runs + 1):
            session.run(None, {session.get_inputs()[0].name: blob})
        events = json.loads(Path(session.end_profiling()).read_text())
    steps = [each for each in events if each.get("name", "").endswith("_kernel_time")]
    steps = steps[len(steps) // (runs + 1) :]  # without the first run, which finds its memory
    return _summed((_onnx_layer(step, runs) for step in steps), runs)


def _onnx_layer(step: dict[str, Any], runs: int) -> Layer:
    kind = step["args"]["op_name"]
    inputs, (output, *_) = _shapes(step, "input"), _shapes(step, "output") or [()]
    name = f"{kind} {step['name'].removesuffix('_kernel_time')}"
    flops = 0.0
    if kind.endswith("Conv") and len(inputs) > 1:
        flops = 2 * output[0] * math.prod(output[2:]) * math.prod(inputs[1])
    elif kind in ("Gemm", "MatMul", "FusedMatMul", "FusedGemm"):
        flops = 2 * math.prod(output) * inputs[0][-1]
    told = f"{_dims(inputs[0]) if inputs else ''} -> {_dims(output)}"
    return Layer(name, told, step["dur"] / 1e6 / runs, flops)


def _shapes(step: dict[str, Any], side: str) -> list[list[int]]:
    """Each is told as {"float": [1, 3, 320, 320]}."""
    told: Iterable[dict[str, list[int]]] = step["args"].get(f"{side}_type_shape", ())
    return [shape for each in told for shape in each.values()]


def _summed(layers: Iterator[Layer], runs: int) -> list[Layer]:
    """All runs of a layer as one; it has the work of one run."""
    total: dict[tuple[str, str], Layer] = {}
    for layer in layers:
        before = total.get(layer[:2])
        seconds = layer.seconds + (before.seconds if before else 0.0)
        total[layer[:2]] = layer._replace(seconds=seconds)
    return sorted(total.values(), key=lambda layer: -layer.seconds)


def of_torch(run: Callable[[], object], is_cuda: bool, runs: int = 10) -> list[Layer]:
    """By PyTorch's profiler, the operations of one kind and shape together."""
    from torch.profiler import ProfilerActivity, profile

    run()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=activities, record_shapes=True, with_flops=True) as seen:
        for _ in range(runs):
            run()
    layers = []
    for event in seen.key_averages(group_by_input_shape=True):
        micros = event.self_device_time_total if is_cuda else event.self_cpu_time_total
        shapes = ", ".join(_dims(shape) for shape in event.input_shapes[:2] if shape)
        layers.append(Layer(event.key, shapes, micros / 1e6 / runs, (event.flops or 0) / runs))
    return _at_the_kernels(sorted(layers, key=lambda layer: -layer.seconds))


def _at_the_kernels(layers: list[Layer]) -> list[Layer]:
    """PyTorch knows the FLOPs of an operation, and the time of the slower one that it calls, which
    is the first of those with its shapes."""
    flops = {layer.shapes: layer.flops for layer in layers if layer.flops}
    return [layer._replace(flops=flops.pop(layer.shapes, 0.0)) for layer in layers]


def _dims(shape: Iterable[Any]) -> str:
    return "x".join(map(str, shape))


def by_kind(layers: list[Layer]) -> list[Layer]:
    """The layers of one kind together."""
    total: dict[str, Layer] = {}
    for layer in layers:
        kind = layer.name.split()[0]
        one = total.get(kind, Layer(kind, "", 0.0))
        total[kind] = Layer(kind, "", one.seconds + layer.seconds, one.flops + layer.flops)
    return sorted(total.values(), key=lambda layer: -layer.seconds)


def show(layers: list[Layer], count: int) -> None:
    """The slowest kinds and the slowest layers: milliseconds, share, GFLOP/s."""
    whole = sum(layer.seconds for layer in layers)
    print(f"    {len(layers)} layers, {1e3 * whole:.2f} ms together; ms, share, GFLOP/s")
    for table in (by_kind(layers)[:5], layers[:count]):
        for layer in table:
            share = layer.seconds / whole
            print(
                f"    {1e3 * layer.seconds:8.2f} {share:6.1%} {layer.rate}  "
                f"{layer.name[:60]:60} {layer.shapes}"
            )
        print()
