"""JDE: the detector stays what it was, each box has the vector of its cell, and what is learned of
people comes from their numbers and from a larger network."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import safetensors.torch  # noqa: E402
from support.embedders import mean_color  # noqa: E402
from support.training import SilentCallback, network_cfg, write_recipe  # noqa: E402
from torchvision.ops import roi_align  # noqa: E402

from mot.cli import main  # noqa: E402
from mot.config import build_detector  # noqa: E402
from mot.detectors.architectures import (  # noqa: E402
    CfgSettings,
    JdeSettings,
    Yolov3Settings,
    checkpoint_metadata,
    load_model,
)
from mot.detectors.built_in import PersonSettings  # noqa: E402
from mot.detectors.built_in import load_model as load_person  # noqa: E402
from mot.detectors.models.common import TORCHVISION_INPUT  # noqa: E402
from mot.detectors.onnx.network import OnnxNetwork  # noqa: E402
from mot.detectors.torch_network import TorchNetwork  # noqa: E402
from mot.errors import MotError  # noqa: E402
from mot.motfile import read_mot_rows  # noqa: E402
from mot.opencv import cv2  # noqa: E402
from mot.reid.embedder import OnnxEmbedder  # noqa: E402
from mot.runtime.checkpoints import save_weights  # noqa: E402
from mot.runtime.preprocess import InputSpec, normalize  # noqa: E402
from mot.synthetic import SCENES, World  # noqa: E402
from mot.training.assigners import SimOta  # noqa: E402
from mot.training.criteria.jde import JdeCriterion, JdeLoss  # noqa: E402
from mot.training.distillation import Teacher  # noqa: E402
from mot.training.initial_model import load_initial_model  # noqa: E402
from mot.training.recipe import load_recipe  # noqa: E402
from mot.training.run import TrainingRun, train  # noqa: E402
from mot.training.targets import Target  # noqa: E402
from mot.training.train_logger import BEST, LAST, read_log  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

DRAWN = JdeSettings(network="person", dims=16)
PLAIN = Yolov3Settings(backbone="mobilenet_v2", neck_width=32)
SMALL = JdeSettings(backbone="mobilenet_v2", neck_width=32, dims=16, hidden=8)
REGIONS = replace(DRAWN, regions=40, layers=(57, 70), hidden=8)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def person() -> Any:
    return load_person(PersonSettings()).model.eval()


def with_person(settings: JdeSettings = DRAWN) -> Any:
    return load_initial_model(settings, "person").model.eval()


def run(model: Any, *size: int) -> Any:
    with torch.inference_mode():
        return model(torch.rand(*size, generator=torch.Generator().manual_seed(1)))


# The network


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_detector_that_comes_with_mot_finds_the_very_same(person, hidden) -> None:
    model = with_person(replace(DRAWN, hidden=hidden))
    boxes, scores, vectors = run(model, 2, 3, 96, 128)
    wanted = run(person, 2, 3, 96, 128)
    assert torch.equal(boxes, wanted[0]) and torch.equal(scores, wanted[1])
    assert vectors.shape == (2, boxes.shape[1], 16)
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(vectors.shape[:2]))


def test_regions_are_those_of_the_best_boxes(person) -> None:
    model = with_person(REGIONS)
    boxes, scores, vectors = run(model, 2, 3, 96, 128)
    every, wanted = run(person, 2, 3, 96, 128)
    best = wanted[..., 0].topk(40)
    assert torch.equal(scores[..., 0], best.values)
    assert torch.equal(
        boxes, torch.stack([each[rows] for each, rows in zip(every, best.indices, strict=True)])
    )
    lengths = vectors.norm(dim=2)
    is_looked_at = scores[..., 0] >= min(0.05, scores.max().item())
    torch.testing.assert_close(lengths, is_looked_at.float())
    assert is_looked_at.any()


def test_a_region_is_what_its_box_covers_of_the_maps() -> None:
    """Torchvision's pooling of one box after the other; half of one lies beyond the edge."""
    model = with_person(REGIONS)
    with torch.inference_mode():
        looks = model.raw(torch.rand(2, 3, 96, 128))[3:]
        boxes = torch.tensor([[[10.0, 8, 50, 90], [90, -30, 200, 60]]]).repeat(2, 1, 1)
        places = torch.tensor([[0, 0], [1, 1], [1, 0]])
        found = model.embedding.vectors_of(boxes, places, looks)
        for row, (picture, number) in enumerate(places.tolist()):
            left, top, right, bottom = boxes[picture, number].tolist()
            inside = torch.tensor([[left, max(top, 0.0), min(right, 128.0), bottom]])
            pooled = [
                roi_align(each[picture, None], [inside], (16, 8), 1 / stride, 1, True)
                for each, stride in zip(looks, (8, 16), strict=True)
            ]
            wanted = model.embedding.vector(torch.cat(pooled, 1))[0]
            torch.testing.assert_close(found[row], wanted)
        assert model.embedding.vectors_of(boxes, places[:0], looks).shape == (0, 16)


