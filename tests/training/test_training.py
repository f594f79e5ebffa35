"""The training loop learns, resumes exactly, and reports errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import safetensors.torch  # noqa: E402
from support.darknet import save_weights  # noqa: E402
from support.training import (  # noqa: E402
    YOLO,
    SilentCallback,
    conv,
    network_cfg,
    write_recipe,
)

from mot.cli import main  # noqa: E402
from mot.config import build_detector  # noqa: E402
from mot.detectors.architectures import ARCHITECTURES  # noqa: E402
from mot.detectors.darknet import model as darknet_torch  # noqa: E402
from mot.detectors.darknet.cfg import parse_cfg  # noqa: E402
from mot.detectors.models.architecture import CfgSettings  # noqa: E402
from mot.errors import MachineError, MotError  # noqa: E402
from mot.opencv import cv2  # noqa: E402
from mot.training import data_bundle, loop  # noqa: E402
from mot.training.initial_model import load_initial_model  # noqa: E402
from mot.training.optimizers import EMA, learning_rate  # noqa: E402
from mot.training.recipe import Schedule, known_recipes, load_recipe  # noqa: E402
from mot.training.run import TrainingRun, train  # noqa: E402
from mot.training.train_logger import BEST, LAST, read_log  # noqa: E402


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Path:
    return write_recipe(tmp_path / "tiny.toml", data)


class InterruptAt(SilentCallback):
    """Sends Ctrl-C during a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, progress: Any, losses: Any) -> None:
        if progress.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def run(recipe: Path, folder: Path, callback: Any = None, lines: Any = None, **options: Any) -> Any:
    log = (lambda line: None) if lines is None else lines.append
    loaded = load_recipe((str(recipe),), options.pop("overrides", ()))
    training_run = TrainingRun(loaded, folder, "cpu", **options)
    return train(training_run, callback or SilentCallback(), log)


def losses(folder: Path) -> list[tuple[int, float]]:
    log = read_log(folder / "log.jsonl")
    return [(line["step"], line["loss"]) for line in log if "loss" in line]


def test_a_larger_cfg_starts_with_the_outputs_of_a_smaller_one(tmp_path: Path) -> None:
    """With an added level the old outputs stay the same; with other classes not the heads."""
    small = tmp_path / "small.cfg"
    small.write_text(network_cfg(norm=True))
    save_weights(darknet_torch.DarknetModel(parse_cfg(small)).eval(), small.with_suffix(".weights"))
    more = "\n".join(
        ["[route]\nlayers=-3\n", conv(18, size=1, kind="linear"), YOLO.format(mask="0,1,2")]
    )
    images = torch.rand(1, 3, 64, 64)
    theirs = darknet_torch.load_darknet(small, small.with_suffix(".weights")).eval()
    for classes, names in ((1, ("person",)), (2, ("person", "head"))):
        text = (network_cfg(norm=True) + more).replace("classes=1", f"classes={classes}")
        text = text.replace("filters=18", f"filters={3 * (5 + classes)}")
        ours = load_initial_model(CfgSettings(network=text, names=names), str(small)).model.eval()
        maps = ours.outputs(images, (3, ours.network.heads[0]))
        wanted = theirs.outputs(images, (3, theirs.network.heads[0]))
        torch.testing.assert_close(maps[0], wanted[0])
        assert (maps[1].shape == wanted[1].shape) == (classes == 1)
        if classes == 1:
            torch.testing.assert_close(maps[1], wanted[1])


def test_overfitting_a_few_images_gives_a_detector_of_them(tmp_path, recipe, data) -> None:
    result = run(recipe, tmp_path / "run", overfit=4)
    assert result.progress.best > 0.95
    steps = [loss for _, loss in losses(tmp_path / "run")]
    assert np.mean(steps[-10:]) < np.mean(steps[:10]) / 3
    detector = build_detector(str(tmp_path / "run" / BEST), runtime="torch", conf=0.3)
    (found,) = detector([cv2.imread(str(data / "1.png"))])
    assert len(found) >= 1 and detector.network.names == ("person",)


