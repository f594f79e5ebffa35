"""`mot detect` as a person types it, with detectors that another package adds: they find what is
painted, so that every answer is known. And a real network on a real frame."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from mot import boxes as geometry
from mot.cli import main
from mot.config import build_detector
from mot.detectors.coco import COCO, coco_category_id
from mot.detectors.network import NetworkDetector, RawDetections
from mot.errors import MotError
from mot.motfile import read_mot_rows, read_tracks
from mot.opencv import cv2
from mot.types import Detections, Frame, Image
from mot.video import open_source
from mot.video.writers import VideoWriter

WIDTH, HEIGHT, FRAMES, FPS = 160, 120, 12, 10.0
DOG = (100, 90, 130, 110)
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny-painted"
version = "1.0"

[project.entry-points."mot.detectors"]
bright = "tiny_painted:build_bright"
painted = "tiny_painted:build_painted"
stopped = "tiny_painted:build_stopped"
nothing_there = "tiny_painted:nothing_there"
not_installed = "tiny_painted_gone:build"

[tool.setuptools]
py-modules = ["tiny_painted"]
"""
MODULE = '''
"""Detectors of another package: they find patches of colour."""

import cv2
import numpy as np

from mot import Detections
from mot.detectors.network import RawDetections, DetectorSettings, NetworkDetector
from mot.runtime.preprocess import InputSpec


def patches(image, channel):
    """(N, 4) boxes, and how bright they are."""
    others = np.delete(image, channel, axis=2).max(axis=2)
    mask = (image[:, :, channel] > 100) & (others < 80)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    left, top, width, height, area = stats[1:][stats[1:, 4] > 30].T
    middle = image[top + height // 2, left + width // 2, channel]
    return np.stack([left, top, left + width, top + height], 1), middle / 255


def build_bright(channel=1):
    """The plainest detector that there is: a function."""

    def detect(images):
        found = [patches(image, channel) for image in images]
        return [Detections.from_boxes(boxes, scores) for boxes, scores in found]

    return detect


class Network:
    spec = InputSpec(size=(160, 160))
    names = ("car", "person", "dog")  # red, green, blue
    workers = 1

    def predict(self, canvas, min_score, labels):
        return [self.search(image, min_score, labels) for image in canvas]

    def search(self, image, min_score, labels):
        found = [patches(image, 2 - label) for label in labels]
        scores = np.concatenate([scores for _, scores in found]).astype(np.float32)
        boxes = np.concatenate([boxes for boxes, _ in found]).astype(np.float32)
        each = np.repeat(labels, [len(scores) for _, scores in found])
        wanted = scores >= min_score
        return RawDetections(boxes[wanted], scores[wanted], each[wanted])


def build_painted(**settings):
    return NetworkDetector(Network(), DetectorSettings(**settings))


def build_stopped(after=5, kind="KeyboardInterrupt"):
    seen = []

    def detect(images):
        seen.extend(images)
        if len(seen) > after:
            raise __builtins__[kind]("enough")
        return build_bright()(images)

    return detect
'''


def person(number: int) -> tuple[int, int, int, int]:
    """Where she is in a frame."""
    return 5 * number, 20, 5 * number + 20, 80


