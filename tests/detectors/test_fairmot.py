"""FairMOT's network: decoding of planted peaks, necks, and export."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from support.fairmot import TINY, make_target, perfect_outputs, tiny_fairmot  # noqa: E402
from support.imports import TORCH, run_without  # noqa: E402

from mot.detectors.architectures import checkpoint_metadata, load_model  # noqa: E402
from mot.detectors.models.architecture import FairmotSettings  # noqa: E402
from mot.detectors.models.fairmot import STRIDE  # noqa: E402
from mot.errors import MotError  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = (96, 128)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_decodes_perfect_outputs() -> None:
    """Also of a box of which less than half is in the image."""
    boxes = [[10, 12, 30, 70], [60.5, 8.25, 90, 60], [-30, 20, 22, 90]]
    targets = [make_target(boxes), make_target([[100, 10, 120, 90]])]
    model, raw = tiny_fairmot(), perfect_outputs(targets, SIZE)
    boxes, scores, vectors = model.decode(raw, SIZE)
    assert boxes.shape == (2, 40, 4) and vectors.shape == (2, 40, 8)
    for image, target in enumerate(targets):
        found = boxes[image][scores[image, :, 0] > 0.5]
        order = found[:, 0].sort().indices
        expected = target.boxes[target.boxes[:, 0].sort().indices]
        torch.testing.assert_close(found[order], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(2, 40))


def test_only_the_highest_of_neighboring_cells_is_a_peak() -> None:
    model, raw = tiny_fairmot(), perfect_outputs([make_target([[20, 20, 40, 60]])], SIZE)
    x, y = 30 // STRIDE, 40 // STRIDE
    raw.heat[0, 0, y, x + 1] = 2.9  # beside a peak of 3
    raw.heat[0, 0, y, x + 3] = 2.0  # another peak
    _, scores, _ = model.decode(raw, SIZE)
    found = sorted((scores[scores > 0.5]).tolist())
    assert found == pytest.approx([1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(-3.0))])
    assert int((scores > 0).sum()) < raw.heat.numel()


def test_a_vector_comes_from_the_cell_of_its_peak() -> None:
    model = tiny_fairmot()
    with torch.no_grad():
        raw = model.raw(torch.rand(2, 3, 64, 96))
        _, scores, vectors = model.decode(raw, (64, 96))
        cells = model.embedding.vector(raw.appearance.permute(0, 2, 3, 1)).flatten(1, 2)
    heat = raw.heat.sigmoid().flatten(1)
    for image in range(2):
        best = int(heat[image].argmax())  # a peak, and the first
        assert scores[image, 0, 0].item() == pytest.approx(heat[image].max().item())
        vector = cells[image, best]
        torch.testing.assert_close(vectors[image, 0], vector / vector.norm())


def test_small_images_have_fewer_candidates() -> None:
    boxes, scores, vectors = tiny_fairmot()(torch.rand(1, 3, 32, 32))
    assert [each.shape[1] for each in (boxes, scores, vectors)] == [40] * 3
    model = load_model(replace(TINY, candidates=500)).model.eval()
    assert model(torch.rand(1, 3, 32, 64))[0].shape[1] == 8 * 16


@pytest.mark.parametrize(
    ("backbone", "neck", "channels"),
    [
        ("resnet18", "dla", 64),
        ("resnet18", "fpn", 48),
        pytest.param("dla34", "dla", 64, marks=pytest.mark.slow),
    ],
)
def test_the_neck_merges_all_levels(backbone, neck, channels) -> None:
    if backbone == "dla34":
        pytest.importorskip("timm", reason="timm is not installed")
    settings = FairmotSettings(backbone=backbone, neck=neck, neck_width=48, head_width=16)
    model = load_model(settings).model.eval()
    assert model.neck.channels == channels
    maps = [each.detach() for each in model.backbone(torch.rand(1, 3, 64, 64)).values()]
    for level in maps:
        level.requires_grad_()
    merged = model.neck(maps)
    assert merged.shape == (1, channels, 16, 16)
    merged.square().sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in maps)


def test_an_unknown_neck() -> None:
    with pytest.raises(MotError, match="neck = 'dlaa': did you mean 'dla'"):
        load_model(FairmotSettings(backbone="resnet18", neck="dlaa"))


def test_the_exported_network_runs_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("timm", reason="timm is not installed")
    export = importlib.import_module("mot.detectors.export").export
    network = importlib.import_module("mot.detectors.torch_network").TorchNetwork
    model, spec, names, _ = load_model(replace(TINY, amodal=True))
    with torch.no_grad():
        model.heat[-1].weight.mul_(4)  # untrained scores are nearly equal
    export(model, spec, names, tmp_path / "net.onnx")
    canvas = np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), np.uint8)
    expected = network(model, spec, names, "cpu").predict(canvas, 0.001, np.array([0]))
    np.save(tmp_path / "canvas.npy", canvas)
    program = (
        "import numpy as np\nfrom mot.detectors.onnx.network import OnnxNetwork\n"
        f"network = OnnxNetwork({str(tmp_path / 'net.onnx')!r}, 'cpu')\n"
        "assert network.spec.amodal\n"
        f"canvas = np.load({str(tmp_path / 'canvas.npy')!r})\n"
        "found = network.predict(canvas, 0.001, np.array([0]))\n"
        "for number, each in enumerate(found):\n"
        f"    np.savez({str(tmp_path)!r} + f'/{{number}}.npz', boxes=each.boxes, "
        "scores=each.scores, embeddings=each.embeddings)\n"
    )
    done = run_without(TORCH, program)
    assert done.returncode == 0, done.stderr
    for number, wanted in enumerate(expected):
        found = np.load(tmp_path / f"{number}.npz")
        assert len(found["boxes"]) == len(wanted.boxes) > 5
        order, other = found["scores"].argsort(), wanted.scores.argsort()
        for name in ("boxes", "scores", "embeddings"):
            ours, theirs = found[name][order], getattr(wanted, name)[other]
            np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_metadata_of_a_checkpoint() -> None:
    assert checkpoint_metadata(TINY)["architecture"] == "fairmot"
    assert checkpoint_metadata(TINY)["settings"]["neck"] == "fpn"
