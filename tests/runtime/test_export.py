"""Exported networks against the originals, and the runtime that a network gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import linear_sum_assignment
from support.darknet import REAL, PlainDarknet, efficient, scaled, yolov4_tiny
from support.imports import TORCH, run_without

from mot.cli.export import export as export_command
from mot.detectors import architectures, select
from mot.detectors.architectures import ARCHITECTURES
from mot.detectors.darknet.detector import DarknetSettings, build, load_model
from mot.detectors.onnx.network import OnnxNetwork
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec, Size

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from mot.detectors.export import export  # noqa: E402
from mot.detectors.torch_network import TorchNetwork  # noqa: E402
from mot.runtime.checkpoints import save_weights  # noqa: E402

SMALL = {"efficientnet": efficient(), "scaled": scaled(), "yolov4-tiny": yolov4_tiny(16, 64)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cfg(tmp_path) -> Path:
    return written(tmp_path, efficient())


def written(folder: Path, text: str) -> Path:
    """A .cfg file with random weights beside it."""
    path = folder / "net.cfg"
    path.write_text(text)
    plain = PlainDarknet(text).run(np.zeros((3, 64, 64), np.float32))
    path.with_suffix(".weights").write_bytes(plain.file)
    return path


def noise(size: Size, count: int) -> np.ndarray:
    shape = (count, size[1], size[0], 3)
    return np.random.default_rng(count).integers(0, 256, shape, np.uint8)


def assert_same(found: Any, wanted: Any) -> None:
    """To 1e-4 of the scores and the sides of the boxes; equal scores in any order."""
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    rows, others = (
        np.column_stack([each.boxes, each.scores, each.labels]) for each in (found, wanted)
    )
    scale = np.ones_like(others)
    scale[:, :4] += np.abs(wanted.boxes[:, 2:] - wanted.boxes[:, :2]).max(axis=1, keepdims=True)
    moved = ~(np.abs(rows - others) <= 1e-4 * scale).all(axis=1)  # or NaN
    off = (np.abs(rows[moved, None] - others[moved]) / scale[moved]).max(axis=2)
    assert off[linear_sum_assignment(off)].max(initial=0) <= 1e-4


def compare(settings: DarknetSettings, path: Path, sizes: tuple[Size, ...]) -> None:
    """Compares every detection, at several sizes and batch sizes."""
    model, spec, names = load_model(settings)
    export(model, spec, names, path)
    exported, original = OnnxNetwork(path), TorchNetwork(model, spec, names, "cpu")
    assert (exported.spec, exported.names) == (spec, names)
    every = np.arange(len(names))
    for count, size in enumerate(sizes, 1):
        images = noise(size, count)
        found, wanted = (each.predict(images, 0.0, every) for each in (exported, original))
        for one, other in zip(found, wanted, strict=True):
            assert len(one.boxes) > 50
            assert_same(one, other)


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_with_all_layer_types(tmp_path, name) -> None:
    settings = DarknetSettings(model=str(written(tmp_path, SMALL[name])))
    compare(settings, tmp_path / "net.onnx", ((64, 64), (128, 64), (96, 160)))


@pytest.mark.parametrize("name", REAL)
def test_real_networks(shared, tmp_path, name) -> None:
    settings = DarknetSettings(model=str(shared / "data/weights" / f"{name}.cfg"))
    compare(settings, tmp_path / "net.onnx", ((320, 320), (416, 224)))


def test_graph_is_small_and_has_no_batch_norm(shared, tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    model, spec, names = load_model(
        DarknetSettings(model=str(shared / "data/weights" / f"{REAL[0]}.cfg"))
    )
    export(model, spec, names, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert not {"BatchNormalization", "Constant", "Where", "Identity", "If"} & set(kinds)
    convolutions = kinds.count("Conv")
    assert convolutions == 84 and len(kinds) < 3.5 * convolutions
    assert [each.name for each in graph.output] == ["boxes", "scores"]


def test_half(tmp_path, cfg) -> None:
    model, spec, names = load_model(DarknetSettings(model=str(cfg)))
    export(model, spec, names, tmp_path / "half.onnx", half=True)
    export(model, spec, names, tmp_path / "full.onnx")
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("half", "full")]
    assert sizes[0] < sizes[1]
    networks = [OnnxNetwork(tmp_path / f"{name}.onnx") for name in ("half", "full")]
    half, full = (each.predict(noise((64, 64), 1), 0.0, np.array([0, 1]))[0] for each in networks)
    np.testing.assert_allclose(half.scores, full.scores, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_exported_and_verified(tmp_path, name) -> None:
    torch.manual_seed(0)
    model, spec, names, *_ = architectures.load_model(ARCHITECTURES[name]())
    export(model, spec, names, tmp_path / "net.onnx")
    network = OnnxNetwork(tmp_path / "net.onnx")
    assert network.names == names
    size = spec.size if spec.is_fixed else (4 * spec.stride, 3 * spec.stride)
    (found,) = network.predict(noise(size, 1), 0.0, np.array([0]))
    assert len(found.boxes) > 100


class WithEmbeddings(torch.nn.Module):
    """Returns embeddings too; only takes one size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 8, 8)

    def forward(self, images: Any) -> Any:
        table = self.conv(images).reshape(images.shape[0], 4, 32).transpose(1, 2)
        return table, table[..., :2].sigmoid(), table.repeat(1, 1, 3)