def picture(number: int, people: Iterable[tuple[int, int, int, int]] | None = None) -> Image:
    """A person in green and, in every second frame, a darker dog in blue."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for left, top, right, bottom in [person(number)] if people is None else people:
        image[top:bottom, left:right, 1] = 255
    if number % 2 == 0:
        left, top, right, bottom = DOG
        image[top:bottom, left:right, 0] = 153
    return image


def mot(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def detect(*words: object) -> int:
    return mot("detect", *words, "-q")


def complaint(capsys: pytest.CaptureFixture[str], *words: object, code: int = 2) -> str:
    capsys.readouterr()
    assert mot("detect", *words) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("mot: ")
    return lines[0]


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder in which the package is installed as pip installs packages."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "site"))
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "tiny_painted.py").write_text(MODULE)
    flags = "-q --no-index --no-deps --no-build-isolation --disable-pip-version-check".split()
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", target, source]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(target)


@pytest.fixture
def plugin(packages, monkeypatch) -> None:
    monkeypatch.syspath_prepend(packages)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """The same pictures as a folder `pics`, as a sequence `seq` without its fifth one, and as a
    video `clip.mp4`."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "pics").mkdir()
    (folder / "seq/img1").mkdir(parents=True)
    for number in range(1, FRAMES + 1):
        cv2.imwrite(str(folder / f"pics/{number:03d}.png"), picture(number))
        if number != 5:
            cv2.imwrite(str(folder / f"seq/img1/{number:06d}.png"), picture(number))
    facts = f"name=seq\nimDir=img1\nframeRate=10\nseqLength={FRAMES}\nimExt=.png\n"
    size = f"imWidth={WIDTH}\nimHeight={HEIGHT}\n"
    (folder / "seq/seqinfo.ini").write_text("[Sequence]\n" + facts + size)
    with VideoWriter(folder / "clip.mp4", FPS) as writer:
        for number in range(1, FRAMES + 1):
            writer.write(Frame(picture(number), number, (number - 1) / FPS))
    return folder


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(path: str | Path) -> dict[int, list[list[float]]]:
    """Frame -> left, top, right, bottom of each row."""
    rows = read_mot_rows(path)
    numbers = np.unique(rows.frames).tolist()
    corners = geometry.xywh_to_xyxy(rows.xywh)
    return {number: corners[rows.frames == number].tolist() for number in numbers}


def truth(frames: Iterable[int] = range(1, FRAMES + 1)) -> dict[int, list[list[float]]]:
    return {number: [[float(side) for side in person(number)]] for number in frames}


# A package of somebody else.


