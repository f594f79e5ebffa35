"""ONNX files that are damaged, hostile or no detectors: errors are one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.onnx_files import (
    BOXES,
    SIZE,
    bright_images,
    exported,
    helper,
    model_of,
    named,
    onnx,
    saved,
    table,
)

from mot.detectors.onnx.network import OnnxNetwork, OnnxSettings, build
from mot.errors import MotError
from mot.runtime.onnx_metadata import KEY, make_metadata
from mot.runtime.preprocess import InputSpec


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(MotError) as error:
        OnnxNetwork(path, **options)
    text = str(error.value)
    assert "\n" not in text and len(text) < 700
    return text


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": (1, 1000)}, "unknown outputs: logits (1,1000);"),
        ({"masks": (1, 32, 8, 16)}, "masks (1,32,8,16)"),
        ({"boxes": (1, 9, 4)}, "boxes (1,9,4)"),
        ({"boxes": (1, 9, 4), "scores": (1, 8, 3)}, "scores (1,8,3)"),
        ({"a": (1, 42, 7), "b": (1, 42, 9)}, "supported are boxes (B,N,4) with scores (B,N,C)"),
        ({"narrow": (1, 42, 3)}, "narrow (1,42,3)"),
    ],
)
def test_unknown_outputs_are_named(tmp_path, outputs, message) -> None:
    path = saved(tmp_path, model_of({name: np.zeros(shape) for name, shape in outputs.items()}))
    assert message in refused(path)
    assert refused(path).startswith(f"{path}: ")


def test_ambiguous_outputs_are_refused(tmp_path) -> None:
    logits = saved(tmp_path, model_of({"output0": table((4.0, -3.0), (2.0, 1.0)).T[None]}))
    assert "scores outside 0 to 1" in refused(logits)
    pair = {"boxes": BOXES[None], "scores": np.ones((1, 2, 2))}
    other_names = saved(tmp_path, model_of(pair, metadata=named("a", "b", "c", "d")))
    assert "(2 classes, but 4 in its metadata)" in refused(other_names)


@pytest.mark.parametrize("shape", [(1, 3, 32), (1, 4, 32, 64), (1, 3, 32, "w"), (1, 1000)])
def test_unknown_inputs_are_named(tmp_path, shape) -> None:
    axes = list(range(1, len(shape)))
    model = model_of({"boxes": BOXES[None], "scores": np.ones((1, 2, 1))}, shape)
    model.graph.node[1].attribute[0].ints[:] = axes
    assert "has the inputs images [1, " in refused(saved(tmp_path, model))


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"name,score\n1,2\n", bytes(range(256)) * 20]
)
def test_other_files_are_refused(tmp_path, content) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert "not a usable ONNX file" in refused(path)


def test_damaged_files_are_refused(tmp_path) -> None:
    path = saved(tmp_path, exported())
    content = path.read_bytes()
    for end in range(0, len(content) - 1, 37):
        path.write_bytes(content[:end])
        refused(path)
    assert "no such file" in refused(tmp_path / "none.onnx")
    assert "no such file" in refused(tmp_path)


def test_missing_external_weights(tmp_path) -> None:
    path = tmp_path / "net.onnx"
    model = model_of({"boxes": np.zeros((1, 99, 4)), "scores": np.zeros((1, 99, 1))})
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=100)
    (tmp_path / "net.data").unlink()
    assert "net.data" in refused(path)


OWN = json.loads(make_metadata(InputSpec(SIZE), ("man", "dog"))[KEY])


@pytest.mark.parametrize(
    "own",
    ["{", "[]", "7", "null", "[" * 9999]
    + [
        json.dumps({**OWN, **change})
        for change in (
            {"size": [64]},
            {"size": [64, -32]},
            {"size": [1e9, 32]},
            {"size": "64"},
            {"stride": 0},
            {"stride": None},
            {"std": [1, 0, 1]},
            {"mean": [0, float("nan"), 0]},
            {"mean": [0, 0]},
            {"margin": 300},
            {"is_rgb": "no"},
            {"names": 5},
            {"unknown": 1},
        )
    ],
)
def test_damaged_mot_metadata(tmp_path, own) -> None:
    model = exported()
    helper.set_model_props(model, {KEY: own})
    assert f"its metadata {KEY!r} is damaged" in refused(saved(tmp_path, model))


def test_embedder_is_refused(tmp_path) -> None:
    model = exported()
    helper.set_model_props(model, {KEY: json.dumps({**OWN, "names": []})})
    assert refused(saved(tmp_path, model)).endswith(
        "is an embedder, not a detector: give it as --embedder"
    )


def test_wrong_number_of_names_in_mot_metadata(tmp_path) -> None:
    model = exported()
    helper.set_model_props(model, make_metadata(InputSpec(SIZE), ("man", "dog", "cat")))
    assert "not as `mot export` writes it" in refused(saved(tmp_path, model))


@pytest.mark.parametrize("names", ["{0: ", "open('run', 'w')", "[" * 300, "-" * 60_000 + "1"])
def test_names_are_parsed_and_not_executed(tmp_path, monkeypatch, names) -> None:
    monkeypatch.chdir(tmp_path)
    model = model_of({"output0": table((0.9,), (0.8,)).T[None]}, metadata={"names": names})
    assert "its metadata 'names' cannot be read" in refused(saved(tmp_path, model))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("own", [False, True])
def test_metadata_that_are_not_text(tmp_path, own) -> None:
    model = exported() if own else model_of({"a": np.zeros((1, 42, 6))}, metadata=named("man"))
    path = saved(tmp_path, model)
    path.write_bytes(path.read_bytes().replace(b"man", b"m\xf1n"))
    assert "its names are not text" in refused(path)


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1))
def test_changed_bytes_give_one_line(tmp_path_factory, changes) -> None:
    content = bytearray(exported().SerializeToString())
    for index, value in changes:
        content[index % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "broken.onnx"
    path.write_bytes(content)
    try:
        network = OnnxNetwork(path)
        network.predict(bright_images(255, 3), 0.5, np.arange(len(network.names)))
    except MotError as error:
        assert "\n" not in str(error)


def test_failing_gpu_falls_back_to_the_cpu_unless_requested(tmp_path, monkeypatch) -> None:
    import onnxruntime

    path, real = saved(tmp_path, exported()), onnxruntime.InferenceSession

    def start(file: str, options: Any, providers: Any, enable_fallback: int) -> Any:
        if providers[0] != "CPUExecutionProvider":
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        return real(file, options, providers=providers)

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    assert OnnxNetwork(path).names == ("man", "dog")
    assert "no CUDA-capable device" in refused(path, device="cuda")


def test_devices(tmp_path, monkeypatch) -> None:
    import onnxruntime

    path = saved(tmp_path, exported())
    assert OnnxNetwork(path, "cpu", threads=1).names == ("man", "dog")
    for word in ("gpu", "cuda:x", "cpu:1", ""):
        assert "give cpu, cuda, cuda:1 or auto" in refused(path, device=word)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "this ONNX Runtime has no CUDA" in refused(path, device="cuda:1")
    with pytest.raises(MotError, match="the detector onnx needs a file"):
        build(OnnxSettings())
