"""The built-in embedder: its file matches its model card, and it distinguishes people."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mot
from mot.cli import main
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.evaluation.retrieval import IdentityEmbeddings, exclude_sooner_than, retrieve
from mot.reid.open import open_embedder
from mot.synthetic import SCENES, World
from mot.types import FloatArray, IntArray, Tracker, Tracks

ROOT = Path(mot.__file__).resolve().parent.parent
WEIGHTS = Path(mot.__file__).resolve().parent / "weights"


def test_file_matches_the_model_card() -> None:
    card = (ROOT / "docs/embedder.md").read_text("utf-8")
    listed = dict(re.findall(r"`(embedder\.\w+)`[^`]*`([0-9a-f]{64})`", card))
    (name, digest) = listed.popitem()
    content = (WEIGHTS / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) < 2e6


def crowd() -> tuple[FloatArray, IntArray, IntArray]:
    """Vectors, ids and frames of persons that are mostly visible."""
    embedder = open_embedder(DEFAULT_EMBEDDER)
    vectors, ids, frames = [], [], []
    for number, moment in enumerate(World(SCENES["easy"], seed=5).moments(91)):
        if number % 30 == 0:
            rows = np.flatnonzero(moment.visibility > 0.6)
            assert moment.frame.image is not None
            vectors.append(embedder(moment.frame.image, moment.boxes[rows].astype(np.float32)))
            ids.append(moment.ids[rows])
            frames.append(np.full(len(rows), number))
    return np.concatenate(vectors), np.concatenate(ids), np.concatenate(frames)


def test_it_reidentifies_people() -> None:
    vectors, ids, frames = crowd()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    embeddings = IdentityEmbeddings(vectors, ids, frames)
    found = retrieve(embeddings, embeddings, exclude_sooner_than(30))
    assert found.cmc(1) > 0.8
    distance, share = found.equal_error()
    assert share < 0.15
    assert 0.1 < distance < 0.6, "near the limits of the trackers"


class Recorder(Tracker):
    """A tracker without tracks that records the dimensions of embeddings."""

    uses_embeddings = True

    def __init__(self) -> None:
        self.dims: list[int | None] = []

    def update(self, detections: Any, image: Any = None, time: float | None = None) -> Tracks:
        vectors = detections.embeddings
        self.dims += [] if not len(detections) else [None if vectors is None else vectors.shape[1]]
        return Tracks.empty()

    def reset(self) -> None: ...


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    words = ["--scene", "easy", "--seed", "2", "--frames", "3", "--size", "480x270"]
    with pytest.raises(SystemExit):
        main(["synth", *words, "-o", str(folder), "-q"])
    return folder


@pytest.mark.parametrize("way", ["command", "Python"])
@pytest.mark.parametrize(
    ("flags", "needs", "dims"),
    [
        ({}, False, 257),
        ({"embedder": "none"}, False, None),
        ({"detections": "det/det.txt"}, False, None),  # no images are needed
        ({"detections": "det/det.txt"}, True, 257),
    ],
)
def test_trackers_that_use_embeddings_get_it(scene, monkeypatch, flags, needs, dims, way) -> None:
    tracker = Recorder()
    tracker.needs_embeddings = needs
    for user in ("mot.commands.track", "mot.config"):
        monkeypatch.setattr(f"{user}.build_tracker", lambda *names, **settings: tracker)
    if "detections" in flags:
        flags = {"detections": str(scene / flags["detections"])}
    if way == "Python":
        assert len(list(mot.track(scene / "img1", **flags))) == 3
    else:
        words = [word for name, value in flags.items() for word in (f"--{name}", value)]
        out = ["--no-video", "-o", str(scene.parent / "out"), "-q"]
        with pytest.raises(SystemExit) as end:
            main(["track", str(scene / "img1"), *words, *out])
        assert end.value.code == 0
    assert set(tracker.dims) == {dims}


def test_deepsort_runs_without_a_flag(scene, tmp_path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["track", str(scene / "img1"), "--tracker", "deepsort", "-o", str(tmp_path), "-q"])
    assert end.value.code == 0
    assert json.loads((tmp_path / "run.json").read_text())["sources"][0]["frames"] == 3