def test_a_package_adds_a_detector_to_the_command(packages, world, tmp_path) -> None:
    """In a process of its own, on a video."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    words = ["detect", str(world / "clip.mp4"), "--detector", "bright", "-o", "det.txt"]
    command = [sys.executable, "-m", "mot", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "clip: 12 detections in 12 frames" in done.stderr
    found = rows_of("det.txt")
    assert list(found) == list(truth())
    for number, wanted in truth().items():
        np.testing.assert_allclose(found[number], wanted, atol=2)  # H.264 is not exact


def test_without_the_package_there_is_no_such_detector(world, capsys) -> None:
    told = complaint(capsys, world / "pics", "--detector", "bright")
    assert told.startswith("mot: unknown detector 'bright': ")


def test_the_package_is_told_of_with_the_others(plugin, world, capsys) -> None:
    told = complaint(capsys, world / "pics", "--detector", "briht")
    assert told == "mot: unknown detector 'briht': did you mean 'bright'?"


def test_build_detector_knows_the_package(plugin) -> None:
    found = build_detector("bright")([picture(1), picture(2)])
    assert [each.boxes.tolist() for each in found] == [[list(person(1))], [list(person(2))]]
    blue = build_detector("bright", channel=0)([picture(2)])[0]
    assert blue.boxes.tolist() == [list(DOG)]
    assert blue.scores.tolist() == pytest.approx([0.6])


def test_settings_come_from_a_file_and_flags_win(plugin, world, tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('detector = "painted"\nclasses = ["dog"]\nconf = 0.5\nwidth = 320\n')
    detector = build_detector(str(path))
    assert isinstance(detector, NetworkDetector)
    assert detector.size == (320, 320)
    assert detector([picture(2)])[0].labels.tolist() == [2]
    assert len(build_detector(str(path), conf=0.7)([picture(2)])[0]) == 0
    assert detect(world / "pics", "--detector", path, "-o", "dog.txt") == 0
    assert list(rows_of("dog.txt")) == [2, 4, 6, 8, 10, 12]
    assert detect(world / "pics", "--detector", path, "--classes", "1", "-o", "all.txt") == 0
    assert list(rows_of("all.txt")) == list(truth())


def test_settings_of_the_command_line_win_over_the_file_and_flags_over_them(plugin, world):
    Path("mine.toml").write_text('detector = "painted"\nclasses = ["dog"]\nconf = 0.5\n')
    words = (world / "pics", "--detector", "mine.toml", "--overwrite", "-o", "det.txt")
    person_too = ("--set", 'detector.classes=["person", "dog"]')
    for flags, count in (
        ((), 6),
        (person_too, 18),
        ((*person_too, "--set", "detector.conf=0.7"), 12),
        (("--set", "detector.conf=0.7", "--conf", "0.5"), 6),
        (("--set", "detector.nms=soft-gaussian", "--set", "detector.max_det=1"), 6),
    ):
        assert detect(*words, *flags) == 0
        assert sum(map(len, rows_of("det.txt").values())) == count


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["nothing_there"], "has no attribute 'nothing_there'"),
        (["not_installed"], "No module named 'tiny_painted_gone'"),
        (["bright", "--weights", "x"], "unexpected keyword argument 'weights'"),
        (["painted", "--conf", "0.5", "--classes", "cat"], "--classes cat: did you mean 'car'?"),
    ],
)
def test_what_is_wrong_with_a_package_is_told_in_one_line(plugin, world, capsys, words, fault):
    assert fault in complaint(capsys, world / "pics", "--detector", *words)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("conf = 0.5", "names no detector: add detector = "),
        ('detector = "painte"', "unknown detector 'painte': did you mean 'painted'?"),
        ('detector = "motion"\nhistry = 5', "unknown setting 'histry': did you mean 'history'?"),
        ("detector = ", "not a readable TOML file"),
    ],
)
def test_a_wrong_file_is_named(plugin, tmp_path, content, fault) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(MotError) as caught:
        build_detector(str(path))
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", ["gone.cfg", "gone.onnx", "gone.toml", "GONE.CFG"])
def test_a_missing_file_is_named(world, capsys, name) -> None:
    assert complaint(capsys, world / "pics", "--detector", name) == f"mot: {name}: no such file"


# Which frames.


@pytest.mark.parametrize("source", ["pics", "pics/*.png", "clip.mp4"])
@pytest.mark.parametrize("batch", [1, 3, 50])
def test_every_frame_of_every_kind_of_source(plugin, world, source, batch) -> None:
    words = ("--detector", "painted", "--batch", batch, "-o", "det.txt")
    assert detect(world / source, *words) == 0
    found = rows_of("det.txt")
    assert list(found) == list(truth())
    for number, wanted in truth().items():
        np.testing.assert_allclose(found[number], wanted, atol=2 if source == "clip.mp4" else 1e-3)


def test_frames_reach_the_network_in_batches(plugin, world, monkeypatch) -> None:
    network = importlib.import_module("tiny_painted").Network
    predict, seen = network.predict, []

    def watched(self, canvas, min_score, labels):
        seen.append(len(canvas))
        return predict(self, canvas, min_score, labels)

    monkeypatch.setattr(network, "predict", watched)
    words = ("--detector", "painted", "--batch", 5, "-o", "det.txt")
    assert detect(world / "pics", *words) == 0
    assert seen == [5, 5, 2]


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        (["--every", 1], range(1, 13)),
        (["--every", 4], [1, 5, 9]),
        (["--every", 5], [1, 6, 11]),
        (["--every", 99], [1]),
        (["--start", 0.5], range(6, 13)),
        (["--end", 0.5], range(1, 6)),
        (["--start", 0.3, "--end", 0.9, "--every", 2], [5, 7, 9]),
    ],
)
def test_frames_keep_their_numbers(plugin, world, words, frames) -> None:
    assert detect(world / "clip.mp4", "--detector", "bright", *words, "-o", "det.txt") == 0
    assert list(rows_of("det.txt")) == list(frames)
    assert detect(world / "clip.mp4", "--detector", "bright", *words, "-o", "det.json") == 0
    assert [each["frame"] for each in json.loads(Path("det.json").read_text())] == list(frames)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_sequence_with_a_hole(plugin, world, batch) -> None:
    words = ("--detector", "painted", "--batch", batch, "-o", "det.txt")
    assert detect(world / "seq", *words) == 0
    assert rows_of("det.txt") == truth(number for number in range(1, FRAMES + 1) if number != 5)


def test_pictures_of_other_sizes_in_the_middle(plugin, tmp_path) -> None:
    (tmp_path / "mixed").mkdir()
    for number, size in enumerate([(WIDTH, HEIGHT), (320, 240), (80, 200), (WIDTH, HEIGHT)], 1):
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[10:50, 20:40, 1] = 255
        cv2.imwrite(str(tmp_path / f"mixed/{number}.png"), image)
    words = ("--detector", "painted", "--batch", 3, "--imgsz", 640, "-o", "det.txt")
    assert detect("mixed", *words) == 0
    for corners in rows_of("det.txt").values():
        np.testing.assert_allclose(corners, [[20, 10, 40, 50]], atol=1.01)


def test_no_frame_in_the_window(plugin, world, capsys) -> None:
    words = ("--detector", "bright", "--start", 50, "-o", "det.json")
    assert mot("detect", world / "clip.mp4", *words) == 0
    assert "no frame was chosen" in capsys.readouterr().err
    assert json.loads(Path("det.json").read_text()) == []


# What is kept.


def test_mot_text_is_read_back_by_the_tracker(plugin, world) -> None:
    assert detect(world / "pics", "--detector", "painted") == 0
    path = Path("runs/detect/pics/pics.txt")
    assert path.read_text().splitlines()[1] == "2,-1,10.00,20.00,20.00,60.00,1,-1,-1,-1"
    words = ("--detections", path, "--no-video", "-q", "-o", "out")
    assert mot("track", world / "pics", *words) == 0
    assert len(read_tracks("out/pics.txt")) > FRAMES // 2


def test_classes_that_were_asked_for_are_told_in_column_8(plugin, world) -> None:
    words = ("--detector", "painted", "--classes", "person,dog", "-o", "det.txt")
    assert detect(world / "pics", *words) == 0
    rows = [line.split(",") for line in Path("det.txt").read_text().splitlines()]
    assert {(row[6], row[7]) for row in rows} == {("1", "2"), ("0.6", "3")}
    assert [int(row[0]) for row in rows if row[7] == "3"] == [2, 4, 6, 8, 10, 12]


def test_classes_of_detections_that_know_them_by_number_alone(world, plugin, tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('detector = "motion"\n')
    for classes, count in (("person", 1), ("0", 1), ("7", 0)):
        words = ("--detector", path, "--classes", classes, "--overwrite", "-o", "det.txt")
        assert detect(world / "pics", *words) == 0
        assert bool(rows_of("det.txt")) == bool(count)


def test_scores_and_boxes_as_json(plugin, world) -> None:
    words = ("--detector", "painted", "--classes", "person,dog", "-o", "det.json")
    assert detect(world / "clip.mp4", *words, "--end", 0.2) == 0
    first, second = json.loads(Path("det.json").read_text())
    assert (first["frame"], first["time"]) == (1, 0.0)
    assert (second["frame"], second["time"]) == (2, 0.1)
    (woman,) = first["detections"]
    assert (woman["label"], woman["name"]) == (1, "person")
    np.testing.assert_allclose(woman["box"], person(1), atol=2)
    assert [each["name"] for each in second["detections"]] == ["person", "dog"]
    assert second["detections"][1]["score"] == pytest.approx(0.6, abs=0.05)


def test_least_scores(plugin, world) -> None:
    for detector, least, count in (
        ("painted", 0.7, 12),
        ("painted", 0.5, 18),
        ("bright", None, 12),
    ):
        words = ["--detector", detector, "--overwrite", "-o", "det.txt"]
        words += ["--conf", least, "--classes", "0,1,2"] if least else []
        assert detect(world / "pics", *words) == 0
        assert sum(map(len, rows_of("det.txt").values())) == count


def test_coco_results_are_read_and_scored_by_cocos_own_tools(plugin, world, capsys) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    words = ("--detector", "painted", "--classes", "person,dog", "--format", "coco")
    assert detect(world / "pics", *words, "-o", "det.json") == 0
    wanted = [(number, 2, person(number)) for number in range(1, FRAMES + 1)]
    wanted += [(number, 3, DOG) for number in range(2, FRAMES + 1, 2)]
    reference = coco.COCO()
    reference.dataset = {
        "images": [{"id": number, "width": WIDTH, "height": HEIGHT} for number in range(1, 13)],
        "categories": [{"id": number, "name": str(number)} for number in (1, 2, 3)],
        "annotations": [
            {"id": index, "image_id": image, "category_id": label, "iscrowd": 0}
            | {"bbox": [left, top, right - left, bottom - top]}
            | {"area": (right - left) * (bottom - top)}
            for index, (image, label, (left, top, right, bottom)) in enumerate(wanted, 1)
        ],
    }
    reference.createIndex()
    scored = evaluation.COCOeval(reference, reference.loadRes("det.json"), "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)


@pytest.mark.parametrize("darknets", [False, True], ids=["COCO's words", "Darknet's words"])
def test_coco_results_of_its_classes_have_cocos_numbers(plugin, world, monkeypatch, darknets):
    """So that they can be compared with COCO's own annotations."""
    words = (*COCO[:16], "dog", *COCO[17:])
    if darknets:
        words = ("person", "bicycle", "car", "motorbike", *words[4:])
    network = importlib.import_module("tiny_painted").Network
    monkeypatch.setattr(network, "names", words)
    monkeypatch.setattr(network, "search", told_of_everything)
    flags = ("--detector", "painted", "--classes", "person,12,79", "--format", "coco")
    assert detect(world / "clip.mp4", *flags, "--end", 0.05, "-o", "det.json") == 0
    found = json.loads(Path("det.json").read_text())
    assert {each["category_id"] for each in found} == {1, 14, 90}  # person, parking meter, brush