def test_embeddings_and_fixed_sizes(tmp_path) -> None:
    path, spec = tmp_path / "net.onnx", InputSpec((64, 32), 1, is_fixed=True)
    export(WithEmbeddings(), spec, ("a", "b"), path)
    network = OnnxNetwork(path)
    assert network.spec == spec
    found = network.predict(noise((64, 32), 3), 0.0, np.array([0]))
    assert [each.embeddings.shape for each in found] == [(32, 12)] * 3
    np.testing.assert_array_equal(found[2].embeddings[:, 4:8], found[2].boxes)


class BatchDependent(WithEmbeddings):
    """Tracing turns the batch size into a constant."""

    def forward(self, images: Any) -> Any:
        table = self.conv(images).flatten(2).transpose(1, 2)
        return table + len(images), table[..., :2].sigmoid()


def test_wrong_export_is_not_written(tmp_path) -> None:
    with pytest.raises(MotError, match="cannot export"):
        export(BatchDependent(), InputSpec((64, 32), 8), ("a", "b"), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


class Unsupported(WithEmbeddings):
    def forward(self, images: Any) -> Any:
        table, scores, _ = super().forward(images)
        return torch.linalg.eigvals(table[:, :4, :4]).real[..., None].repeat(1, 1, 4), scores


def test_unsupported_operator(tmp_path) -> None:
    spec = InputSpec((64, 32), 1, is_fixed=True)
    with pytest.raises(MotError, match=r"net\.onnx: cannot be exported: .*eigvals") as error:
        export(Unsupported(), spec, ("a", "b"), tmp_path / "net.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# The runtime.


def test_network_is_exported_once_on_a_cpu_and_then_runs_without_torch(
    cfg, home, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(select, "has_gpu", lambda: False)
    settings = DarknetSettings(model=str(cfg), conf=0.1)
    images = list(noise((64, 64), 2))
    first = build(settings)
    assert isinstance(first.network, OnnxNetwork)
    (cached,) = home.rglob("*.onnx")
    assert capsys.readouterr().err.count(str(cached)) == 1
    made = os.stat(cached).st_mtime_ns
    assert isinstance(build(settings).network, OnnxNetwork)
    assert os.stat(cached).st_mtime_ns == made and capsys.readouterr().err == ""
    original = build(DarknetSettings(model=str(cfg), conf=0.1, runtime="torch"))
    assert isinstance(original.network, TorchNetwork)
    for one, other in zip(first(images), original(images), strict=True):
        assert_same(one, other)
    run = run_without(TORCH, f"from mot.config import build_detector\nbuild_detector({str(cfg)!r})")
    assert run.returncode == 0, run.stderr


def test_cached_file_is_made_for_this_cpu(cfg, home, monkeypatch) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    settings, channels = DarknetSettings(model=str(cfg), conf=0.1, device="cpu"), []
    (wanted,) = build(DarknetSettings(model=str(cfg), conf=0.1, runtime="torch"))(
        list(noise((64, 64), 1))
    )
    for block in (4, 16):
        monkeypatch.setattr(select, "cpu_block", lambda block=block: block)
        (found,) = build(settings)(list(noise((64, 64), 1)))
        assert_same(found, wanted)
        (cached,) = home.rglob("*.onnx")
        shapes = [each.dims for each in onnx.load(cached).graph.initializer]
        channels.append(sum(shape[0] for shape in shapes if len(shape) == 4))
        cached.unlink()
    assert channels[0] < channels[1]


def test_other_weights_and_settings_are_exported_again(cfg, home) -> None:
    settings = DarknetSettings(model=str(cfg), device="cpu")
    build(settings)
    weights = cfg.with_suffix(".weights")
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    build(settings)
    stretched = build(DarknetSettings(model=str(cfg), device="cpu", keeps_aspect=True))
    assert stretched.network.spec.keeps_aspect
    assert len(list(home.rglob("*.onnx"))) == 3


def test_partial_weights_are_reported_and_cached_apart(cfg, home, capsys) -> None:
    for one, other in (("classes=3", "classes=1"), ("filters=16", "filters=12")):
        cfg.write_text(cfg.read_text().replace(one, other))
    with pytest.raises(MotError, match="for 3 classes, not 1"):
        load_model(DarknetSettings(model=str(cfg)))
    build(DarknetSettings(model=str(cfg), partial=True, device="cpu"))
    captured = capsys.readouterr().err.splitlines()
    (line,) = (line for line in captured if "untrained" in line)
    assert f"{cfg.with_suffix('.weights')}: not loaded, still untrained: layer 11" in line
    build(DarknetSettings(model=str(cfg), partial=True, device="cpu"))
    assert capsys.readouterr().err.count("the rest is untrained") == 1
    assert len(list(home.rglob("*.onnx"))) == 1


def test_damaged_cached_file_is_replaced(cfg, home) -> None:
    settings = DarknetSettings(model=str(cfg), device="cpu")
    build(settings)
    (cached,) = home.rglob("*.onnx")
    content = cached.read_bytes()
    cached.write_bytes(content[:999])
    assert isinstance(build(settings).network, OnnxNetwork)
    assert cached.read_bytes() == content


def test_failed_export_falls_back_to_torch(cfg, home, monkeypatch, capsys) -> None:
    home.write_text("a file, where a folder is needed")
    assert isinstance(build(DarknetSettings(model=str(cfg), device="cpu")).network, TorchNetwork)
    assert "using PyTorch instead" in capsys.readouterr().err
    with pytest.raises(MotError, match="cannot be written"):
        build(DarknetSettings(model=str(cfg), runtime="onnx"))
    capsys.readouterr()
    monkeypatch.setattr(select, "is_installed", lambda name: name != "onnxscript")
    assert isinstance(build(DarknetSettings(model=str(cfg), device="cpu")).network, TorchNetwork)
    assert capsys.readouterr().err == ""


def test_runtime_setting(cfg, monkeypatch) -> None:
    with pytest.raises(MotError, match="runtime = 'onx': did you mean 'onnx'"):
        build(DarknetSettings(model=str(cfg), runtime="onx"))
    for gpu, half, kind in ((True, False, TorchNetwork), (False, True, TorchNetwork)):
        monkeypatch.setattr(select, "has_gpu", lambda gpu=gpu: gpu)
        assert isinstance(build(DarknetSettings(model=str(cfg), half=half)).network, kind)
    assert isinstance(build(DarknetSettings(model=str(cfg), runtime="onnx")).network, OnnxNetwork)


def test_first_run_without_torch_names_the_mend(cfg) -> None:
    code = f"from mot.config import build_detector\nbuild_detector({str(cfg)!r})"
    captured = run_without(TORCH, code).stderr.splitlines()[-1]
    assert f"{cfg}: the first run needs PyTorch: pip install 'mot-tracking[torch]', or" in captured


# The command.


def run_export(*words: object) -> str:
    """Standard error of the command."""
    result = CliRunner().invoke(
        export_command, [str(word) for word in words], catch_exceptions=False
    )
    return result.stderr


def test_mot_export(cfg, tmp_path) -> None:
    out = tmp_path / "out" / "net.onnx"
    captured = run_export(
        cfg, "-o", out, "--imgsz", "128x90", "--set", "detector.keeps_aspect=true"
    )
    assert captured == f"{out}: 0.0 MB, 3 classes, 128x92 or other multiples of 4\n"
    network = OnnxNetwork(out)
    assert (network.spec.size, network.spec.keeps_aspect) == ((128, 92), True)
    with pytest.raises(MotError, match="exists: give --overwrite"):
        run_export(cfg, "-o", out)
    moved = cfg.with_suffix(".weights").rename(tmp_path / "other.weights")
    assert run_export(cfg, "-o", out, "--overwrite", "--weights", moved, "-q", "--imgsz", 128) == ""
    assert OnnxNetwork(out).spec.size == (128, 128)
    with pytest.raises(MotError, match="no weights beside"):
        run_export(cfg, "-o", tmp_path / "none.onnx")


def test_mot_export_of_a_weights_file(tmp_path) -> None:
    """At the size of its training, unless another is given."""
    settings = architectures.Yolov3Settings(
        backbone="mobilenet_v2", neck_width=32, width=96, height=64, names=("a", "b")
    )
    loaded, path = architectures.load_model(settings), tmp_path / "net.safetensors"
    save_weights(loaded.model, path, architectures.checkpoint_metadata(settings))
    assert " 2 classes, 96x64 or other multiples of " in run_export(
        path, "-o", tmp_path / "net.onnx"
    )
    network = OnnxNetwork(tmp_path / "net.onnx")
    assert (network.names, network.spec.size) == (("a", "b"), (96, 64))
    original = TorchNetwork(*loaded[:3], "cpu")
    found, wanted = (
        each.predict(noise((96, 64), 1), 0.0, np.array([0, 1]))[0] for each in (network, original)
    )
    assert len(wanted.boxes) > 100
    assert_same(found, wanted)
    with pytest.raises(MotError, match="names no architecture"):
        save_weights(loaded.model, tmp_path / "bare.safetensors", {})
        run_export(tmp_path / "bare.safetensors", "-o", tmp_path / "bare.onnx")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("motion", "-o", "a.onnx"), "motion: has no network that could be exported"),
        (("net.cfg", "-o", "a.pt"), "--out a.pt: name a file that ends in .onnx"),
        (("nothing", "-o", "a.onnx"), "unknown detector 'nothing'"),
        (("net.cfg", "-o", "a.onnx", "--set", "detector.kept=1"), "unknown setting 'kept'"),
        (("a.onnx", "-o", "b.onnx"), "a.onnx: is an ONNX file already"),
    ],
)
def test_refused_arguments(cfg, tmp_path, monkeypatch, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "a.onnx":
        Path("a.onnx").touch()
    with pytest.raises(MotError) as error:
        run_export(*words)
    assert message in str(error.value)
    assert not Path("b.onnx").exists()


def test_mot_export_needs_torch(cfg, tmp_path) -> None:
    words = [str(cfg), "-o", str(tmp_path / "a.onnx")]
    code = f"from mot.cli.export import export\nexport({words!r}, standalone_mode=False)"
    captured = run_without(TORCH, code).stderr.splitlines()[-1]
    assert "mot export needs PyTorch: pip install 'mot-tracking[torch]'" in captured
