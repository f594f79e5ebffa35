"""Checkpoints: from other programs, of other networks, damaged, and hostile."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import struct
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.detectors.architectures import (
    FileSettings,
    build,
    build_file,
    checkpoint_metadata,
    load_model,
    resolve_weights,
)
from mot.detectors.models.architecture import (
    FasterrcnnSettings,
    FcosSettings,
    RetinanetSettings,
    SsdSettings,
    Yolov3Settings,
)
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec
from mot.runtime.safetensors_metadata import read_metadata

pytestmark = pytest.mark.usefixtures("one_thread")

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("torchvision", reason="torchvision is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
weights = importlib.import_module("mot.runtime.checkpoints")
nn, load_weights, save_weights = torch.nn, weights.load_weights, weights.save_weights

TINY = SsdSettings(backbone="mobilenet_v3_large")


def net(outputs: int = 4) -> Any:
    """A network with usual tensor names and random values."""
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
    model.head = nn.Conv2d(8, outputs, 1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return model


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for (name, a), b in pairs if "num_batches" not in name)


def saved(folder: Path, content: Any, name: str = "net.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def refusal(model: Any, path: Path, match: str) -> None:
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(MotError, match=match) as caught:
        load_weights(model, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


# Wrappers and names of other programs.


@pytest.mark.parametrize(
    ("wrap", "report"),
    [
        (lambda state: state, ""),
        (lambda state: {"state_dict": state, "epoch": 3}, "its state_dict"),
        (lambda state: {"model": state, "optimizer": {"lr": 0.1}}, "its model"),
        (lambda state: {"model_state_dict": state}, "its model_state_dict"),
        (lambda state: {"ema": state, "model": {k: v * 0 for k, v in state.items()}}, "its ema"),
        (lambda state: {"model": {"state_dict": state}}, "its model, its state_dict"),
        (lambda state: {f"module.{k}": v for k, v in state.items()}, "without module."),
        (lambda state: {f"model.{k}": v for k, v in state.items()}, "without model."),
        (
            lambda state: {"state_dict": {f"model._orig_mod.{k}": v for k, v in state.items()}},
            "its state_dict, without model., without _orig_mod.",
        ),
    ],
)
def test_wrapped_tensors(tmp_path, wrap, report) -> None:
    source, model = net(), net()
    loaded = load_weights(model, saved(tmp_path, wrap(source.state_dict())))
    assert loaded == (report, (), ())
    assert same(model, source)


def test_half_precision_tensors(tmp_path) -> None:
    source, model = net(), net()
    load_weights(model, saved(tmp_path, source.half().state_dict()))
    assert same(model, source.float())


def old_names(name: str) -> str:
    """Names of torchvision before it had Conv2dNormActivation."""
    parts = name.split(".")
    if "inner_blocks" in parts or "layer_blocks" in parts or name.startswith("rpn.head.conv."):
        parts.remove("0") if "rpn" in parts else parts.pop(-2)
        return ".".join(part for part in parts if "rpn" not in name or part != "0")
    if parts[0] == "head" and parts[2] == "conv":
        return ".".join([*parts[:3], str(2 * int(parts[3])), parts[5]])
    return name


@pytest.fixture(scope="module")
def retinanet() -> Any:
    return load_model(RetinanetSettings(backbone="resnet18", variant="mmdetection")).model


@pytest.fixture(scope="module")
def fasterrcnn() -> Any:
    settings = FasterrcnnSettings(backbone="resnet18", names=("person", "car"), proposals=20)
    return load_model(settings).model


def another(model: Any) -> dict[str, Any]:
    """Other values for the same network."""
    torch.manual_seed(7)
    return {
        name: torch.rand(each.shape) if each.is_floating_point() else each
        for name, each in model.state_dict().items()
    }


def holds(model: Any, state: dict[str, Any]) -> bool:
    ours = model.state_dict()
    return all(torch.equal(ours[n], each) for n, each in state.items() if "batches" not in n)


@pytest.mark.parametrize("name", ["retinanet", "fasterrcnn"])
def test_old_names_of_torchvision(request, tmp_path, name) -> None:
    model = request.getfixturevalue(name)
    state = another(model)
    old = {old_names(key): each for key, each in state.items()}
    assert len(old) == len(state) and old.keys() != state.keys()
    assert "backbone.fpn.inner_blocks.0.weight" in old
    first = {"retinanet": "head.regression_head.conv.6", "fasterrcnn": "rpn.head.conv"}[name]
    assert f"{first}.bias" in old
    loaded = load_weights(model, saved(tmp_path, old))
    assert loaded == ("torchvision's old names", (), ())
    assert holds(model, state)


def as_mmdetection(state: dict[str, Any], levels: int) -> dict[str, Any]:
    """The same tensors under the names of mmdetection."""
    new = {}
    changes = {
        "backbone.body.": "backbone.",
        "backbone.fpn.extra_blocks.p6.": "neck.fpn_convs.3.conv.",
        "backbone.fpn.extra_blocks.p7.": "neck.fpn_convs.4.conv.",
        "head.classification_head.cls_logits.": "bbox_head.retina_cls.",
        "head.regression_head.bbox_reg.": "bbox_head.retina_reg.",
        "rpn.head.conv.0.0.": "rpn_head.rpn_conv.",
        "rpn.head.cls_logits.": "rpn_head.rpn_cls.",
        "rpn.head.bbox_pred.": "rpn_head.rpn_reg.",
        "roi_heads.box_head.fc6.": "roi_head.bbox_head.shared_fcs.0.",
        "roi_heads.box_head.fc7.": "roi_head.bbox_head.shared_fcs.1.",
        "roi_heads.box_predictor.cls_score.": "roi_head.bbox_head.fc_cls.",
        "roi_heads.box_predictor.bbox_pred.": "roi_head.bbox_head.fc_reg.",
    }
    for level in range(levels):
        changes[f"backbone.fpn.inner_blocks.{level}.0."] = f"neck.lateral_convs.{level}.conv."
        changes[f"backbone.fpn.layer_blocks.{level}.0."] = f"neck.fpn_convs.{level}.conv."
        changes[f"head.classification_head.conv.{level}.0."] = f"bbox_head.cls_convs.{level}.conv."
        changes[f"head.regression_head.conv.{level}.0."] = f"bbox_head.reg_convs.{level}.conv."
    for name, array in state.items():
        prefix = next(ours for ours in changes if name.startswith(ours))
        new[changes[prefix] + name.removeprefix(prefix)] = array
    return new


def test_mmdetection_retinanet(tmp_path, retinanet) -> None:
    state = another(retinanet)
    # Four convolutions in each head, three levels: names of a fourth level stay unused.
    content = {"meta": {"CLASSES": ("person",)}, "state_dict": as_mmdetection(state, 4)}
    loaded = load_weights(retinanet, saved(tmp_path, content))
    assert loaded == ("its state_dict, mmdetection's names", (), ())
    assert holds(retinanet, state)


def test_mmdetection_p7_has_no_relu_before_it(retinanet) -> None:
    maps = retinanet.eval().backbone(torch.rand(1, 3, 64, 64))
    expected = retinanet.backbone.fpn.extra_blocks.p7(maps["p6"])
    assert torch.equal(maps["p7"], expected)
    assert len(retinanet.anchors((64, 64))) == 5


def test_mmdetection_fasterrcnn_has_the_background_last(tmp_path, fasterrcnn) -> None:
    state = another(fasterrcnn)
    theirs = as_mmdetection(state, 4)
    torch.manual_seed(0)
    theirs["roi_head.bbox_head.fc_cls.weight"] = scores = torch.rand(3, 1024)
    theirs["roi_head.bbox_head.fc_cls.bias"] = torch.rand(3)
    theirs["roi_head.bbox_head.fc_reg.weight"] = boxes = torch.rand(8, 1024)
    theirs["roi_head.bbox_head.fc_reg.bias"] = torch.rand(8)
    loaded = load_weights(fasterrcnn, saved(tmp_path, theirs))
    assert loaded == ("mmdetection's names", (), ())
    predictor = fasterrcnn.roi_heads.box_predictor
    person, car, background = scores
    assert torch.equal(predictor.cls_score.weight, torch.stack([background, person, car]))
    assert torch.equal(predictor.bbox_pred.weight[4:], boxes)


# Files that do not fit.


def test_another_number_of_classes(tmp_path) -> None:
    path = saved(tmp_path, net(7).state_dict())
    refusal(net(), path, r"head.weight is 7x8x1x1, in the network 4x8x1x1 and 1 other: give")


def test_another_architecture(tmp_path, retinanet) -> None:
    path = saved(tmp_path, net().state_dict())
    refusal(retinanet, path, r"has no \S+conv1.weight \(64x3x7x7\) and \d+ others: .*another arch")
    with pytest.raises(MotError, match="no tensor fits"):
        load_weights(retinanet, path, partial=True)


def test_tensors_that_the_network_lacks(tmp_path) -> None:
    state = {**net().state_dict(), "neck.weight": torch.zeros(2, 3)}
    refusal(net(), saved(tmp_path, state), r"neck.weight \(2x3\): not in the network")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tmp_path, value) -> None:
    source = net()
    source.state_dict()["backbone.0.weight"][1, 2, 0, 0] = value
    path = saved(tmp_path, source.state_dict())
    refusal(net(), path, r"backbone.0.weight \(8x3x3x3\) has NaN or infinite values: .*damaged")


def test_negative_variances(tmp_path) -> None:
    source = net()
    source.state_dict()["backbone.1.running_var"].neg_()
    refusal(net(), saved(tmp_path, source.state_dict()), r"running_var \(8\) has negative")


def test_partial_loading_reports_the_rest(tmp_path) -> None:
    source, model, before = net(7), net(), net()
    before.load_state_dict(model.state_dict())
    state = {**source.state_dict(), "extra": torch.zeros(3)}
    state["backbone.1.bias"] = torch.full((8,), float("nan"))
    del state["backbone.1.running_mean"]
    loaded = load_weights(model, saved(tmp_path, state), partial=True)
    missing = {"head.weight", "head.bias", "backbone.1.bias", "backbone.1.running_mean"}
    assert set(loaded.missing) == missing
    assert set(loaded.unexpected) == {"head.weight", "head.bias", "backbone.1.bias", "extra"}
    assert torch.equal(model.backbone[0].weight, source.backbone[0].weight)
    assert torch.equal(model.head.weight, before.head.weight)
    assert model.backbone[1].bias.isfinite().all()
    assert str(loaded).startswith("not loaded, still untrained: backbone.1.bias, ")
    assert " and 1 more; not used: " in str(loaded) and "\n" not in str(loaded)


# Files that are not weights.


class Poison:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("false",)


def test_os_command_in_a_pickle_is_named(tmp_path) -> None:
    path = saved(tmp_path, {"state_dict": net().state_dict(), "evil": Command()})
    refusal(net(), path, r"holds \w+\.system, which may run code: only tensors are read")


@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.bin", "evil.ckpt"])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("write", [torch.save, lambda c, p: p.write_bytes(pickle.dumps(c))])
def test_poisoned_file_runs_no_code(tmp_path, name, partial, write) -> None:
    trap, path = tmp_path / "trap", tmp_path / name
    for content in ({"state_dict": net().state_dict(), "evil": Poison(trap)}, Poison(trap)):
        write(content, path)
        with pytest.raises(MotError, match=r"may run code|not readable as weights") as caught:
            load_weights(net(), path, partial)
        assert "\n" not in str(caught.value)
    assert not trap.exists()
    open_it = pickle.loads(pickle.dumps(Poison(trap)))  # the poison works if it is unpickled
    open_it.close()
    assert trap.exists()


def test_poisoned_file_is_named(tmp_path) -> None:
    path = saved(tmp_path, {"state_dict": net().state_dict(), "evil": Poison(tmp_path / "trap")})
    refusal(net(), path, r"holds \S*open, which may run code: only tensors are read")


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path, name, share) -> None:
    path = tmp_path / name
    if name.endswith(".pth"):
        torch.save(net().state_dict(), path)
    else:
        save_weights(net(), path, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refusal(net(), path, "not readable as weights: truncated|has no named tensors")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".pth", ".safetensors"]))
def test_random_bytes(tmp_path_factory, content, suffix) -> None:
    path = tmp_path_factory.mktemp("rubbish") / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(MotError) as caught:
        load_weights(net(), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [{}, [], "text", {"state_dict": {}}, {"epoch": 3}, torch.ones(3)]
)
def test_files_without_named_tensors(tmp_path, content) -> None:
    refusal(net(), saved(tmp_path, content), "has no named tensors|another architecture")


def test_missing_files(tmp_path) -> None:
    refusal(net(), tmp_path / "net.pth", "no such file")
    (tmp_path / "folder.pth").mkdir()
    refusal(net(), tmp_path / "folder.pth", "no such file")
    refusal(net(), tmp_path / "yolov3.weights", "only fit yolov3")


# Our own files.


def test_saved_weights_are_loaded_unchanged(tmp_path) -> None:
    source, model, path = net(), net(), tmp_path / "new" / "net.safetensors"
    save_weights(source, path, {"architecture": "net", "names": ["person"]})
    assert read_metadata(path) == {"architecture": "net", "names": ["person"]}
    assert load_weights(model, path) == ("", (), ())
    assert same(model, source)
    assert [each.name for each in path.parent.iterdir()] == ["net.safetensors"]


def test_tensors_that_share_memory_are_saved(tmp_path) -> None:
    model = net()
    model.twin = model.head
    model.turned = nn.Linear(3, 4)
    model.turned.weight = nn.Parameter(torch.rand(3, 4).T)
    save_weights(model, tmp_path / "net.safetensors", {})
    assert torch.equal(
        safetensors.load_file(tmp_path / "net.safetensors")["turned.weight"], model.turned.weight
    )


def test_failed_write_leaves_no_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "net.safetensors"
    path.mkdir()
    with pytest.raises(MotError, match="cannot be written"):
        save_weights(net(), path, {})
    assert [each.name for each in tmp_path.iterdir()] == ["net.safetensors"]


def test_file_of_another_program_has_no_metadata(tmp_path) -> None:
    path = tmp_path / "net.safetensors"
    safetensors.save_file(net().state_dict(), path)
    assert read_metadata(path) == {}
    load_weights(net(), path)
    with pytest.raises(MotError, match=r"names no architecture: --detector NAME --weights"):
        build_file(FileSettings(model=str(path)))


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model(TINY).model


def test_metadata_of_a_file_selects_the_detector(tmp_path, tiny) -> None:
    path = tmp_path / "people.safetensors"
    save_weights(tiny, path, checkpoint_metadata(TINY))
    for detector in (
        build_file(FileSettings(model=str(path), conf=0.125, max_det=7, runtime="torch")),
        build(SsdSettings(weights=str(path), conf=0.125, max_det=7, runtime="torch")),
    ):
        assert detector.network.names == ("person",)
        assert detector.settings.backbone == "mobilenet_v3_large"
        assert (detector.settings.conf, detector.settings.max_det) == (0.125, 7)
        assert same(detector.network.model, tiny)
    with pytest.raises(MotError, match=r"has its own: give one of the two"):
        build_file(FileSettings(model=str(path), weights="other.pth"))
    with pytest.raises(MotError, match=r"holds the architecture 'ssd': --detector .*safetensors"):
        build(Yolov3Settings(weights=str(path)))


def test_input_size_is_that_of_the_training_unless_given(tmp_path) -> None:
    trained = RetinanetSettings(
        width=960, height=544, names=("a", "b"), anchors="coco", conf=0.9, variant="mmdetection"
    )
    path = tmp_path / "net.safetensors"
    save_weights(net(), path, checkpoint_metadata(trained))
    read, _ = resolve_weights(RetinanetSettings(weights=str(path)))
    assert asdict(read) == asdict(trained) | {"weights": str(path), "conf": 0.25}
    read, _ = resolve_weights(RetinanetSettings(weights=str(path), width=640))
    assert (read.width, read.height) == (640, 0)


def with_header(path: Path, metadata: str) -> Path:
    header = json.dumps({"__metadata__": {"mot": metadata}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("[" * 100_000, "not a .safetensors file"),
        ("[1, 2]", "not a .safetensors file"),
        ('{"architecture": "fcos", "settings": 3}', "its settings are no table"),
        ('{"architecture": "fcos", "settings": {"backbones": "x"}}', "unknown setting 'backbones'"),
        ('{"architecture": "fcos", "settings": {"weights": "x"}}', "unknown setting 'weights'"),
        ('{"architecture": "fcos", "settings": {"backbone": 3}}', "its backbone = 3 must be like"),
        ('{"architecture": "fcos", "settings": {"width": -3}}', "its width = -3 must be like 0"),
        ('{"architecture": "fcos", "settings": {"width": true}}', "its width = True must be"),
        ('{"architecture": "fcos", "settings": {"names": [[1]]}}', "names = .*give different"),
        ('{"architecture": "../fcos", "settings": {}}', "names no architecture"),
    ],
)
def test_hostile_metadata(tmp_path, metadata, message) -> None:
    path = with_header(tmp_path / "net.safetensors", metadata)
    with pytest.raises(MotError, match=message) as caught:
        build_file(FileSettings(model=str(path)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "start", [b"", b"abc", struct.pack("<Q", 1 << 62), b"\2" + bytes(7) + b"{"]
)
def test_files_without_a_valid_header(tmp_path, start) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(start)
    with pytest.raises(MotError, match=r"not a \.safetensors file: truncated or"):
        read_metadata(path)
    with pytest.raises(MotError, match="no such file"):
        read_metadata(tmp_path / "other.safetensors")


def test_changed_names_are_reported(tmp_path, capsys) -> None:
    settings = FcosSettings(backbone="mobilenet_v2")
    model = load_model(settings).model
    path = saved(tmp_path, {"state_dict": model.state_dict()})
    load_model(FcosSettings(backbone="mobilenet_v2", weights=str(path)))
    assert capsys.readouterr().err == f"mot: {path}: read with its state_dict\n"


def test_unfit_tensors_are_reported_once_and_the_others_loaded(tmp_path, tiny, capsys) -> None:
    other = SsdSettings(backbone="mobilenet_v3_large", names=("person", "car"))
    path = saved(tmp_path, tiny.state_dict())
    with pytest.raises(MotError, match="give the names"):
        load_model(replace(other, weights=str(path)))
    read = load_model(replace(other, weights=str(path), partial=True)).model
    captured = capsys.readouterr().err
    assert captured.startswith(f"mot: {path}: not loaded, still untrained: head.")
    assert "not used" in captured and captured.count("\n") == 1
    first, second = (next(each.parameters()) for each in (read, tiny))
    assert torch.equal(first, second)


class EmptyNetwork:
    """Stands in for a cached network."""

    spec, names, workers = InputSpec((320, 320), is_fixed=True, stride=1), ("person",), 1

    def __init__(self, path: Path, device: str) -> None:
        assert path.exists()


def write_empty_file(path: Path, *given: Any) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return True


def test_partial_weights_are_cached_apart_with_a_warning(
    tmp_path, tiny, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("mot.detectors.select._export", write_empty_file)
    monkeypatch.setattr("mot.detectors.select.OnnxNetwork", EmptyNetwork)
    path, opened = saved(tmp_path, tiny.state_dict()), set()
    for partial in (False, True, True):
        settings = replace(TINY, weights=str(path), partial=partial, device="cpu")
        build(settings)
        opened.add(len(list((tmp_path / "home/onnx").iterdir())))
    assert opened == {1, 2}
    assert capsys.readouterr().err.count("the rest is untrained") == 1