def told_of_everything(self, image, least, labels) -> RawDetections:
    boxes = np.tile(np.array([[10, 20, 50, 90]], np.float32), (len(labels), 1))
    return RawDetections(boxes, np.full(len(labels), 0.9, np.float32), labels)


def test_cocos_numbers_are_those_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    theirs = models.detection.FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert [theirs[coco_category_id(label, COCO)] for label in range(80)] == list(COCO)
    assert [coco_category_id(label, ("person", "dog")) for label in (0, 1)] == [1, 2]


@pytest.mark.parametrize(
    ("words", "name", "content"),
    [
        (["--format", "mot"], "none.txt", ""),
        (["--format", "coco"], "none.json", []),
        ([], "none.json", [{"frame": 1, "time": 0.0, "detections": []}]),
    ],
)
def test_nothing_found(plugin, world, words, name, content) -> None:
    words = [*words, "--classes", "car", "--end", 0.05, "-o", name]
    assert detect(world / "clip.mp4", "--detector", "painted", *words) == 0
    text = Path(name).read_text()
    assert (json.loads(text) if name.endswith("json") else text) == content


def test_crops_are_the_people_as_they_are(plugin, world) -> None:
    """Nothing is drawn on them, though the video is."""
    words = ("--detector", "painted", "--save-crops", "people", "--save-video", "-o", "det.txt")
    assert detect(world / "pics", *words) == 0
    names = [f"pics-{number:06d}-1.jpg" for number in range(1, FRAMES + 1)]
    assert sorted(path.name for path in Path("people").iterdir()) == names
    for name in names:
        crop = cv2.imread(f"people/{name}")
        assert crop.shape == (60, 20, 3)
        assert np.abs(crop.astype(int) - (0, 255, 0)).max() <= 8


