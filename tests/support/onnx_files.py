"""ONNX files for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mot.runtime.onnx_metadata import make_metadata
from mot.runtime.preprocess import InputSpec

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")


helper = onnx.helper


FLOAT, FLOAT16, UINT8 = (getattr(onnx.TensorProto, kind) for kind in ("FLOAT", "FLOAT16", "UINT8"))


SIZE = (64, 32)  # width, height


GRID = [  # column, row and stride of the 42 cells of such an image
    (column, row, stride)
    for stride in (8, 16, 32)
    for row in range(32 // stride)
    for column in range(64 // stride)
]


# Two objects: xyxy, and as center, width and height.
BOXES = np.array([[8, 4, 24, 28], [30.5, 10, 60.5, 20]], np.float32)


CENTRES = np.array([[16, 16, 16, 24], [45.5, 15, 30, 10]], np.float32)


def model_of(
    outputs: dict[str, np.ndarray],
    shape: Sequence[int | str] = (1, 3, 32, 64),
    metadata: dict[str, str] | None = None,
    kind: int = FLOAT,
    gains: dict[str, float] | None = None,
) -> Any:
    """A file that returns these for every image, plus its brightest value times the gain."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], axes=[1, 2, 3]),
    ]
    constants, infos = [], []
    for name, array in outputs.items():
        gain, flat = (gains or {}).get(name, 0.0), [-1] + [1] * (array.ndim - 1)
        for part, value in (("is", array), ("gain", np.array(gain)), ("flat", np.array(flat))):
            value = value if part == "flat" else value.astype(np.float32)
            constants.append(onnx.numpy_helper.from_array(value, f"{name} {part}"))
        nodes += [
            helper.make_node("Mul", ["brightest", f"{name} gain"], [f"{name} more"]),
            helper.make_node("Reshape", [f"{name} more", f"{name} flat"], [f"{name} added"]),
            helper.make_node("Add", [f"{name} added", f"{name} is"], [name]),
        ]
        infos.append(helper.make_tensor_value_info(name, FLOAT, [shape[0], *array.shape[1:]]))
    taken = helper.make_tensor_value_info("images", kind, shape)
    graph = helper.make_graph(nodes, "net", [taken], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model


def saved(folder: Path, model: Any) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def table(*chances: Sequence[float], rows: int = len(GRID)) -> np.ndarray:
    """(rows, 4 + ...) of a YOLO: the two objects in rows 3 and 20 of boxes over the cells."""
    filled = np.full((rows, 4 + len(chances[0])), 0.01, np.float32)
    for row, (column, line, stride) in zip(range(rows), GRID * 3, strict=False):
        filled[row, :4] = (column + 0.5) * stride, (line + 0.5) * stride, stride, stride
    for row, center, chance in zip((3, 20), CENTRES, chances, strict=True):
        filled[row] = [*center, *chance]
    return filled


def named(*names: str) -> dict[str, str]:
    return {"names": repr(dict(enumerate(names))), "stride": "32", "imgsz": "[32, 64]"}


def exported(
    shape: Sequence[int | str] = ("b", 3, "h", "w"), kind: int = FLOAT, **changes: Any
) -> Any:
    """A file of `mot export` whose boxes are the brightest value of the input."""
    outputs = {
        "boxes": np.zeros((1, 1, 4)),
        "scores": np.ones((1, 1, 2)),
        "embeddings": np.full((1, 1, 5), 7),
    }
    metadata = make_metadata(InputSpec(SIZE, **changes), ("man", "dog"))
    return model_of(outputs, shape, metadata, kind, gains={"boxes": 1.0})


def bright_images(*brightest: int) -> np.ndarray:
    canvas = np.zeros((len(brightest), *SIZE[::-1], 3), np.uint8)
    canvas[:, 5, 9, 2] = brightest  # the red channel
    return canvas
