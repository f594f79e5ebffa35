"""Exports a PyTorch detector to ONNX: any batch and size, boxes decoded, NMS not included."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mot.detectors.onnx.network import OUTPUTS
from mot.errors import MotError
from mot.runtime.export import INPUT, export_verified, sample_images, simplify, trace
from mot.runtime.onnx_metadata import make_metadata
from mot.runtime.onnx_session import Array
from mot.runtime.preprocess import InputSpec, Size

# Largest error of scores, and of boxes relative to their sides.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-2}
_MIN_MATCHED = 0.8  # share of matched detections, for networks that choose the top k
Arrays = Sequence[Array]


def export(
    model: nn.Module,
    spec: InputSpec,
    names: Sequence[str],
    path: Path,
    half: bool = False,
    block: int = 4,
) -> None:
    """Writes the ONNX file of a model that `TorchNetwork` can run; raises if outputs differ.

    With `half`, weights and images are float16. The file is fastest on CPUs that convolve `block`
    channels at a time: 4 is good on any CPU, `cpu_block()` is better on this one.
    """
    model = copy.deepcopy(model).cpu().eval().to(torch.float16 if half else torch.float32)

    def make() -> Any:
        from mot.runtime.pad_channels import pad_channels

        return pad_channels(simplify(_trace(model, spec)), block)

    def verify(file: Any, session: Any) -> None:
        is_top_k = any(node.op_type == "TopK" for node in file.graph.node)
        for size, batch in zip(_trial_sizes(spec), (1, 3), strict=True):
            _verify(session, model, sample_images(model, size, batch), is_top_k)

    export_verified(path, make, make_metadata(spec, names), verify)


def _trial_sizes(spec: InputSpec) -> tuple[Size, Size]:
    if spec.is_fixed:
        return spec.size, spec.size
    return (4 * spec.stride, 3 * spec.stride), (5 * spec.stride, 6 * spec.stride)


def _trace(model: nn.Module, spec: InputSpec) -> Any:
    sample = sample_images(model, _trial_sizes(spec)[0], 2)
    widths = {name: output.shape[2] for name, output in zip(OUTPUTS, model(sample), strict=False)}
    sides = {} if spec.is_fixed else {2: "height", 3: "width"}
    axes = {name: {0: "batch", 1: "candidates"} for name in widths}
    file = trace(model, sample, {**axes, INPUT: {0: "batch", **sides}})
    for output in file.graph.output:  # tracing loses the last side
        output.type.tensor_type.shape.dim[2].dim_value = widths[output.name]
    return file


def _verify(session: Any, model: nn.Module, sample: Tensor, is_top_k: bool) -> None:
    found = session.run(None, {INPUT: sample.numpy()})
    expected = [output.float().numpy() for output in model(sample)]
    shapes, others = ([output.shape for output in outputs] for outputs in (found, expected))
    size = "x".join(map(str, sample.shape[:1:-1]))
    if shapes != others:
        raise MotError(f"cannot export: outputs at {size} have the shapes {shapes}, not {others}")
    limit = _TOLERANCE[sample.dtype]
    if is_top_k:
        share = min(map(_matched_share, *found[:2], *expected[:2], [limit] * len(sample)))
        if share < _MIN_MATCHED:
            raise MotError(f"cannot export: only {share:.0%} of the detections match at {size}")
    elif not (error := _max_error(found, expected)) <= limit:
        raise MotError(f"cannot export: outputs at {size} differ by {error:.1g}")


def _max_error(found: Arrays, expected: Arrays) -> float:
    """NaN if only one of two values is NaN."""
    scales = [_sides(expected[0]), np.ones(1), *(1 + np.abs(vectors) for vectors in expected[2:])]
    errors = [0.0]
    for one, other, scale in zip(found, expected, scales, strict=True):
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        errors.append(np.where(same, 0, np.abs(one - other) / scale).max(initial=0))
    return float(np.max(errors))


def _matched_share(
    boxes: Array, scores: Array, expected: Array, expected_scores: Array, limit: float
) -> float:
    """Share of the expected (N, 4) boxes found in any order with their highest score.

    Among detections with equal scores the top k are arbitrary.
    """
    off = np.abs(boxes[:, None] - expected).max(axis=2) / _sides(expected)[:, 0]
    less = np.abs(scores.max(axis=1)[:, None] - expected_scores.max(axis=1))
    return float((np.maximum(off, less).min(axis=0) <= limit).mean())


def _sides(boxes: Array) -> Array:
    """(..., 1) longer side of xyxy boxes, plus 1."""
    sides: Array = 1 + np.abs(boxes[..., 2:] - boxes[..., :2]).max(axis=-1, keepdims=True)
    return sides