def test_regions_run_without_torch_and_say_the_same(tmp_path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    network = network_cfg(True)
    settings = JdeSettings(network=network, dims=8, regions=30, layers=(1, 2), hidden=8)
    model, spec, names, _ = load_model(settings)
    import_module("mot.detectors.export").export(model, spec, names, tmp_path / "net.onnx")
    canvas = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    one = OnnxNetwork(tmp_path / "net.onnx", "cpu").predict(canvas, 0.0, np.array([0]))
    other = TorchNetwork(model, spec, names, "cpu").predict(canvas, 0.0, np.array([0]))
    for found, wanted in zip(one, other, strict=True):
        assert found.embeddings.shape == (30, 8) and len(found.boxes) == 30
        rows, others = found.scores.argsort(), wanted.scores.argsort()
        np.testing.assert_allclose(found.boxes[rows], wanted.boxes[others], atol=1e-2)
        np.testing.assert_allclose(found.embeddings[rows], wanted.embeddings[others], atol=1e-3)


@pytest.mark.parametrize("layers", [(), (200,), (-1,)])
def test_layers_that_are_not_there(layers) -> None:
    with pytest.raises(MotError, match=r"layers = .*person\.cfg, from 0 to 141"):
        load_model(replace(REGIONS, layers=layers))


def test_yolov3_with_embeddings_takes_the_weights_of_one_without(tmp_path) -> None:
    plain = load_model(PLAIN).model.eval()
    save_weights(plain, tmp_path / "plain.safetensors", checkpoint_metadata(PLAIN))
    begun = load_initial_model(SMALL, str(tmp_path / "plain.safetensors"))
    assert "untrained: embedding" in begun.note
    boxes, scores, _ = run(begun.model.eval(), 1, 3, 64, 96)
    wanted = run(plain, 1, 3, 64, 96)
    assert torch.equal(boxes, wanted[0]) and torch.equal(scores, wanted[1])


@pytest.mark.parametrize("settings", [DRAWN, SMALL], ids=["drawn", "yolov3"])
def test_each_box_has_the_vector_of_its_cell(settings) -> None:
    model = load_model(settings).model.eval()
    images = torch.rand(1, 3, 96, 128)
    with torch.inference_mode():
        raw = model.raw(images)
        vectors = model.decode(raw, (96, 128))[2][0]
    row = 0
    for maps in raw[3:]:
        _, dims, height, width = maps.shape
        assert dims == 16
        for y, x, _anchor in np.ndindex(height, width, 3):
            cell = maps[0, :, y, x]
            torch.testing.assert_close(vectors[row], cell / cell.norm())
            row += 1
    assert row == len(vectors)
    places = torch.tensor([[0, 0], [0, row - 1], [0, row // 2]])
    found = model.embedding.vectors_of(model.decode(raw, (96, 128))[0], places, raw[3:])
    unit = found / found.norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit, vectors[places[:, 1]])


def test_its_file_is_a_detector_with_its_drawing_in_it(tmp_path, person) -> None:
    model = with_person()
    save_weights(model, tmp_path / "jde.safetensors", checkpoint_metadata(DRAWN))
    picture = next(World(SCENES["crowd"], seed=3).moments(1)).frame.image
    detector = build_detector(str(tmp_path / "jde.safetensors"), runtime="torch", conf=0.001)
    (found,) = detector([picture])
    assert found.embeddings.shape == (len(found), 16) and len(found) > 5
    with pytest.raises(MotError, match="holds the architecture 'jde'"):
        load_model(CfgSettings(weights=str(tmp_path / "jde.safetensors")))


def test_a_network_that_is_drawn_for_other_classes() -> None:
    with pytest.raises(MotError, match=r"person\.cfg has 1 classes"):
        load_model(replace(DRAWN, names=("person", "head")))


# What it learns


def target(boxes: Any, ids: Any, regions: Any = ()) -> Target:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    return Target(
        boxes, labels, torch.tensor(ids).long(), torch.tensor(regions).float().reshape(-1, 4)
    )


TARGETS = [target([[10, 12, 40, 90], [60, 8, 90, 80]], [1, -1]), target([], [])]


def teach(model: Any, **settings: Any) -> Any:
    return JdeCriterion(model, JdeLoss(**settings), SimOta(radius=1.0), 4)


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, regions=20)], ids=["cells", "regions"])
def test_yolov3s_own_losses_and_who_is_who(settings) -> None:
    model, images = load_model(settings).model.train(), torch.rand(2, 3, 96, 128)
    criterion = teach(model)
    losses = criterion(images, TARGETS)
    assert set(losses) == {"box", "objectness", "class", "identity", "uncertainty"}
    sum(losses.values()).backward()
    for owner in (model, criterion.auxiliary):
        gradients = [each.grad for each in owner.parameters()]
        assert all(each is not None and each.isfinite().all() for each in gradients)
    assert criterion.auxiliary.classifier.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("settings", [DRAWN, REGIONS], ids=["cells", "regions"])
