"""`mot eval-detector`: files of detections in every format, detectors, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.detection_oracles import SIZE, World, random_world

from mot.cli import main
from mot.datasets.load import DataSettings, load
from mot.evaluation.detection.keys import Key
from mot.evaluation.detection.results import coco_results, read_results
from mot.evaluation.detection.scores import evaluate
from mot.types import Detections, Detector


def write_coco(world: World, folder: Path, name: str = "person") -> Path:
    annotations = [
        {
            "id": 1,
            "image_id": picture.number,
            "category_id": 3,
            "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]],
            "iscrowd": int(ignored),
        }
        for picture in world.dataset
        for box, ignored in zip(
            picture.annotations.boxes.tolist(), picture.annotations.ignored.tolist(), strict=True
        )
    ]
    images = [
        {"id": p.number, "file_name": f"{p.name}.png", "width": SIZE[0], "height": SIZE[1]}
        for p in world.dataset
    ]
    categories = [{"id": 3, "name": name}]
    path = folder / "gt.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def write_pictures(world: World, folder: Path) -> None:
    for picture in world.dataset:
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        cv2.imwrite(str(folder / f"{picture.name}.png"), image)


def write_results(world: World, path: Path) -> Path:
    path.write_text(json.dumps(coco_results(world.dataset, world.found, {3: "class 0"})))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[World, Path, Path]:
    """A world as COCO's ground truth, of images that are not there, and COCO's results."""
    world = random_world(1, pictures=20)
    return world, write_coco(world, tmp_path), write_results(world, tmp_path / "found.json")


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in ("eval-detector", *words)])
    return end.value.code


def scores_in(path: Path, name: str = "found") -> dict[str, float]:
    return json.loads(path.read_text())["detectors"][name]["scores"]


def sound_world(world: World, gt: Path) -> World:
    """As it is read: boxes outside of their image are dropped."""
    return World(load(DataSettings(str(gt)), absent=True).data, world.found)


def test_scores_are_those_of_the_metrics(files, tmp_path, capsys) -> None:
    world, gt, found = files
    assert run(found, "--gt", gt, "--json", tmp_path / "s.json", "--splits") == 0
    read = sound_world(world, gt)
    expected = evaluate(read.dataset, read.found).as_dict()
    scores = scores_in(tmp_path / "s.json")
    assert {name for name, value in scores.items() if value is None} == {"AP large", "AR large"}
    known = {name: value for name, value in scores.items() if value is not None}
    assert known == pytest.approx({name: expected[name] for name in known})
    shown = capsys.readouterr().out
    for value in (expected["AP50"], expected["MR-2"], expected["JI"], expected["recall"]):
        assert f" {100 * value:.1f} " in shown
    assert "area small" in shown
    assert "bare" not in shown  # nothing tells what is seen


def test_each_format_of_detections_is_the_same(files, tmp_path) -> None:
    world, gt, found = files
    odgt, frames = tmp_path / "crowd.odgt", tmp_path / "frames.json"
    lines, listed = [], []
    for picture, each in zip(world.dataset, world.found, strict=True):
        rows = zip(each.boxes.tolist(), each.scores.tolist(), strict=True)
        both = [([*b[:2], b[2] - b[0], b[3] - b[1]], b, score) for b, score in rows]
        boxes = [{"box": xywh, "score": score, "tag": 1} for xywh, _, score in both]
        lines.append(json.dumps({"ID": picture.name, "dtboxes": boxes}))
        boxes = [{"box": xyxy, "score": score, "label": 0} for _, xyxy, score in both]
        listed.append({"frame": picture.number, "time": 0.0, "detections": boxes})
    odgt.write_text("\n".join(lines))
    frames.write_text(json.dumps(listed))
    key = Key.of(load(DataSettings(str(gt)), absent=True).data, {3: "person"})
    expected = read_results(found, key)
    assert expected.others == 0
    for path in (odgt, frames):
        for one, other in zip(read_results(path, key).found, expected.found, strict=True):
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    assert sum(map(len, expected.found)) == sum(map(len, world.found)) > 50


def test_frames_of_a_sequence(tmp_path, capsys) -> None:
    gt = tmp_path / "CAM-1" / "gt" / "gt.txt"
    (tmp_path / "CAM-1" / "img1").mkdir(parents=True)
    gt.parent.mkdir()
    gt.write_text("1,1,10,10,20,50,1,1,1\n3,1,30,10,20,50,1,1,1\n")
    for frame in (1, 2, 3):
        image = np.zeros((90, 120, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"CAM-1/img1/{frame:06}.jpg"), image)
    found = tmp_path / "CAM-1.txt"
    found.write_text("3,-1,30,10,20,50,0.9,-1,-1,-1\n2,-1,30,10,20,50,0.5,-1,-1,-1\n")
    assert run(found, "--gt", tmp_path / "CAM-1", "--json", tmp_path / "s.json") == 0
    scores = scores_in(tmp_path / "s.json", "CAM-1")
    assert (scores["images"], scores["objects"], scores["detections"]) == (3, 2, 2)
    assert (scores["recall"], scores["threshold"]) == (0.5, pytest.approx(0.9))
    found.write_text("4,-1,30,10,20,50,0.9,-1,-1,-1\n")
    assert run(found, "--gt", tmp_path / "CAM-1") == 2
    assert "frame 4 is not in the ground truth" in capsys.readouterr().err


def test_other_classes_are_left_out_and_told(files, tmp_path, capsys) -> None:
    _, gt, found = files
    rows = json.loads(found.read_text())
    rows += [{**rows[0], "category_id": 17}, {**rows[0], "category_id": 4}]
    found.write_text(json.dumps(rows))
    assert run(found, "--gt", gt, "--json", tmp_path / "s.json") == 0
    assert "2 detections of other classes" in capsys.readouterr().err
    assert scores_in(tmp_path / "s.json")["detections"] == len(rows) - 2


def test_several_are_compared(files, tmp_path, capsys) -> None:
    world, gt, found = files
    better = tmp_path / "better.json"
    perfect = World(world.dataset, [])
    for picture in world.dataset:
        perfect.found.append(Detections.from_boxes(picture.annotations.boxes))
    write_results(perfect, better)
    assert run(found, better, "--gt", gt, "--json", tmp_path / "s.json") == 0
    assert scores_in(tmp_path / "s.json", "better")["recall"] == 1.0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["found", "better"]


def test_errors_are_drawn(files, tmp_path) -> None:
    world, gt, found = files
    write_pictures(world, tmp_path)
    folder = tmp_path / "errors"
    assert run(found, "--gt", gt, "--errors", folder, "--threshold", 0.5) == 0
    counts = json.loads((folder / "mistakes.json").read_text())["found"]
    assert counts["threshold"] == 0.5
    assert counts["missed"] > 0
    assert cv2.imread(str(folder / "precision_recall.png")) is not None
    pictures = sorted((folder / "worst").iterdir())
    assert len(pictures) == 12
    shown = np.concatenate([cv2.imread(str(picture)).reshape(-1, 3) for picture in pictures[:3]])
    for colour in ((40, 40, 230), (0, 150, 255)):  # false, missed
        assert (shown == colour).all(axis=1).any()
    assert run(found, "--gt", gt, "--errors", folder) == 2
    assert run(found, "--gt", gt, "--errors", folder, "--overwrite", "-q") == 0


def test_a_detector_looks_at_the_pictures(tmp_path, monkeypatch) -> None:
    """One that finds what the world says, whose detections are kept and read again."""
    from mot.commands import eval_detector as work
    from mot.pipeline import Pipeline

    world = random_world(1, pictures=20)
    gt = write_coco(world, tmp_path)
    write_pictures(world, tmp_path)
    opened = []
    other = Detections.from_boxes([[0, 0, 9, 9]], [0.9], [1])

    def pipeline(options) -> Pipeline:
        opened.append((options.detector, options.conf))
        results = iter(world.found)

        class Known(Detector):
            names = ("person", "dog")

            def __call__(self, images) -> list[Detections]:
                return [Detections.concatenate([next(results), other]) for _ in images]

        return Pipeline(Known(), tracker=None)

    monkeypatch.setattr(work.EvalDetectorOptions, "detection_pipeline", pipeline)
    saved = tmp_path / "saved.json"
    words = ["net.onnx", "--gt", gt, "--json", tmp_path / "a.json", "--save", saved]
    assert run(*words) == 0
    assert opened == [("net.onnx", 0.001)]
    expected = scores_in(tmp_path / "a.json", "net")
    assert expected["detections"] == sum(map(len, world.found))  # without dogs
    assert {row["category_id"] for row in json.loads(saved.read_text())} == {3}
    assert run(saved, "--gt", gt, "--json", tmp_path / "b.json") == 0
    assert scores_in(tmp_path / "b.json", "saved") == pytest.approx(expected, nan_ok=True)


def test_nothing_at_all_is_told(files, tmp_path, capsys) -> None:
    _, gt, found = files
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    assert run(empty, "--gt", gt) == 0
    assert "no detection at all" in capsys.readouterr().err
    data = json.loads(gt.read_text())
    gt.write_text(json.dumps({**data, "annotations": []}))
    assert run(found, "--gt", gt, "--json", tmp_path / "s.json") == 0
    output = capsys.readouterr()
    assert "nothing is to be found" in output.err
    assert output.out.splitlines()[2].split()[1:6] == ["-"] * 5
    assert scores_in(tmp_path / "s.json")["AP"] is None


BOX = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "a list of objects"),
        ('{"images": []}', "a list of objects"),
        ("[1]", "a list of objects"),
        ("[" * 100_000, "a list of objects"),
        (json.dumps([{**BOX, "image_id": 777}]), "image 777 is not in the ground truth"),
        (json.dumps([{**BOX, "image_id": 7e7}]), "'image_id'"),
        (json.dumps([{"image_id": 1, "score": 1}]), "'category_id' is missing"),
        (json.dumps([{**BOX, "bbox": [1, 2, 3]}]), "image 1: box [1, 2, 3] is no box"),
        (json.dumps([BOX, {**BOX, "bbox": None}]), "box null is no box"),
        (json.dumps([{**BOX, "bbox": [1, 2, -3, 4]}]), "negative size"),
        (json.dumps([{**BOX, "bbox": [1, 2, float("nan"), 4]}]), "is no box"),
        (json.dumps([{**BOX, "score": "high"}]), 'score "high" is no score'),
    ],
)
def test_wrong_files_are_named_in_one_line(files, capsys, text, says) -> None:
    _, gt, found = files
    found.write_text(text)
    assert run(found, "--gt", gt, "-q") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert str(found) in lines[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["found.json", "--save", "x.json"], "found.json is a file"),
        (["a.cfg", "b.cfg", "--save", "x.json"], "one at a time"),
        (["found.json", "found.json"], "given twice"),
        (["found.csv"], "found.csv"),
        (["nothing.json"], "nothing.json: no such file"),
        (["found.json", "--json", "found.json"], "is an input too"),
    ],
)
def test_wrong_words_are_named_in_one_line(files, monkeypatch, capsys, words, says) -> None:
    world, gt, _ = files
    write_pictures(world, gt.parent)
    monkeypatch.chdir(gt.parent)
    assert run(*words, "--gt", gt, "-q") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]


def test_missing_pictures_stop_detectors_alone(files, capsys) -> None:
    _, gt, found = files
    assert run(found, "--gt", gt, "-q") == 0
    assert run("net.onnx", "--gt", gt) == 2
    assert "none of its 20 images is there" in capsys.readouterr().err


def test_classes_are_known_by_name_and_by_number(tmp_path, capsys) -> None:
    """Without --classes people alone; COCO's numbers are those of the ground truth."""
    gt, found = tmp_path / "gt.json", tmp_path / "found.json"
    box = {"image_id": 1, "bbox": [10, 10, 30, 60]}
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}],
        "annotations": [{**box, "category_id": 7}, {**box, "category_id": 2}],
        "categories": [{"id": 7, "name": "pedestrian"}, {"id": 2, "name": "car"}],
    }
    gt.write_text(json.dumps(truth))
    right = [{**box, "category_id": 7, "score": 0.9}, {**box, "category_id": 2, "score": 0.8}]
    found.write_text(json.dumps(right))
    out = tmp_path / "s.json"
    assert run(found, "--gt", gt, "--json", out) == 0
    assert scores_in(out)["objects"] == scores_in(out)["detections"] == 1
    words = [found, "--gt", gt, "--json", out, "--overwrite", "--classes", "person,car"]
    assert run(*words) == 0
    assert (scores_in(out)["objects"], scores_in(out)["recall"]) == (2, 1.0)
    frames = [{"frame": 1, "detections": []}]
    for name, score in (("person", 0.9), ("car", 0.8), ("dog", 0.7)):
        frames[0]["detections"].append({"box": [10, 10, 40, 70], "score": score, "name": name})
    found.write_text(json.dumps(frames))
    assert run(*words) == 0
    assert (scores_in(out)["recall"], scores_in(out)["detections"]) == (1.0, 2)
    capsys.readouterr()
    assert run(found, "--gt", gt, "--classes", "cat") == 2
    assert "class 'cat' is not in the dataset" in capsys.readouterr().err
