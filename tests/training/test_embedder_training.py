"""Embedders learn to tell people apart, go on where they stopped, and are the same everywhere."""

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

from mot.cli import main  # noqa: E402
from mot.errors import MotError  # noqa: E402
from mot.opencv import cv2  # noqa: E402
from mot.reid.networks import create  # noqa: E402
from mot.reid.open import open_embedder  # noqa: E402
from mot.reid.settings import EmbedderSettings  # noqa: E402
from mot.runtime.safetensors_header import read_metadata  # noqa: E402
from mot.settings import build_settings  # noqa: E402
from mot.training.distillation import taught_by  # noqa: E402
from mot.training.logs import BEST, read_log  # noqa: E402
from mot.training.recipe import known_recipes, load_recipe, recipe_of  # noqa: E402
from mot.training.reid import gather, start  # noqa: E402
from mot.training.run import Plan, train  # noqa: E402

SCHEDULE = {"epochs": 2, "batch": 16, "lr": 0.003, "warmup": 4, "workers": 0, "ema": 0.8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sequence(folder / "train" / "one", 16)
    write_sequence(folder / "val" / "other", 61, seed=1, step=5)
    return folder


def tables(folder: Path, **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": {"family": "embedder", "width": 16, "height": 32, "dims": 16, "stripes": 2},
        "data": {
            "train": [{"annotations": str(folder / "train"), "format": "mot"}],
            "val": [{"annotations": str(folder / "val"), "format": "mot", "every": 5}],
        },
        "augment": {"each": 4, "coarse": 0.0},
        "loss": {},
        "schedule": {"optimiser": "adamw", **SCHEDULE},
    }
    return {name: {**table, **changed.get(name, {})} for name, table in given.items()}


class Nobody:
    def begin(self, steps: int, done: int) -> None: ...
    def step(self, progress: Any, told: Any) -> None: ...
    def epoch(self, progress: Any, measured: Any) -> None: ...
    def end(self) -> None: ...


class Stops(Nobody):
    def step(self, progress: Any, told: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt


def run(given: dict[str, Any], folder: Path, watch: Any = None, **plan: Any) -> Any:
    said: list[str] = []
    done = train(Plan(recipe_of(given, "t"), folder, "cpu", **plan), watch or Nobody(), said.append)
    return done, said


def log(folder: Path) -> list[dict[str, Any]]:
    return read_log(folder / "log.jsonl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(tables(data, schedule={"epochs": 6}), folder)
    return folder


def test_it_learns_to_tell_people_apart(trained: Path) -> None:
    losses = [line["loss"] for line in log(trained) if "loss" in line]
    found = [line["val"] for line in log(trained) if "val" in line]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    assert found[-1]["mAP"] > found[0]["mAP"] + 0.1


def test_tensorboard_shows_the_worst_confusions(trained: Path) -> None:
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard is not installed",
    )
    told = accumulators.EventAccumulator(str(trained / "tensorboard")).Reload()
    first = told.Images("val/0")[0]
    assert first.width > first.height / 3 > 100


def test_a_resumed_training_is_the_one_that_was_not_interrupted(tmp_path, data) -> None:
    given = tables(data, schedule={"save": 2})
    run(given, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(given, tmp_path / "parts", Stops())
    run(given, tmp_path / "parts", resume=True)
    wanted, found = log(tmp_path / "whole"), log(tmp_path / "parts")
    assert [line["step"] for line in found] == [line["step"] for line in wanted]
    assert found == wanted
    assert (tmp_path / "parts" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


def test_workers_change_nothing(tmp_path, data) -> None:
    for workers in (0, 2):
        run(tables(data, schedule={"epochs": 1, "workers": workers}), tmp_path / f"{workers}")
    assert log(tmp_path / "0") == log(tmp_path / "2")


def test_crops_are_learned_by_heart(tmp_path, data, monkeypatch) -> None:
    monkeypatch.setattr("mot.training.run._STEPS_BY_HEART", 16)
    told = tables(data, model={"width": 32, "height": 64}, loss={"smoothing": 0.0})
    done, _ = run(told, tmp_path, overfit=16)
    losses = [line["loss"] for line in log(tmp_path) if "loss" in line]
    assert losses[-1] < losses[0] / 2
    assert done.progress.best > 0.3


def export(weights: Path, path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", str(weights), "-o", str(path), "--quiet"])
    assert end.value.code == 0


def test_a_trained_embedder_is_used_and_exported(trained, tmp_path) -> None:
    best = trained / BEST
    told = read_metadata(best)
    assert told["architecture"] == "embedder" and told["settings"]["dims"] == 16
    assert {"mAP", "rank-1", "epoch"} == told["trained"].keys()
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


def test_a_teacher_is_asked_for_every_crop_once_and_imitated(trained, data, tmp_path) -> None:
    export(trained / BEST, tmp_path / "teacher.onnx")
    loss = {"identity": 0.0, "triplet": 0.0, "teacher": str(tmp_path / "teacher.onnx")}
    run(tables(data, loss=loss, schedule={"epochs": 4}), tmp_path / "run")
    steps = [line for line in log(tmp_path / "run") if "loss" in line]
    for name in ("imitation", "relations"):
        values = [line[name] for line in steps]
        assert np.mean(values[-3:]) < np.mean(values[:3])


def test_a_teacher_is_asked_for_every_view_of_a_crop(data, trained) -> None:
    settings = {"views": 3, "coarse": 0.5, "noise": 1.0}
    recipe = recipe_of(tables(data, augment=settings), "t")
    begun = start(recipe, "")
    materials = gather(recipe, begun)
    crops, change = materials.train, materials.loader.data.change
    teacher = open_embedder(str(trained / BEST), device="cpu:0")
    found = taught_by(str(trained / BEST), crops, change, (16, 32))
    looks = []
    for index in range(len(crops)):
        for view in range(3):
            rgb, _ = change(crops.whole, len(crops), index, (16, 32), view)
            bgr = np.ascontiguousarray(rgb.numpy().transpose(1, 2, 0)[:, :, ::-1])
            looks.append(teacher(bgr, np.array([[0, 0, 16, 32]], np.float32))[0])
    about = np.array(looks) - np.mean(looks, axis=0)
    wanted = about / np.linalg.norm(about, axis=1, keepdims=True)
    np.testing.assert_allclose(found.reshape(len(looks), -1), wanted, atol=2e-3)
    batch = next(materials.loader.epoch(0))
    for image, target in zip(batch.images, batch.targets, strict=True):
        place, view = divmod(int(target.labels[0]), 3)
        again, _ = change(crops.whole, len(crops), place, (16, 32), view)
        assert torch.equal(image, again)


def test_boxes_without_identities_are_told_apart_by_two_views_of_each(data, tmp_path) -> None:
    source = {"annotations": str(data / "train"), "identities": "boxes", "every": 4}
    given = tables(data, data={"train": [source], "val": [source]}, augment={"each": 2})
    _, said = run(given, tmp_path)
    assert any("24 pictures to train on, 48 to measure on" in line for line in said)
    assert 0 < log(tmp_path)[-1]["val"]["mAP"] <= 1


def test_nobody_to_train_on_is_an_error_that_names_the_mend(tmp_path) -> None:
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
    with pytest.raises(MotError, match="nobody to train on"):
        run(tables(tmp_path, data={"train": [small], "val": []}), tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": {"batch": 10}}, "multiple of 4"),
        ({"schedule": {"sizes": ["64x64"]}}, "model.width"),
        ({"assigner": {"kind": "atss"}}, "an embedder has none"),
        ({"model": {"stripes": 3}}, "stripes = 3"),
        ({"model": {"backbone": "resnet5"}}, "resnet5"),
        ({"augment": {"mosaic": 0.5}}, "unknown setting 'mosaic'"),
        ({"augment": {"each": 1}}, "each = 1"),
        ({"augment": {"coarse_height": [90, 40]}}, "coarse_height"),
        ({"loss": {"identity": 0.0, "triplet": 0.0}}, "nothing to learn"),
        ({"loss": {"teacher": "absent.onnx"}}, "absent.onnx"),
        ({"augment": {"splice": 0.5}}, "splice makes people"),
        ({"augment": {"splice": 0.5, "views": 2}}, "splice makes people"),
    ],
)
def test_wrong_recipes_are_told_of(changed, message, data, tmp_path) -> None:
    given = tables(data, **changed)
    given |= {"assigner": changed.get("assigner", {})}
    with pytest.raises(MotError, match=message):
        run(given, tmp_path)


def test_embedders_recipes_can_be_read() -> None:
    names = [name for name in known_recipes() if name.startswith("reid-")]
    assert len(names) == 5
    for name in names:
        assert load_recipe((name,)).start.family == "embedder"


def test_other_files_are_no_embedders(tmp_path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no such file")
    with pytest.raises(MotError, match=r"x\.safetensors"):
        open_embedder(str(tmp_path / "x.safetensors"))
    with pytest.raises(MotError, match="no such file"):
        open_embedder(str(tmp_path / "absent.safetensors"))


def test_weights_of_a_backbone_alone_are_taken_over(data, tmp_path) -> None:
    model = {"backbone": "osnet_x0_25", "width": 32, "height": 64}
    backbone = create(build_settings(EmbedderSettings, model, "")).backbone
    others = {"classifier.weight": torch.zeros(3, 3)}
    torch.save({"state_dict": {**backbone.state_dict(), **others}}, tmp_path / "osnet.pth")
    given = tables(data, model={**model, "weights": str(tmp_path / "osnet.pth")})
    recipe = recipe_of(given, "t")
    begun = start(recipe, recipe.start.weights)
    assert "left out: classifier.weight" in begun.note and "untrained" not in begun.note
    for name, array in begun.model.backbone.state_dict().items():
        assert torch.equal(array, backbone.state_dict()[name])