def test_denormals_are_flushed_during_training(tmp_path, recipe) -> None:
    """CPUs are many times as slow with numbers below 1e-38."""
    if not torch.set_flush_denormal(False):
        pytest.skip("this CPU cannot flush denormals")
    tiny, seen = torch.tensor([1e-30]), []

    class Products(SilentCallback):
        def step(self, progress: Any, losses: Any) -> None:
            seen.append((tiny * 1e-10).item())

    run(recipe, tmp_path / "run", Products(), overrides=("schedule.epochs=1",))
    assert seen and not any(seen)
    assert (tiny * 1e-10).item() > 0


def test_half_precision_needs_support_of_the_cpu(tmp_path, data, monkeypatch) -> None:
    found = []
    for is_supported, precision in (
        (True, "fp32"),
        (False, "fp16"),
        (False, "bf16"),
        (True, "bf16"),
    ):
        monkeypatch.setattr(loop, "_cpu_supports", lambda dtype, value=is_supported: value)
        recipe = write_recipe(tmp_path / f"{precision}.toml", data, precision=precision, epochs=1)
        run(recipe, tmp_path / f"{precision}-{is_supported}")
        found.append(losses(tmp_path / f"{precision}-{is_supported}"))
    assert found[0] == found[1] == found[2] != found[3]
    monkeypatch.undo()
    assert loop.activation_dtype("", torch.device("cpu")) == torch.float32
    assert loop.activation_dtype("fp16", torch.device("cuda")) == torch.float16


def test_there_are_no_more_workers_than_cpus(tmp_path, data, monkeypatch) -> None:
    class Loader(data_bundle.Loader):
        def __init__(self, data: Any, batches: Any, workers: int, **options: Any) -> None:
            used.append(workers)
            super().__init__(data, batches, 0, **options)

    used: list[int] = []
    monkeypatch.setattr(data_bundle, "Loader", Loader)
    monkeypatch.setattr(data_bundle, "usable_cpus", lambda: 3)
    for workers in (8, 2):
        recipe = write_recipe(tmp_path / f"{workers}.toml", data, workers=workers, epochs=1)
        run(recipe, tmp_path / f"{workers}")
    assert used == [3, 2]


@pytest.mark.parametrize("at", [3, 5])
def test_resuming_gives_exactly_the_losses_of_an_uninterrupted_run(tmp_path, recipe, at) -> None:
    run(recipe, tmp_path / "complete")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped", InterruptAt(at))
    assert len(losses(tmp_path / "stopped")) == at
    run(recipe, tmp_path / "stopped", resume=True)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "complete")
    ends = [(tmp_path / name / LAST).read_bytes() for name in ("complete", "stopped")]
    arrays = [_arrays(end) for end in ends]
    assert arrays[0].keys() == arrays[1].keys()
    assert all(torch.equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def _arrays(content: bytes) -> dict[str, Any]:
    return safetensors.torch.load(content)


def test_a_killed_run_resumes_from_its_checkpoint(tmp_path, recipe) -> None:
    """SIGKILL leaves no time to save: log lines after the checkpoint are removed."""
    run(recipe, tmp_path / "complete")
    command = [sys.executable, "-m", "mot", "train", str(recipe), "-o", str(tmp_path / "killed")]
    slow = ["--set", "schedule.epochs=3"]
    process = subprocess.Popen([*command, *slow, "--device", "cpu"], stderr=subprocess.DEVNULL)
    log = tmp_path / "killed" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.read_text().count('"loss"') >= 3):
        assert time.monotonic() < deadline and process.poll() in (None, 0)
        if process.poll() == 0:
            break
        time.sleep(0.005)
    process.kill()
    process.wait()
    with log.open("a") as file:
        file.write('{"step": 99')  # half a line
    run(recipe, tmp_path / "killed", resume=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "complete")


def test_resuming_another_recipe_is_refused(tmp_path, recipe) -> None:
    run(recipe, tmp_path / "run")
    with pytest.raises(MotError, match=r"another schedule\.lr"):
        run(recipe, tmp_path / "run", resume=True, overrides=("schedule.lr=0.5",))
    with pytest.raises(MotError, match="nothing to resume"):
        run(recipe, tmp_path / "nowhere", resume=True)
    (tmp_path / "run" / LAST).write_bytes(b"rubbish")
    with pytest.raises(MotError, match="not a checkpoint"):
        run(recipe, tmp_path / "run", resume=True)