def test_the_video_shows_the_boxes(plugin, world) -> None:
    words = ("--detector", "bright", "--save-video", "-o", "out")
    assert detect(world / "clip.mp4", *words) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["clip.mp4", "clip.txt"]
    with open_source("out/clip.mp4") as drawn:
        pictures = [frame.image for frame in drawn]
    assert len(pictures) == FRAMES
    left, top, right, bottom = person(4)
    edge = pictures[3][top + 20 : bottom - 5, left : left + 1].astype(int)
    inside = pictures[3][top + 20 : bottom - 5, left + 8 : right - 8].astype(int)
    assert np.abs(inside - (0, 255, 0)).max() < 40
    assert np.abs(edge - (0, 255, 0)).max(axis=2).min() > 60


def test_the_name_of_the_video_follows_the_file(plugin, world) -> None:
    assert detect(world / "pics", "--detector", "bright", "--save-video", "-o", "a/b.txt") == 0
    assert sorted(path.name for path in Path("a").iterdir()) == ["b.mp4", "b.txt"]


def test_several_sources_have_a_file_each(plugin, world, capsys) -> None:
    words = (world / "pics", world / "clip.mp4", "--detector", "bright")
    assert detect(*words, "-o", "out") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["clip.txt", "pics.txt"]
    told = complaint(capsys, *words, "-o", "det.txt")
    assert told == "mot: --out det.txt: give a folder for several sources"


def test_nothing_is_overwritten_unasked(plugin, world, capsys) -> None:
    words = (world / "pics", "--detector", "bright", "-o", "det.txt")
    assert detect(*words) == 0
    before = Path("det.txt").read_text()
    told = complaint(capsys, *words, "--end", 0.1)
    assert told == "mot: det.txt: exists: give --overwrite, or another output"
    assert Path("det.txt").read_text() == before
    assert detect(*words, "--end", 0.1, "--overwrite") == 0
    assert Path("det.txt").read_text() != before


