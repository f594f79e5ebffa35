"""Embedders learn identities, resume exactly, and give the same embeddings on every runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("onnxruntime")

from support.embedder_worlds import write_sequence  # noqa: E402
from support.training import SilentCallback  # noqa: E402

from mot.cli import main  # noqa: E402
from mot.errors import MotError  # noqa: E402
from mot.opencv import cv2  # noqa: E402
from mot.reid.networks import create_embedder  # noqa: E402
from mot.reid.open import open_embedder  # noqa: E402
from mot.reid.settings import EmbedderSettings  # noqa: E402
from mot.runtime.safetensors_metadata import read_metadata  # noqa: E402
from mot.settings import build_settings  # noqa: E402
from mot.training.distillation import compute_teacher_embeddings  # noqa: E402
from mot.training.recipe import build_recipe, known_recipes, load_recipe  # noqa: E402
from mot.training.reid import ReidTask  # noqa: E402
from mot.training.run import TrainingRun, train  # noqa: E402
from mot.training.train_logger import BEST, read_log  # noqa: E402

SCHEDULE = {"epochs": 2, "batch": 16, "lr": 0.003, "warmup": 4, "workers": 0, "ema": 0.8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sequence(folder / "train" / "one", 16)
    write_sequence(folder / "val" / "other", 61, seed=1, step=5)
    return folder


def tables(folder: Path, **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": {"architecture": "embedder", "width": 16, "height": 32, "dims": 16, "stripes": 2},
        "data": {
            "train": [{"annotations": str(folder / "train"), "format": "mot"}],
            "val": [{"annotations": str(folder / "val"), "format": "mot", "every": 5}],
        },
        "augment": {"each": 4, "coarse": 0.0},
        "loss": {},
        "schedule": {"optimizer": "adamw", **SCHEDULE},
    }
    return {name: {**table, **changed.get(name, {})} for name, table in given.items()}


class Interrupts(SilentCallback):
    def step(self, progress: Any, losses: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt


def run(given: dict[str, Any], folder: Path, callback: Any = None, **options: Any) -> Any:
    lines: list[str] = []
    training_run = TrainingRun(build_recipe(given, "t"), folder, "cpu", **options)
    return train(training_run, callback or SilentCallback(), lines.append), lines


def log(folder: Path) -> list[dict[str, Any]]:
    return read_log(folder / "log.jsonl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(tables(data, schedule={"epochs": 6}), folder)
    return folder


def test_it_learns_identities(trained: Path) -> None:
    losses = [line["loss"] for line in log(trained) if "loss" in line]
    found = [line["val"] for line in log(trained) if "val" in line]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    assert found[-1]["mAP"] > found[0]["mAP"] + 0.1


def test_tensorboard_shows_the_worst_confusions(trained: Path) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard is not installed",
    )
    events = accumulators.EventAccumulator(str(trained / "tensorboard")).Reload()
    first = events.Images("val/0")[0]
    assert first.width > first.height / 3 > 100


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, data) -> None:
    given = tables(data, schedule={"save_interval": 2})
    run(given, tmp_path / "complete")
    with pytest.raises(KeyboardInterrupt):
        run(given, tmp_path / "resumed", Interrupts())
    run(given, tmp_path / "resumed", resume=True)
    wanted, found = log(tmp_path / "complete"), log(tmp_path / "resumed")
    assert [line["step"] for line in found] == [line["step"] for line in wanted]
    assert found == wanted
    assert (tmp_path / "resumed" / BEST).read_bytes() == (tmp_path / "complete" / BEST).read_bytes()


def test_the_number_of_workers_does_not_change_results(tmp_path, data) -> None:
    for workers in (0, 2):
        run(tables(data, schedule={"epochs": 1, "workers": workers}), tmp_path / f"{workers}")
    assert log(tmp_path / "0") == log(tmp_path / "2")


def test_overfitting_a_few_crops(tmp_path, data, monkeypatch) -> None:
    monkeypatch.setattr("mot.training.run._OVERFIT_STEPS", 16)
    given = tables(data, model={"width": 32, "height": 64}, loss={"label_smoothing": 0.0})
    result, _ = run(given, tmp_path, overfit=16)
    losses = [line["loss"] for line in log(tmp_path) if "loss" in line]
    assert losses[-1] < losses[0] / 2
    assert result.progress.best > 0.3


def export(weights: Path, path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", str(weights), "-o", str(path), "--quiet"])
    assert end.value.code == 0


def test_a_trained_embedder_can_be_opened_and_exported(trained, tmp_path) -> None:
    best = trained / BEST
    metadata = read_metadata(best)
    assert metadata["architecture"] == "embedder" and metadata["settings"]["dims"] == 16
    assert {"mAP", "rank-1", "epoch"} == metadata["trained"].keys()
    export(best, tmp_path / "e.onnx")
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    xyxy = np.array([[3, 4, 30, 60], [-20, 10, 20, 90], [50, 50, 70, 60]], np.float32)
    given = [open_embedder(str(path)) for path in (best, tmp_path / "e.onnx")]
    found = [embedder(image, xyxy) for embedder in given]
    np.testing.assert_array_equal(*found)
    in_torch = open_embedder(str(best), device="cpu:0")(image, xyxy)
    np.testing.assert_allclose(in_torch, found[0], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), 1, atol=1e-5)
    assert found[0].shape == (3, 16)


def test_distillation_losses_fall(trained, data, tmp_path) -> None:
    export(trained / BEST, tmp_path / "teacher.onnx")
    loss = {"identity": 0.0, "triplet": 0.0, "teacher": str(tmp_path / "teacher.onnx")}
    run(tables(data, loss=loss, schedule={"epochs": 4}), tmp_path / "run")
    steps = [line for line in log(tmp_path / "run") if "loss" in line]
    for name in ("distillation", "relational"):
        values = [line[name] for line in steps]
        assert np.mean(values[-3:]) < np.mean(values[:3])


def test_the_teacher_embeds_every_view_of_a_crop(data, trained) -> None:
    settings = {"views": 3, "coarse": 0.5, "noise": 1.0}
    recipe = build_recipe(tables(data, augment=settings), "t")
    bundle = ReidTask(recipe, "").load_data()
    crops, augment = bundle.train, bundle.loader.data.change
    teacher = open_embedder(str(trained / BEST), device="cpu:0")
    found = compute_teacher_embeddings(str(trained / BEST), crops, augment, (16, 32))
    vectors = []
    for index in range(len(crops)):
        for view in range(3):
            rgb, _ = augment(crops.full_image, len(crops), index, (16, 32), view)
            bgr = np.ascontiguousarray(rgb.numpy().transpose(1, 2, 0)[:, :, ::-1])
            vectors.append(teacher(bgr, np.array([[0, 0, 16, 32]], np.float32))[0])
    centered = np.array(vectors) - np.mean(vectors, axis=0)
    wanted = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(found.reshape(len(vectors), -1), wanted, atol=2e-3)
    batch = next(bundle.loader.epoch(0))
    for image, target in zip(batch.images, batch.targets, strict=True):
        row, view = divmod(int(target.labels[0]), 3)
        expected, _ = augment(crops.full_image, len(crops), row, (16, 32), view)
        assert torch.equal(image, expected)


def test_boxes_without_identities_are_validated_by_two_views_of_each(data, tmp_path) -> None:
    source = {"annotations": str(data / "train"), "identities": "boxes", "every": 4}
    given = tables(data, data={"train": [source], "val": [source]}, augment={"each": 2})
    _, lines = run(given, tmp_path)
    assert any("24 training crops, 48 validation crops" in line for line in lines)
    assert 0 < log(tmp_path)[-1]["val"]["mAP"] <= 1


def test_no_usable_crops_is_an_error_with_the_fix(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 50, 3), np.uint8))
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 30], "iscrowd": 0}
    content = {"images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 50}]}
    content |= {"annotations": [box], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    source = {"annotations": str(tmp_path / "boxes.json"), "images": str(tmp_path)}
    given = tables(tmp_path, data={"train": [source], "val": []})
    with pytest.raises(MotError, match='identities = "boxes"'):
        run(given, tmp_path / "run")
    small = {**source, "identities": "boxes", "min_height": 40.0}
    with pytest.raises(MotError, match="no usable crops"):
        run(tables(tmp_path, data={"train": [small], "val": []}), tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": {"batch": 10}}, "multiple of 4"),
        ({"schedule": {"sizes": ["64x64"]}}, "model.width"),
        ({"assigner": {"kind": "atss"}}, "embedders have no assigner"),
        ({"model": {"stripes": 3}}, "stripes = 3"),
        ({"model": {"backbone": "resnet5"}}, "resnet5"),
        ({"augment": {"mosaic": 0.5}}, "unknown setting 'mosaic'"),
        ({"augment": {"each": 1}}, "each = 1"),
        ({"augment": {"coarse_height": [90, 40]}}, "coarse_height"),
        ({"loss": {"identity": 0.0, "triplet": 0.0}}, "every loss has the weight 0"),
        ({"loss": {"teacher": "absent.onnx"}}, "absent.onnx"),
        ({"augment": {"splice": 0.5}}, "splice needs a teacher"),
        ({"augment": {"splice": 0.5, "views": 2}}, "splice needs a teacher"),
    ],
)
def test_wrong_settings_are_refused(changed, message, data, tmp_path) -> None:
    given = tables(data, **changed)
    given |= {"assigner": changed.get("assigner", {})}
    with pytest.raises(MotError, match=message):
        run(given, tmp_path)


def test_shipped_recipes_of_embedders() -> None:
    names = [name for name in known_recipes() if name.startswith("reid-")]
    assert len(names) == 5
    for name in names:
        assert load_recipe((name,)).init.architecture == "embedder"


def test_other_files_are_refused(tmp_path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no such file")
    with pytest.raises(MotError, match=r"x\.safetensors"):
        open_embedder(str(tmp_path / "x.safetensors"))
    with pytest.raises(MotError, match="no such file"):
        open_embedder(str(tmp_path / "absent.safetensors"))


def test_weights_of_the_backbone_alone_are_loaded(data, tmp_path) -> None:
    model = {"backbone": "osnet_x0_25", "width": 32, "height": 64}
    backbone = create_embedder(build_settings(EmbedderSettings, model, "")).backbone
    others = {"classifier.weight": torch.zeros(3, 3)}
    torch.save({"state_dict": {**backbone.state_dict(), **others}}, tmp_path / "osnet.pth")
    given = tables(data, model={**model, "weights": str(tmp_path / "osnet.pth")})
    recipe = build_recipe(given, "t")
    initial = ReidTask(recipe, recipe.init.weights).initial
    assert "not used: classifier.weight" in initial.note and "untrained" not in initial.note
    for name, array in initial.model.backbone.state_dict().items():
        assert torch.equal(array, backbone.state_dict()[name])