def test_resuming_a_checkpoint_of_an_earlier_version_is_refused(tmp_path, recipe) -> None:
    metadata = {"training": json.dumps({"average_steps": 3, "recipe": {}})}
    (tmp_path / "run").mkdir()
    content = safetensors.torch.save({"random": torch.zeros(1)}, metadata)
    (tmp_path / "run" / LAST).write_bytes(content)
    with pytest.raises(MotError, match="earlier version"):
        run(recipe, tmp_path / "run", resume=True)


def test_a_full_disk_leaves_the_last_checkpoint_complete(tmp_path, recipe, monkeypatch) -> None:
    import mot.training.state as state

    written: list[bytes] = []

    def write(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise MachineError(f"{path}: disk full: free some space or write elsewhere")
        path.write_bytes(content)
        written.append(content)

    monkeypatch.setattr(state, "write_bytes", write)
    with pytest.raises(MachineError, match="disk full"):
        run(recipe, tmp_path / "run")
    assert (tmp_path / "run" / LAST).read_bytes() == written[-1]
    monkeypatch.undo()
    run(recipe, tmp_path / "run", resume=True)
    run(recipe, tmp_path / "complete")
    assert losses(tmp_path / "run") == losses(tmp_path / "complete")


def test_a_loss_that_is_not_finite_names_the_images(tmp_path, recipe) -> None:
    message = r"step \d+: the loss .* is (nan|inf), with .*\.png"
    with pytest.raises(MotError, match=message) as error:
        run(recipe, tmp_path / "run", overrides=("schedule.lr=1e30", "schedule.clip=0"))
    assert "schedule.lr" in str(error.value)


def test_unreadable_images_are_reported(tmp_path, recipe, data) -> None:
    (data / "3.png").write_bytes(b"\x89PNG rubbish")
    result = run(recipe, tmp_path / "run", overrides=("schedule.epochs=1",))
    training, validation = result.unread
    assert "3.png" in training
    assert "3.png" in validation, "and is left out there, not replaced"
    scores = read_log(tmp_path / "run" / "log.jsonl")[-1]["val"]
    assert (scores["images"], scores["objects"]) == (11, 20)


def test_classes_that_do_not_match_are_refused(tmp_path, recipe) -> None:
    with pytest.raises(MotError, match="names = "):
        run(recipe, tmp_path / "run", overrides=('model.names=["cat", "dog"]',))
    with pytest.raises(MotError, match=r"classes person, the network cat"):
        run(recipe, tmp_path / "run", overrides=('model.names=["cat"]',))


def test_data_without_objects(tmp_path, recipe, data) -> None:
    content = json.loads((data / "boxes.json").read_text())
    (data / "boxes.json").write_text(json.dumps({**content, "annotations": []}))
    lines: list[str] = []
    result = run(recipe, tmp_path / "run", overrides=("schedule.epochs=1",), lines=lines)
    assert all(np.isfinite(loss) for _, loss in losses(tmp_path / "run"))
    assert "no objects" in result.best
    assert any("no objects" in line for line in lines)
    assert "NaN" not in (tmp_path / "run/log.jsonl").read_text(), "which is not JSON"


def test_without_validation_data_the_last_weights_are_kept(tmp_path, recipe) -> None:
    train, _, rest = recipe.read_text().partition("[[data.val]]")
    recipe.write_text(train + rest[rest.index("[augment]") :])
    result = run(recipe, tmp_path / "run", overrides=("schedule.epochs=1",))
    assert "not validated" in result.best
    build_detector(str(tmp_path / "run" / BEST))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_training_with_amodal_boxes_gives_an_amodal_detector(tmp_path, recipe, runtime) -> None:
    if runtime == "onnx":
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    run(recipe, tmp_path / "run", overrides=("schedule.epochs=1", "model.amodal=true"))
    detector = build_detector(str(tmp_path / "run" / BEST), runtime=runtime)
    assert detector.network.spec.amodal


def test_a_run_that_cannot_start_leaves_the_earlier_files(tmp_path, recipe) -> None:
    run(recipe, tmp_path / "run", overrides=("schedule.epochs=1",))
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    for wrong in ("loss.box=gio", "schedule.val_size=64by64"):
        with pytest.raises(SystemExit) as end:
            main(["train", str(recipe), "-o", str(tmp_path / "run"), "--overwrite", "--set", wrong])
        assert end.value.code == 2
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")} == before
    run(recipe, tmp_path / "run", overrides=("schedule.epochs=2",))
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_failing_validation_costs_no_epoch(tmp_path, recipe, monkeypatch) -> None:
    import mot.training.detection as detection

    def fail(*args: Any) -> None:
        raise MachineError("no memory")

    with monkeypatch.context() as patch, pytest.raises(MachineError):
        patch.setattr(detection, "evaluate", fail)
        run(recipe, tmp_path / "run", overrides=("schedule.save_interval=1000",))
    run(recipe, tmp_path / "run", resume=True)
    run(recipe, tmp_path / "complete")
    assert losses(tmp_path / "run") == losses(tmp_path / "complete")


def test_two_processes_equal_one_with_the_double_batch(tmp_path, data) -> None:
    """Without what amplifies rounding errors: AdamW, activations with a kink, and assigners that
    depend on predictions."""
    plain = {"optimizer": "sgd", "momentum": 0.0, "ema": 0.0, "epochs": 1, "clip": 1.0}
    recipe = write_recipe(tmp_path / "plain.toml", data, norm=False, **plain)
    command = ["-m", "mot", "train", str(recipe), "--set", "assigner.kind=max-iou"]
    command += ["--set", "loss.iou_aware=false", "--device", "cpu", "-q", "-o"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for words in (
        [sys.executable, *command, str(tmp_path / "one")],
        [sys.executable, *torchrun, *command, str(tmp_path / "two")],
    ):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = (_arrays((tmp_path / name / LAST).read_bytes()) for name in ("one", "two"))
    for name in one:
        if name.startswith("model."):
            torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-7)


SMALL = {
    "yolov3": ["backbone='mobilenetv2_035'", "neck_width=32"],
    "retinanet": ["backbone='resnet18'"],
    "fcos": ["backbone='resnet18'"],
    "fasterrcnn": ["backbone='mobilenet_v2'", "proposals=50"],
    "ssd": [],
    "fairmot": ["backbone='mobilenetv2_035'", "neck='fpn'", "neck_width=16", "head_width=16"],
    "jde": ["backbone='mobilenetv2_035'", "neck_width=32", "dims=16"],
}


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "cfg"])
def test_every_architecture_learns(tmp_path, data, recipe, architecture, monkeypatch) -> None:
    """A few steps on the same two images; results are in the documentation."""
    side = 320 if architecture == "ssd" else 128
    tables = recipe.read_text().split("[[data.val]]")[0].partition("[[data.train]]")[2]
    path = tmp_path / f"{architecture}.toml"
    path.write_text(
        f'[model]\narchitecture = "{architecture}"\n[[data.train]]\n{tables}\n'
        "[augment]\nmosaic = 0.0\n"
        f"[schedule]\nsizes = ['{side}x{side}']\nbatch = 2\nepochs = 6\nworkers = 0\nema = 0.0\n"
        "optimizer = 'adamw'\nlr = 0.001\nwarmup = 1\nseed = 1\n"
    )
    overrides = tuple(f"model.{each}" for each in SMALL[architecture])
    loaded = load_recipe((str(path),), overrides)
    monkeypatch.setattr("mot.training.run._OVERFIT_STEPS", 8)
    training_run = TrainingRun(loaded, tmp_path / "run", "cpu", overfit=2)
    train(training_run, SilentCallback(), lambda line: None)
    steps = [loss for _, loss in losses(tmp_path / "run")]
    assert len(steps) == 8
    assert min(steps[-3:]) < steps[0]