def test_what_is_read_is_never_replaced(plugin, world, tmp_path, capsys) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes((world / "clip.mp4").read_bytes())
    words = ("--detector", "bright", "--save-video", "--overwrite", "-o", ".")
    assert "is an input too" in complaint(capsys, clip, *words)
    assert clip.read_bytes() == (world / "clip.mp4").read_bytes()


def test_an_interruption_leaves_what_was_done(plugin, world, capsys) -> None:
    words = ("--detector", "stopped")
    told = complaint(capsys, world / "pics", *words, "-o", "det.json", code=130)
    assert told == "mot: interrupted; kept det.partial.json"
    assert len(json.loads(Path("det.partial.json").read_text())) <= 5
    assert not Path("det.json").exists()


def test_an_error_leaves_nothing_under_a_final_name(plugin, world, tmp_path, capsys) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('detector = "stopped"\nkind = "RuntimeError"\n')
    words = ("--detector", path, "--save-video", "-o", "out")
    assert "RuntimeError: enough" in complaint(capsys, world / "pics", *words, code=1)
    assert all(".partial." in file.name for file in Path("out").iterdir())
    assert not Path("out/pics.partial.txt").exists()


def test_quiet_is_quiet(plugin, world, capsys) -> None:
    capsys.readouterr()
    assert mot("detect", world / "pics", "--detector", "bright", "-o", "a.txt", "-q") == 0
    assert capsys.readouterr() == ("", "")


# CostTerms of the picture.


def test_tiles_find_the_small_ones(plugin, tmp_path) -> None:
    """At 160 pixels the network sees nothing of them: they are smaller than 30 pixels in all."""
    image = np.zeros((1200, 1600, 3), np.uint8)
    people = [(400 * number + 90, 250 * number + 40) for number in range(4)]
    for left, top in people:
        image[top : top + 40, left : left + 18, 1] = 255
    cv2.imwrite("crowd.png", image)
    words = ("crowd.png", "--detector", "painted", "-o", "det.txt", "--overwrite")
    assert detect(*words) == 0
    assert rows_of("det.txt") == {}
    assert detect(*words, "--tiles", "6x5") == 0
    found = np.array(rows_of("det.txt")[1])
    wanted = [[left, top, left + 18, top + 40] for left, top in people]
    np.testing.assert_allclose(found[found[:, 0].argsort()], wanted, atol=3)


