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
from mot.errors import MotError
from mot.synthetic import SCENES, World

ROOT = Path(mot.__file__).resolve().parent.parent
WEIGHTS = Path(mot.__file__).resolve().parent / "weights"
CARD = ROOT / "docs" / "person.md"


def moments(scene: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures and the boxes of those who are mostly in view."""
    found = []
    for number, moment in enumerate(World(SCENES[scene], seed=seed).moments(41)):
        if number % 10 == 5:
            seen = moment.visibility >= 0.5
            assert moment.frame.image is not None
            found.append((moment.frame.image.copy(), moment.boxes[seen]))
    return found


def test_the_files_are_those_of_the_card() -> None:
    told = dict(re.findall(r"`(person\.\w+)`[^`]*`([0-9a-f]{64})`", CARD.read_text("utf-8")))
    assert told.keys() == {"person.onnx", "person.safetensors"}
    for name, digest in told.items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == digest
    assert sum((WEIGHTS / name).stat().st_size for name in told) < 8e6


@pytest.mark.parametrize("scene", ["easy", "crowd"])
def test_it_finds_the_people_of_rendered_scenes(scene) -> None:
    detector = build_detector("person", conf=0.3)
    hits = people = found = 0
    for image, truth in moments(scene, seed=11):
        (detections,) = detector([image])
        overlap = boxes.iou(truth.astype(np.float32), detections.boxes)
        hits += int((overlap.max(axis=1, initial=0) > 0.5).sum())
        people, found = people + len(truth), found + len(detections)
    assert hits > 0.6 * people
    assert found < 1.5 * people


def test_onnx_and_pytorch_agree() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    pictures = [image for image, _ in moments("crowd", seed=3)]
    for size in ((640, 384), (320, 192), (416, 416)):
        given = {"conf": 0.2, "width": size[0], "height": size[1]}
        ours, theirs = (
            build_detector("person", runtime=runtime, **given)(pictures)
            for runtime in ("onnx", "torch")
        )
        for one, other in zip(ours, theirs, strict=True):
            assert len(one) == len(other)
            np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_it_has_weights_of_its_own() -> None:
    with pytest.raises(MotError, match="person has its own"):
        build_detector("person", weights="other.onnx")
    detector = build_detector("person")
    assert detector.network.names == ("person",)
    assert detector.size == (640, 384)
