"""The embedder that comes with mot: its file is that of its card, and it tells people apart."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import mot
from mot.cli import main
from mot.reid import DEFAULT_EMBEDDER
from mot.reid.evaluation.retrieval import Looks, retrieve, sooner_than
from mot.reid.open import open_embedder
from mot.synthetic import SCENES, World
from mot.types import Detections, FloatArray, IntArray, Tracks

ROOT = Path(mot.__file__).resolve().parent.parent
WEIGHTS = Path(mot.__file__).resolve().parent / "weights"


def test_the_file_is_that_of_the_card() -> None:
    card = (ROOT / "docs/embedder.md").read_text("utf-8")
    told = dict(re.findall(r"`(embedder\.\w+)`[^`]*`([0-9a-f]{64})`", card))
    (name, digest) = told.popitem()
    content = (WEIGHTS / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) < 2e6


def crowd() -> tuple[FloatArray, IntArray, IntArray]:
    """Vectors of those who are mostly in view, who they are, and when."""
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


def test_it_finds_people_again() -> None:
    vectors, ids, frames = crowd()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    looks = Looks(vectors, ids, frames)
    found = retrieve(looks, looks, sooner_than(30))
    assert found.within(1) > 0.8
    distance, share = found.equal_error()
    assert share < 0.15
    assert 0.1 < distance < 0.6, "about where the limits of the trackers are"


class Remembering:
    """A tracker that follows nobody, and remembers what it was told of looks."""

    uses_embeddings = True
    needs_embeddings = False

    def __init__(self) -> None:
        self.told: list[int | None] = []

    def update(self, detections: Detections, frame: object) -> Tracks:
        looks = detections.embeddings
        self.told += [] if not len(detections) else [None if looks is None else looks.shape[1]]
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
        ({"detections": "det/det.txt"}, False, None),  # no picture has to be looked at
        ({"detections": "det/det.txt"}, True, 257),
    ],
)
def test_trackers_get_it_where_they_use_it(scene, monkeypatch, flags, needs, dims, way) -> None:
    tracker = Remembering()
    tracker.needs_embeddings = needs
    for user in ("mot.commands.track", "mot.pipeline"):
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
    assert set(tracker.told) == {dims}


def test_deepsort_runs_without_a_flag(scene, tmp_path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["track", str(scene / "img1"), "--tracker", "deepsort", "-o", str(tmp_path), "-q"])
    assert end.value.code == 0
    assert json.loads((tmp_path / "run.json").read_text())["sources"][0]["frames"] == 3