def test_tiles_are_merged_as_the_file_says(plugin, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text('detector = "painted"\nnms_iou = 0.9\n')
    tiled = build_detector(str(tmp_path / "mine.toml"), tiles="2x2")
    assert tiled._nms.iou == 0.9


def test_tiles_change_nothing_where_all_is_seen_and_names_stay(plugin, world) -> None:
    words = (world / "pics", "--detector", "painted", "--imgsz", 320, "--classes", "1,2")
    assert detect(*words, "-o", "whole.json") == 0
    assert detect(*words, "--tiles", "2x2", "-o", "tiles.json") == 0
    whole, tiles = (json.loads(Path(f"{name}.json").read_text()) for name in ("whole", "tiles"))
    for one, other in zip(whole, tiles, strict=True):
        found, again = (
            sorted((each["name"], *each["box"]) for each in frame["detections"])
            for frame in (one, other)
        )
        assert [each[0] for each in found] == [each[0] for each in again]
        for each, same in zip(found, again, strict=True):
            np.testing.assert_allclose(each[1:], same[1:], atol=1.5)


# Flags that will not do.


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--detector", "painted", "--conf", "2"], "'--conf'"),
        (["--detector", "painted", "--conf", "nan"], "'--conf'"),
        (["--detector", "painted", "--iou", "-1"], "'--iou'"),
        (["--detector", "painted", "--imgsz", "640x"], "give WIDTHxHEIGHT"),
        (["--detector", "painted", "--imgsz", "0x640"], "give WIDTHxHEIGHT"),
        (["--detector", "painted", "--imgsz", "1x2x3"], "give WIDTHxHEIGHT"),
        (["--detector", "painted", "--imgsz", "big"], "give WIDTHxHEIGHT"),
        (["--detector", "painted", "--classes", " , "], "give names or numbers"),
        (["--detector", "painted", "--classes", "persn"], "did you mean 'person'?"),
        (["--detector", "painted", "--classes", "3"], "the network has 3 classes, from 0"),
        (["--detector", "painted", "--batch", "0"], "'--batch'"),
        (["--detector", "painted", "--max-det", "0"], "'--max-det'"),
        (["--detector", "painted", "--every", "0"], "'--every'"),
        (["--detector", "painted", "--tiles", "2"], "--tiles 2: give COLUMNSxROWS"),
        (["--detector", "painted", "--tiles", "0x2"], "--tiles 0x2: give COLUMNSxROWS"),
        (["--detector", "painted", "--format", "xml"], "'--format'"),
        (["--detector", "painted", "-o", "det.csv"], "give a file ending in .txt"),
        (["--detector", "painted", "--start", "2", "--end", "1"], "end = 1 s leaves no frame"),
        (["--detector", "painted", "--start", "-1"], "start = -1: give seconds from 0"),
        (["--detector", "darknet"], "needs a file: --detector NETWORK.cfg"),
        (["--detector", "motion", "--weights", "x"], "--weights: motion is not a network"),
        (
            ["--detector", "painted", "--set", "detector.nms=sotf-linear"],
            "did you mean 'soft-linear'?",
        ),
        (["--detector", "painted", "--set", "detector.nms=adaptive"], "nms = 'adaptive': known"),
        (["--detector", "painted", "--set", "detector.batch=0"], "batch = 0 must be at least 1"),
        (["--detector", "motion", "--set", "detector.nms=hard"], "motion: unknown setting 'nms'"),
        (["--detector", "motion", "--classes", "dog"], "--classes dog: give class numbers"),
        (["--detecter", "motion"], "No such option"),
    ],
    ids=lambda value: " ".join(value[2:] or value) if isinstance(value, list) else "",
)
def test_wrong_flags_are_told_in_one_line(plugin, world, capsys, words, fault) -> None:
    assert fault in complaint(capsys, world / "pics", *words)
    assert not list(Path().rglob("*.txt"))


@pytest.mark.parametrize("source", ["gone.mp4", "gone/*.png", "empty", "rubbish.mp4"])
def test_wrong_sources_are_told_in_one_line(plugin, tmp_path, capsys, source) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rubbish.mp4").write_bytes(b"rubbish" * 100)
    assert source.split("/")[0] in complaint(capsys, source, "--detector", "bright")


def test_a_sequence_without_pictures(plugin, world, tmp_path, capsys) -> None:
    (tmp_path / "bare/det").mkdir(parents=True)
    (tmp_path / "bare/det/det.txt").write_text("1,-1,5,5,5,5,1,-1,-1,-1\n")
    told = complaint(capsys, "bare", "--detector", "bright")
    assert told == "mot: bare: has no images to detect in"


def test_crops_where_no_folder_can_be(plugin, world, tmp_path, capsys) -> None:
    (tmp_path / "taken").write_text("")
    words = ("--detector", "bright", "--save-crops", "taken", "-o", "det.txt")
    assert complaint(capsys, world / "pics", *words).startswith("mot: taken: cannot be written")
    assert not Path("det.txt").exists()


# A real network.


@pytest.mark.parametrize("is_installed", [False, True], ids=["by its file", "by its name"])
def test_a_real_network_finds_the_people_of_pets(shared, tmp_path, monkeypatch, is_installed):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    folder = shared / "data/mot15/PETS09-S2L1"
    network = shared / "data/weights/yolo-fastest-1.1_body.cfg"
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    if is_installed:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/models").symlink_to(network.parent.resolve())
        network = network.stem
    words = ("--detector", network, "--imgsz", "640x384", "--every", 40, "--end", 17)
    assert detect(folder / "PETS09-S2L1.mp4", *words, "-o", "det.txt") == 0
    found, wanted = rows_of("det.txt"), read_tracks(folder / "gt/gt.txt")
    assert list(found) == [1, 41, 81]
    right = people = told = 0
    for number, corners in found.items():
        overlap = geometry.iou(wanted[number].boxes, Detections.from_boxes(corners).boxes)
        right += int((overlap.max(axis=1) > 0.5).sum())
        people, told = people + overlap.shape[0], told + overlap.shape[1]
    assert right >= 0.7 * people
    assert right >= 0.7 * told
