"""ONNX files of several exporters, built here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.imports import TORCH, run_without
from support.onnx_files import (
    BOXES,
    FLOAT,
    FLOAT16,
    GRID,
    SIZE,
    UINT8,
    bright_images,
    exported,
    model_of,
    named,
    saved,
    table,
)

from mot.config import build_detector
from mot.detectors.onnx.network import OnnxNetwork
from mot.errors import MotError
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, make_batch, normalize

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


def predict(path: Path, min_score: float = 0.25, labels: Sequence[int] | None = None) -> Any:
    network = OnnxNetwork(path)
    chosen = np.array(range(len(network.names)) if labels is None else labels)
    canvas = np.zeros((1, *network.spec.size[::-1], 3), np.uint8)
    (found,) = network.predict(canvas, min_score, chosen)
    return network, found


def assert_finds(found: Any, boxes: Any, scores: Any, labels: Any) -> None:
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert (found.boxes.shape[1:], found.labels.dtype) == ((4,), np.int64)


def undecoded(decoded: np.ndarray) -> np.ndarray:
    """Boxes relative to their cells, as YOLOX exports them."""
    cells, raw = np.array(GRID, np.float32), decoded.copy()
    raw[:, :2] = decoded[:, :2] / cells[:, 2:] - cells[:, :2]
    raw[:, 2:4] = np.log(decoded[:, 2:4] / cells[:, 2:])
    return raw


# Styles.


def test_transposed_table_of_yolov8(tmp_path) -> None:
    filled = table((0.1, 0.9, 0.3), (0.2, 0.0, 0.6))
    path = saved(tmp_path, model_of({"output0": filled.T[None]}))
    network, found = predict(path)
    assert_finds(found, BOXES[[0, 0, 1]], [0.9, 0.3, 0.6], [1, 2, 2])
    assert network.names == ("0", "1", "2")
    assert network.spec == InputSpec(SIZE, 1, is_fixed=True)
    assert_finds(predict(path, 0.5, [2])[1], BOXES[1:], [0.6], [2])
    assert_finds(predict(path, 0.95)[1], np.zeros((0, 4)), [], [])


def test_yolov8_with_segmentation(tmp_path) -> None:
    filled = np.hstack([table((0.1, 0.9), (0.6, 0.0)), np.full((len(GRID), 32), 9)])
    outputs = {"output0": filled.T[None], "output1": np.zeros((1, 32, 8, 16))}
    network, found = predict(saved(tmp_path, model_of(outputs, metadata=named("man", "dog"))))
    assert network.names == ("man", "dog")
    assert_finds(found, BOXES, [0.9, 0.6], [1, 0])


@pytest.mark.parametrize("turned", [False, True])
def test_class_names_decide_whether_there_is_objectness(tmp_path, turned) -> None:
    """A transposed YOLOv8; without names its first class would be objectness."""
    filled = table((0.9, 0.1), (0.3, 0.6))
    array = filled.T[None] if turned else filled[None]
    path = saved(tmp_path, model_of({"output0": array}, metadata=named("man", "dog")))
    assert_finds(predict(path)[1], BOXES[[0, 1, 1]], [0.9, 0.3, 0.6], [0, 0, 1])


@pytest.mark.parametrize("with_names", [False, True])
def test_table_with_objectness_of_yolov5(tmp_path, with_names) -> None:
    filled = table((0.9, 0.5, 1.0), (0.8, 0.75, 0.1), rows=3 * len(GRID))
    raw_maps = {f"map{size}": np.zeros((1, 3, size, size, 7)) for size in (4, 2, 1)}
    metadata = named("man", "dog") if with_names else {}
    model = model_of({"output": filled[None], **raw_maps}, metadata=metadata)
    network, found = predict(saved(tmp_path, model))
    assert_finds(found, BOXES[[0, 0, 1]], [0.45, 0.9, 0.6], [0, 1, 0])
    assert (network.spec.is_rgb, network.spec.std) == (True, (1, 1, 1))


@pytest.mark.parametrize("is_undecoded", [False, True])
def test_yolox_decoded_and_undecoded(tmp_path, is_undecoded) -> None:
    filled = table((0.9, 0.5), (0.8, 0.75))
    path = saved(
        tmp_path, model_of({"output": (undecoded(filled) if is_undecoded else filled)[None]})
    )
    network, found = predict(path)
    assert_finds(found, BOXES, [0.45, 0.6], [0, 0])
    assert network.names == ("person",)
    assert (network.spec.is_rgb, network.spec.std) == (False, (1 / 255,) * 3)  # bytes as they are


def test_yolox_of_any_size_is_decoded_at_the_input_size(tmp_path) -> None:
    filled = undecoded(table((0.9, 0.5), (0.8, 0.75)))
    metadata = {"imgsz": "[32, 64]"}
    path = saved(tmp_path, model_of({"output": filled[None]}, (1, 3, "h", "w"), metadata))
    network = OnnxNetwork(path)
    assert (network.spec.size, network.spec.is_fixed) == (SIZE, False)
    (turned,) = network.predict(np.zeros((1, 64, 32, 3), np.uint8), 0.25, np.array([0]))
    column, row = GRID.index((3, 0, 8)) % 4, 0  # row 3 of the table is this cell of 32x64
    raw = filled[3]
    x, y = (raw[0] + column) * 8, (raw[1] + row) * 8
    np.testing.assert_allclose(turned.boxes[0], [x - 8, y - 12, x + 8, y + 12], atol=1e-4)


def test_boxes_after_nms(tmp_path) -> None:
    rows = np.zeros((1, 30, 6))
    rows[0, :2] = [[*BOXES[0], 0.9, 0], [*BOXES[1], 0.6, 16]]
    path = saved(tmp_path, model_of({"output0": rows}))
    network, found = predict(path)
    assert_finds(found, BOXES, [0.9, 0.6], [0, 16])
    assert (network.names[16], len(network.names)) == ("dog", 80)
    assert_finds(predict(path, labels=[0])[1], BOXES[:1], [0.9], [0])


@pytest.mark.parametrize("has_background", [False, True])
@pytest.mark.parametrize("extra_side", [False, True])
def test_relative_boxes_beside_scores(tmp_path, has_background, extra_side) -> None:
    boxes = np.tile(BOXES[0] / [64, 32, 64, 32], (1, 9, 1))
    boxes[0, 4] = BOXES[1] / [64, 32, 64, 32]
    scores = np.full((1, 9, 2), 0.01)
    scores[0, 0], scores[0, 4] = (0.9, 0.05), (0.1, 0.7)
    if has_background:
        scores = np.concatenate([1 - scores.sum(axis=2, keepdims=True), scores], axis=2)
    boxes = boxes[:, :, None] if extra_side else boxes
    network, found = predict(saved(tmp_path, model_of({"scores": scores, "boxes": boxes})))
    assert_finds(found, BOXES, [0.9, 0.7], [0, 1])
    assert len(network.names) == 2


def test_pixel_boxes_beside_four_scores(tmp_path) -> None:
    scores = np.zeros((1, 2, 4))
    scores[0, 0, 3], scores[0, 1, 1] = 0.9, 0.6
    path = saved(tmp_path, model_of({"confs": scores, "boxes": BOXES[None]}))
    assert_finds(predict(path)[1], BOXES, [0.9, 0.6], [3, 1])


# Inputs.


@pytest.mark.parametrize("batch", ["b", 1, 2, 4, 5])
def test_fixed_batch_sizes(tmp_path, batch) -> None:
    network = OnnxNetwork(saved(tmp_path, exported((batch, 3, "h", "w"))))
    found = network.predict(bright_images(51, 102, 153, 204, 255), 0.5, np.array([1]))
    assert [each.boxes[0, 0] for each in found] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    for each in found:
        np.testing.assert_array_equal(each.labels, [1])
        np.testing.assert_array_equal(each.embeddings, np.full((1, 5), 7, np.float32))


@pytest.mark.parametrize("shape", [("b", 3, 32, 64), ("b", 32, 64, 3)])
@pytest.mark.parametrize(("kind", "seen"), [(FLOAT, 0.8), (FLOAT16, 0.8), (UINT8, 204)])
def test_input_types_and_layouts(tmp_path, shape, kind, seen) -> None:
    network = OnnxNetwork(saved(tmp_path, exported(shape, kind)))
    (found,) = network.predict(bright_images(204), 0.5, np.array([0]))
    assert found.boxes[0, 0] == pytest.approx(seen, rel=1e-3)


def test_mean_and_std_are_in_channel_order(tmp_path) -> None:
    for is_rgb, seen in ((True, (1 - 0.5) / 0.1), (False, (1 - 0.1) / 0.4)):
        values = {"mean": (0.5, 0.3, 0.1), "std": (0.1, 0.2, 0.4), "is_rgb": is_rgb}
        network = OnnxNetwork(saved(tmp_path, exported(**values)))
        (found,) = network.predict(bright_images(255), 0.5, np.array([0]))
        assert found.boxes[0, 0] == pytest.approx(seen, rel=1e-5)


def test_preprocessing_equals_a_plain_reference() -> None:
    spec = InputSpec(SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), margin=7)
    image = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
    canvas, (placed,) = make_batch([image], spec, SIZE)
    assert (placed.offset, placed.scale) == ((21, 0), (21 / 60, 32 / 90))
    np.testing.assert_array_equal(canvas[0, :, 21:42], cv2.resize(image, (21, 32)))
    assert (canvas[0, :, :21] == 7).all() and (canvas[0, :, 42:] == 7).all()
    wanted = (canvas[..., ::-1] / 255 - spec.mean) / spec.std
    blob = normalize(canvas, spec)
    assert (blob.dtype, blob.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(blob, wanted.transpose(0, 3, 1, 2), atol=1e-5)


def test_boxes_are_in_pixels_of_the_image(tmp_path) -> None:
    path = saved(tmp_path, model_of({"scores": np.ones((1, 2, 1)), "boxes": BOXES[None]}))
    (found,) = build_detector(str(path))([np.zeros((64, 256, 3), np.uint8)])
    np.testing.assert_allclose(found.boxes, (BOXES - [0, 8, 0, 8]).clip(0, (256, 16) * 2) * 4)
    (found,) = build_detector(str(path), amodal=True)([np.zeros((64, 256, 3), np.uint8)])
    np.testing.assert_allclose(found.boxes, (BOXES - [0, 8, 0, 8]) * 4)
    with pytest.raises(MotError, match="--imgsz 96x96: this network only takes 64x32"):
        build_detector(str(path), width=96, height=96)
    with pytest.raises(MotError, match="contains its weights: leave the flag out"):
        build_detector(str(path), weights="a.weights")


def test_torch_is_not_needed(tmp_path) -> None:
    path = saved(tmp_path, exported())
    code = f"import numpy, mot.config\nfind = mot.config.build_detector({str(path)!r})\n"
    code += "print(find.network.names, find([numpy.zeros((9, 9, 3), 'uint8')]))"
    run = run_without([*TORCH, "onnx", "onnxscript"], code)
    assert run.stdout.startswith("('man', 'dog') [Detections("), run.stderr