@pytest.mark.parametrize("boxes", [[[10, 12, 40, 90]], []], ids=["a stranger", "nobody"])
def test_strangers_teach_nothing_without_a_teacher(settings, boxes) -> None:
    model = with_person(settings).train()
    losses = teach(model)(torch.rand(1, 3, 96, 128), [target(boxes, [-1] * len(boxes))])
    assert losses["identity"].item() == 0
    sum(losses.values()).backward()
    gradients = [each.grad for each in model.embedding.parameters()]
    assert all(each is not None and each.abs().sum() == 0 for each in gradients)


@pytest.mark.parametrize("spec", [InputSpec(), TORCHVISION_INPUT, InputSpec(is_rgb=False)])
def test_a_teacher_sees_the_crops_of_the_batch(tmp_path, spec) -> None:
    path = mean_color(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), np.uint8)
    images = torch.from_numpy(normalize(pictures, spec))
    boxes = [[[4, 4, 30, 60], [-20, 10, 20, 90]], [], [[40.4, 3.2, 79, 61]]]
    targets = [target(each, list(range(len(each)))) for each in boxes]
    teacher = Teacher(str(path), spec)
    assert teacher.dims == 3
    found = teacher(images, targets, torch.tensor([0, 1, 2]))
    wanted = [
        OnnxEmbedder(path)(picture, np.array(each, np.float32))
        for picture, each in zip(pictures, boxes, strict=True)
        if each
    ]
    np.testing.assert_allclose(found.numpy(), np.concatenate(wanted), atol=1e-5)
    assert torch.equal(teacher(images, targets, torch.tensor([1, 2])), found[1:])
    assert teacher(images, targets, torch.tensor([], dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("settings", [DRAWN, REGIONS], ids=["cells", "regions"])
def test_a_teacher_shows_who_is_like_whom(tmp_path, settings) -> None:
    """Strangers in two colours: nobody tells who they are, and still they come to differ."""
    images = torch.zeros(1, 3, 64, 128)
    boxes = [[6 + 30 * place, 4, 26 + 30 * place, 60] for place in range(4)]
    for place, (left, top, right, bottom) in enumerate(boxes):
        images[0, 2 * (place % 2), top:bottom, left:right] = 1
    strangers = [target(boxes, [-1] * 4)]
    model = with_person(settings)
    weights = [*model.embedding.parameters()]
    criterion = teach(model, teacher=str(mean_color(tmp_path)), teacher_crops=3)
    weights += [*criterion.auxiliary.parameters()]
    optimizer = torch.optim.AdamW(weights, 0.01)
    for _ in range(120):
        losses = criterion(images, strangers)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert {"distillation", "relational"} <= losses.keys()
    with torch.inference_mode():
        raw = model.raw(images)
        _, assignment, predictions = criterion.detection_losses(raw[:3], (64, 128), strangers)
        vectors = model.embedding.vectors_of(predictions.boxes, assignment.positives, raw[3:])
        unit = vectors / vectors.norm(dim=1, keepdim=True)
    red = assignment.objects % 2 == 0
    like, same = unit @ unit.T, red[:, None] == red
    assert like[same].mean() > like[~same].mean() + 0.2


def test_an_unknown_teacher() -> None:
    with pytest.raises(MotError, match=r"nobody\.onnx: no such file"):
        teach(with_person(), teacher="nobody.onnx")


# Training


KINDS = ["", "regions = 40\nlayers = [57, 70]\n"]


def jde_recipe(folder: Path, data: Path, kind: str = "", **schedule: Any) -> Path:
    """The embedding alone, beside a network that was trained."""
    path = write_recipe(folder / "jde.toml", data, **schedule)
    text = path.read_text().partition("[[data.train]]")
    sets = text[2].replace("[[data.val]]", 'identities = "boxes"\n[[data.val]]', 1)
    path.write_text(
        '[model]\narchitecture = "jde"\nnetwork = "person"\nweights = "person"\n'
        f'train_only = "embedding"\n'
        f"dims = 8\n{kind}{text[1]}{sets}"
    )
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    import json

    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    boxes = [[6 + 30 * place, 8, 20, 48] for place in range(2)]
    for number in range(1, 5):
        picture = rng.integers(0, 60, (64, 64, 3), np.uint8)
        for left, top, width, height in boxes:
            picture[top : top + height, left : left + width] = rng.integers(100, 255, 3)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    images = [
        {"id": number, "file_name": f"{number}.png", "width": 64, "height": 64}
        for number in range(1, 5)
    ]
    annotations = [
        {"id": 2 * number + row, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box}
        for number in range(1, 5)
        for row, box in enumerate(boxes)
    ]
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "person"}]
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", KINDS, ids=["cells", "regions"])
def test_what_is_not_trained_stays_to_the_last_bit(tmp_path, data, person, kind) -> None:
    path = jde_recipe(tmp_path, data, kind, epochs=1, batch=2)
    train(
        TrainingRun(load_recipe((str(path),)), tmp_path / "run", "cpu"),
        SilentCallback(),
        lambda line: None,
    )
    log = [each for each in read_log(tmp_path / "run/log.jsonl") if "loss" in each]
    assert len(log) == 2
    parts = ("box", "objectness", "class", "identity", "uncertainty")
    assert log[0]["loss"] == pytest.approx(sum(log[0][name] for name in parts))
    trained = safetensors.torch.load_file(tmp_path / "run" / BEST)
    for name, array in person.state_dict().items():
        assert torch.equal(array, trained[name]), name
    first = safetensors.torch.load_file(tmp_path / "run" / LAST)
    others = [name for name in trained if name.startswith("embedding") and name.endswith("weight")]
    assert others and all(f"model.{name}" in first for name in others)
    assert {"auxiliary.classifier.weight", "auxiliary.log_variances"} <= first.keys()


def test_a_part_that_is_not_there(tmp_path, data) -> None:
    path = jde_recipe(tmp_path, data)
    recipe = load_recipe((str(path),), ("model.train_only=embeding",))
    with pytest.raises(MotError, match=r"model\.train_only = 'embeding'.*did you mean 'embedding'"):
        train(TrainingRun(recipe, tmp_path / "run", "cpu"), SilentCallback(), lambda line: None)


def test_a_video_is_tracked_by_what_people_look_like(tmp_path, data) -> None:
    """The detector says it, and no embedder is asked."""
    save_weights(with_person(), tmp_path / "jde.safetensors", checkpoint_metadata(DRAWN))
    words = ["track", str(data), "--detector", str(tmp_path / "jde.safetensors"), "--no-video"]
    words += ["--embedder", "none"]
    words += ["--set", "detector.runtime=torch", "--conf", "0.01", "-o", str(tmp_path / "out")]
    words += ["--tracker", "fairmot", "--set", "tracker.track_high_thresh=0.01", "-q"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    (text,) = (tmp_path / "out").glob("*.txt")
    assert len(read_mot_rows(text)) > 3
