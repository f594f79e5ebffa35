"""Embedders for tests, whose vectors are the mean color of a crop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def mean_color(
    folder: Path, shape: list[Any] | None = None, metadata: Any = None, scale: float = 1.0
) -> Path:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("crops", kind, shape or ["N", 3, 8, 4])
    returned = helper.make_tensor_value_info("vectors", kind, None)
    nodes = [
        helper.make_node("GlobalAveragePool", ["crops"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["vectors"]),
    ]
    constant = helper.make_tensor("scale", kind, [1], [scale])
    graph = helper.make_graph(nodes, "color", [given], [returned], [constant])
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        helper.set_model_props(model, {"mot": text})
    path = folder / "color.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def plain(color: Any, mean: np.ndarray = MEAN, std: np.ndarray = STD) -> np.ndarray:
    """Unit vector of a crop of one BGR color."""
    vector = (np.array(color)[::-1] / 255 - mean) / std
    return vector / np.linalg.norm(vector)
