"""Embedder networks: OSNet equals the published one; vectors have unit length; sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from onnxruntime import InferenceSession  # noqa: E402

from mot.errors import MotError  # noqa: E402
from mot.reid.export import export_embedder  # noqa: E402
from mot.reid.networks import create_embedder, load_embedder, read_settings, weights_metadata  # noqa: E402
from mot.reid.settings import EmbedderSettings  # noqa: E402
from mot.reid.torch_embedder import TorchEmbedder  # noqa: E402
from mot.runtime.checkpoints import save_weights  # noqa: E402


def size_of(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize(("name", "millions"), [("osnet_x0_25", 0.2), ("osnet_x1_0", 2.2)])
def test_osnets_parameters_are_those_of_the_paper(name, millions) -> None:
    model = create_embedder(EmbedderSettings(name, 128, 256, 512))
    assert size_of(model) / 1e6 == pytest.approx(millions, abs=0.05)


def test_osnet_equals_the_published_one(shared: Path) -> None:
    """Its ONNX file, whose batch norms are folded, gives the same features: the published network
    rectifies them at the end."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = shared / "data" / "weights" / "osnet_x0_25_msmt17.onnx"
    if not path.is_file():
        pytest.skip(f"{path}: no such file")
    model = create_embedder(EmbedderSettings("osnet_x0_25", 128, 256, 512)).eval()
    fill(model, onnx.load(path), onnx.numpy_helper.to_array)
    crops = torch.rand(1, 3, 256, 128)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {session.get_inputs()[0].name: crops.numpy()})
    with torch.inference_mode():
        found = torch.relu(model.neck(model.features(crops)))
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


def fill(model, file, array_of) -> None:
    """A folded norm becomes one that only adds."""
    arrays = {each.name: torch.tensor(array_of(each)) for each in file.graph.initializer}
    parts = dict(model.backbone.named_modules())
    state = model.state_dict()
    for node in file.graph.node:
        if node.op_type == "Conv":
            name = layer_of(node.name)
            parts[name].weight.data.copy_(arrays[node.input[1]])
            owner, _, last = name.rpartition(".")
            norm = getattr(parts[owner], "bn", None) if last in ("conv", "conv2") else None
            if norm is not None:
                norm.weight.data.fill_((1 + norm.eps) ** 0.5)
            if len(node.input) == 3:
                (parts[name] if norm is None else norm).bias.data.copy_(arrays[node.input[2]])
    for ours, theirs in (("reduce", "fc.0"), ("neck", "fc.1")):
        for key in ("weight", "bias", "running_mean", "running_var"):
            if f"{theirs}.{key}" in arrays:
                state[f"{ours}.{key}"].copy_(arrays[f"{theirs}.{key}"])


def layer_of(node: str) -> str:
    """`/conv2/conv2.0/gate/fc1_2/Conv` to `conv2.0.gate.fc1`."""
    parts: list[str] = []
    for part in node.split("/")[1:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts).rsplit("_", 1)[0] if "_" in parts[-1] else ".".join(parts)


@pytest.mark.parametrize("name", ["small", "osnet_x0_25", "mobilenetv2_100", "resnet18"])
def test_unit_vectors_and_stride_16(name) -> None:
    settings = EmbedderSettings(name, 32, 64, 24, stripes=2)
    model = create_embedder(settings).eval()
    crops = torch.rand(3, 3, 64, 32)
    with torch.inference_mode():
        assert model.backbone(crops).shape[2:] == (4, 2)
        vectors = model(crops)
    assert vectors.shape == (3, 24)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(model(crops[1:2]), vectors[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["dla34", "resnet18d"])
def test_pooling_strides_are_removed_too(name) -> None:
    model = create_embedder(EmbedderSettings(name, 32, 64, 8)).eval()
    with torch.inference_mode():
        assert model.backbone(torch.rand(1, 3, 64, 32)).shape[2:] == (4, 2)


def test_other_downsampling_stays() -> None:
    model = create_embedder(EmbedderSettings("convnext_atto", 32, 64, 8)).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 64, 32)).shape == (1, 8)


def test_stripes_are_pooled_separately() -> None:
    model = create_embedder(EmbedderSettings("small", 32, 64, 8, stripes=4)).eval()
    maps = torch.rand(2, 128, 4, 2)
    model.backbone = torch.nn.Identity()
    wanted = [
        [float(maps[at, channel, row].mean()) for channel in range(128) for row in range(4)]
        for at in range(2)
    ]
    found = model.features(maps)
    torch.testing.assert_close(found, model.reduce(torch.tensor(wanted)))


def test_built_in_embedder_has_two_megabytes() -> None:
    from mot.training.recipe import load_recipe

    settings = load_recipe(("reid-person",)).model
    assert isinstance(settings, EmbedderSettings)
    assert 2 * size_of(create_embedder(settings)) < 2e6


def test_packed_weights_give_nearly_the_same_vectors(tmp_path) -> None:
    settings = EmbedderSettings("small", 32, 64, 8, stripes=4)
    model = create_embedder(settings).eval()
    sizes, found = [], []
    crops = np.random.default_rng(0).random((3, 3, 64, 32), np.float32)
    for packed in (False, True):
        path = tmp_path / f"{packed}.onnx"
        export_embedder(model, settings.input_spec, path, packed)
        sizes.append(path.stat().st_size)
        found.append(InferenceSession(path).run(None, {"images": crops})[0])
    assert sizes[1] < 0.51 * sizes[0]
    assert 0 < np.abs(found[0] - found[1]).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(found[1], axis=1), 1, atol=1e-5)


def test_weights_file_contains_its_settings(tmp_path) -> None:
    settings = EmbedderSettings("small", 16, 32, 8, 2)
    model = create_embedder(settings).eval()
    save_weights(model, tmp_path / "e.safetensors", weights_metadata(settings))
    again, read = load_embedder(tmp_path / "e.safetensors")
    assert read == settings
    crops = torch.rand(2, 3, 32, 16)
    torch.testing.assert_close(again(crops), model(crops))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not an embedder"),
        ({"architecture": "yolov3", "settings": {}}, "not an embedder"),
        ({"architecture": "embedder", "settings": {"depth": 5}}, "unknown setting 'depth'"),
        ({"architecture": "embedder", "settings": {"width": 0}}, "width = 0"),
        ({"architecture": "embedder", "settings": {"width": "wide"}}, "width = 'wide'"),
    ],
)
def test_other_files_are_refused(metadata, message, tmp_path) -> None:
    path = tmp_path / "e.safetensors"
    save_weights(create_embedder(EmbedderSettings("small", 16, 32, 8)), path, metadata)
    with pytest.raises(MotError, match=message):
        read_settings(path)


def test_vectors_of_boxes_outside_the_image_are_zero() -> None:
    settings = EmbedderSettings("small", 16, 32, 8)
    embedder = TorchEmbedder(create_embedder(settings), settings.input_spec, torch.device("cpu"))
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    boxes = np.array([[0, 0, 20, 40], [60, 60, 80, 90], [10, 10, 10.2, 30]], np.float32)
    found = embedder(image, boxes)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0], atol=1e-5)
    np.testing.assert_array_equal(embedder(image, boxes[1:]), np.zeros((2, 8)))
    assert embedder(image, boxes[:0]).shape == (0, 8)