def test_the_learning_rate_warms_up_and_falls() -> None:
    cosine = Schedule(epochs=10, lr=1.0, warmup=5, min_lr_ratio=0.1)
    rates = [learning_rate(step, 10, cosine) for step in range(100)]
    assert rates[:5] == sorted(rates[:5]) and rates[0] < 0.25
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[50] == pytest.approx(0.55, abs=0.01)
    assert learning_rate(100, 10, cosine) == pytest.approx(0.1)
    steps = Schedule(epochs=10, lr=1.0, warmup=0, lr_schedule="step", milestones=(5, 8))
    found = [learning_rate(epoch * 10, 10, steps) for epoch in (0, 4, 5, 7, 8, 9)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_at_most_a_fifth_of_a_short_training_warms_up() -> None:
    short = Schedule(epochs=3, lr=1.0, warmup=500, lr_schedule="constant")
    rates = [learning_rate(step, 10, short) for step in range(30)]
    assert rates == pytest.approx([*(np.arange(1, 7) / 6), *[1.0] * 24])
    assert learning_rate(0, 1, Schedule(epochs=1, lr=1.0, warmup=500)) == 1


def test_ema_follows_the_weights() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    ema, wanted = EMA(model, 0.5), model[0].weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            model[0].weight += 1
        ema.update(model)
        decay = min(0.5, step / (step + 9))
        wanted = decay * wanted + (1 - decay) * model[0].weight.detach()
    torch.testing.assert_close(ema.model[0].weight, wanted)


@pytest.mark.parametrize("name", known_recipes())
def test_shipped_recipes_are_valid(name) -> None:
    recipe = load_recipe((name, "crowdhuman"), root="/data")
    assert recipe.train[-1].annotations == "/data/CrowdHuman/annotation_train.odgt"
    assert recipe.name == f"{name}-crowdhuman"


@pytest.mark.parametrize("data", ["mot17", "crowdhuman", "crowdhuman-identities", "fairmot-mix"])
def test_recipes_of_amodal_data_set_amodal(data) -> None:
    assert load_recipe(("retinanet-r50", data)).model.amodal
    assert not load_recipe(("retinanet-r50", "coco-person")).model.amodal


@pytest.mark.parametrize(
    "name", ["fairmot-dla34", "fairmot-resnet18", "fairmot-mobilenetv2", "jde-yolov3"]
)
def test_recipes_of_joint_networks_set_amodal(name) -> None:
    assert load_recipe((name, "coco-person")).model.amodal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.lrr=1", "lrr"),
        ("schedule.lr_schedule=round", "cosine"),
        ("schedule.batch=0", "batch"),
        ("model.architecture=yolo", "did you mean 'yolov3'"),
        ("loss.gamma=-1", "gamma"),
        ("schedule.lr=0", "lr = 0.0 must be above 0"),
        ("schedule.momentum=2", "less than 1"),
        ("schedule.ema=1.5", "less than 1"),
        ('schedule.milestones=["a"]', "epochs such as"),
        ("loss.box=gio", "did you mean 'giou'"),
        ("assigner.kind=best", "best-prior"),
        ("nothing.at=1", "unknown group"),
        ("schedule.sizes=['640by480']", "640by480"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, recipe, override, message) -> None:
    with pytest.raises(MotError, match=message):
        run(recipe, tmp_path / "run", overrides=(override,))


def test_data_that_is_not_a_list_of_tables_is_refused(tmp_path, recipe, data) -> None:
    recipe.write_text(recipe.read_text().replace("[[data.train]]", "[data.train]"))
    with pytest.raises(MotError, match=r"write the datasets as \[\[data.train\]\]"):
        load_recipe((str(recipe),), root=str(data))


def test_plots_of_training_curves(tmp_path, recipe, capsys) -> None:
    run(recipe, tmp_path / "run")
    out = tmp_path / "curves.png"
    with pytest.raises(SystemExit) as end:
        main(["train", "plot", str(tmp_path / "run"), "-o", str(out)])
    assert end.value.code == 0
    assert cv2.imread(str(out)).std() > 5
    (tmp_path / "reid").mkdir()
    lines = [{"step": 1, "epoch": 0, "lr": 0.1, "loss": 2.0, "triplet": 2.0, "grad_norm": 1.0}]
    lines += [{"step": 1, "epoch": 1, "val": {"mAP": 0.5, "rank-1": None}}]
    (tmp_path / "reid/log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    with pytest.raises(SystemExit) as end:
        main(["train", "plot", str(tmp_path / "reid"), "-o", str(tmp_path / "reid.png")])
    assert end.value.code == 0
    with pytest.raises(SystemExit):
        main(["train", "plot", str(tmp_path), "-o", str(tmp_path / "other.png")])
    assert "folder that `mot train` wrote" in capsys.readouterr().err
