"""The detector that comes with mot: its files are those that were measured, and it finds people."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import mot
from mot import boxes
from mot.config import build_detector
from mot.detectors.built_in import PersonSettings
from mot.detectors.network import NetworkDetector, RawDetections
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec, match_aspect
from mot.synthetic import SCENES, World

ROOT = Path(mot.__file__).resolve().parent.parent
WEIGHTS = Path(mot.__file__).resolve().parent / "weights"
CARDS = [ROOT / "docs" / f"{name}.md" for name in ("person", "joint")]


def moments(scene: str, seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pictures, the boxes of those who are mostly in view, and who they are."""
    found = []
    for number, moment in enumerate(World(SCENES[scene], seed=seed).moments(41)):
        if number % 10 == 5:
            seen = moment.visibility >= 0.5
            assert moment.frame.image is not None
            found.append((moment.frame.image.copy(), moment.boxes[seen], moment.ids[seen]))
    return found


@pytest.mark.parametrize("card", CARDS, ids=["person", "joint"])
def test_the_files_are_those_of_the_card(card: Path) -> None:
    told = dict(re.findall(r"`(\w+\.\w+)`[^`]*`([0-9a-f]{64})`", card.read_text("utf-8")))
    assert told.keys() == {f"{card.stem}{end}" for end in (".onnx", "16.onnx", ".safetensors")}
    for name, digest in told.items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == digest
    assert sum((WEIGHTS / name).stat().st_size for name in told) < 8e6


@pytest.mark.parametrize("scene", ["easy", "crowd"])
def test_it_finds_the_people_of_rendered_scenes(scene) -> None:
    detector = build_detector("person", conf=0.3)
    hits = people = found = 0
    for image, truth, _ in moments(scene, seed=11):
        (detections,) = detector([image])
        overlap = boxes.iou(truth.astype(np.float32), detections.boxes)
        hits += int((overlap.max(axis=1, initial=0) > 0.5).sum())
        people, found = people + len(truth), found + len(detections)
    assert hits > 0.6 * people
    assert found < 1.5 * people


@pytest.mark.parametrize("name", ["person", "joint"])
def test_the_file_for_wide_cpus_gives_the_same(name: str) -> None:
    """Wherever this runs, each of the two files is the one that is not used on some other CPU."""
    pictures = [image for image, *_ in moments("crowd", seed=3)]
    plain, wide = (
        build_detector(str(WEIGHTS / file), conf=0.2)(pictures)
        for file in (f"{name}.onnx", f"{name}16.onnx")
    )
    for one, other in zip(plain, wide, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


@pytest.mark.parametrize("block", [4, 8, 16])
def test_the_file_is_chosen_by_the_cpu(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("mot.detectors.built_in.cpu_block", lambda: block)
    network = build_detector("person").network
    assert network.path.name == ("person16.onnx" if block == 16 else "person.onnx")


@pytest.mark.parametrize("name", ["person", "joint"])
def test_onnx_and_pytorch_agree(name: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    pictures = [image for image, *_ in moments("crowd", seed=3)]
    for size in ((640, 384), (320, 192), (416, 416)):
        given = {"conf": 0.2, "width": size[0], "height": size[1]}
        ours, theirs = (
            build_detector(name, runtime=runtime, **given)(pictures)
            for runtime in ("onnx", "torch")
        )
        for one, other in zip(ours, theirs, strict=True):
            assert len(one) == len(other)
            np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
            if name == "joint":
                likeness = (one.embeddings * other.embeddings).sum(axis=1)
                np.testing.assert_allclose(likeness, 1, atol=1e-3)


def test_joint_finds_the_very_same_and_knows_people_again() -> None:
    """In crowds the right one of six and more, ten frames on; by chance every sixth would be."""
    person, joint = build_detector("person", conf=0.3), build_detector("joint", conf=0.3)
    right: list[bool] = []
    for seed in (3, 4):
        before: tuple[list[int], np.ndarray] = [], np.zeros((0, 0))
        for image, truth, ids in moments("easy", seed):
            (plain,), (found,) = person([image]), joint([image])
            np.testing.assert_allclose(found.boxes, plain.boxes, atol=1e-3)
            assert found.embeddings is not None
            overlap = boxes.iou(truth.astype(np.float32), found.boxes)
            seen = overlap.max(axis=1, initial=0) > 0.5
            looks = found.embeddings[overlap.argmax(axis=1)[seen]]
            for who, look in zip(ids[seen].tolist(), looks, strict=True):
                if who in before[0]:
                    right.append(before[0][int((before[1] @ look).argmax())] == who)
            before = ids[seen].tolist(), looks
    assert len(right) > 20
    assert np.mean(right) > 0.7


def test_fairmot_without_weights_is_joint(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = build_detector("joint", conf=0.3), build_detector("fairmot", conf=0.3)
    assert "using the built-in joint" in capsys.readouterr().err
    image = moments("easy", seed=3)[0][0]
    (one,), (other,) = ours([image]), theirs([image])
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.embeddings, other.embeddings)


def test_it_has_weights_of_its_own() -> None:
    with pytest.raises(MotError, match="person has its own"):
        build_detector("person", weights="other.onnx")
    detector = build_detector("person")
    assert detector.network.names == ("person",)
    assert detector.size == (640, 384)


class Remembering:
    """A network that finds nothing, and remembers how large its inputs were."""

    spec = InputSpec((640, 384), 32)
    names = ("person",)
    workers = 1

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def predict(self, canvas, min_score, labels):
        self.sizes.append((canvas.shape[2], canvas.shape[1]))
        nothing = np.zeros((0, 4), np.float32)
        return [RawDetections(nothing, nothing[:, 0], np.zeros(0, np.int64))] * len(canvas)


def test_without_a_size_the_input_has_the_shape_of_the_picture() -> None:
    wide, tall, old = (np.zeros((*shape, 3), np.uint8) for shape in ((9, 16), (16, 9), (3, 4)))
    network = Remembering()
    NetworkDetector(network, PersonSettings(batch=4), follows_shape=True)([wide, wide, tall, old])
    assert network.sizes == [(640, 384), (384, 640), (576, 416)]


def test_with_a_size_or_where_it_is_switched_off_all_inputs_are_alike() -> None:
    tall = np.zeros((16, 9, 3), np.uint8)
    network = Remembering()
    NetworkDetector(network, PersonSettings(width=320), follows_shape=True)([tall])
    NetworkDetector(network, PersonSettings())([tall])
    assert network.sizes == [(320, 192), (640, 384)]
    found = [build_detector("person", follows_shape=follows) for follows in (True, False)]
    assert [each._follows_shape for each in found] == [True, False]


@pytest.mark.parametrize("picture", [(1920, 1080), (1, 4000), (4000, 1), (33, 57), (640, 480)])
def test_an_input_of_another_shape_is_as_large(picture) -> None:
    width, height = match_aspect((640, 384), picture, 32)
    assert width % 32 == height % 32 == 0
    assert 0.9 * 640 * 384 < width * height < 1.03 * 640 * 384
    others = [(w * 32, 250_000 // 1024 // w * 32) for w in range(1, 240)]
    best = max(min(w / picture[0], h / picture[1]) for w, h in others)
    assert min(width / picture[0], height / picture[1]) >= best
