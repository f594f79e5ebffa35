"""`mot data` and `mot convert` of datasets: what is written, printed and refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mot.cli import cli
from mot.commands.data import network_sizes
from mot.datasets.dataset import Annotations
from mot.datasets.load import DataSettings, load
from mot.errors import MotError
from mot.reports.datasets import contact_sheet


def run(*words: object) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def write_image(path: Path, seed: int, size: tuple[int, int] = (160, 120)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    image = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def write_odgt(path: Path, first: int, boxes: list[list[list[int]]]) -> Path:
    """A image for each list of boxes, of which the last is ignored."""
    lines = []
    for number, found in enumerate(boxes, first):
        write_image(path.parent / f"Images/p{number}.jpg", number)
        things = [
            {"tag": "person", "fbox": box, "vbox": [*box[:3], box[3] // 2], "extra": {"ignore": 0}}
            for box in found
        ]
        if things:
            things[-1]["tag"] = "mask"
        lines.append(json.dumps({"ID": f"p{number}", "gtboxes": things}))
    path.write_text("\n".join(lines))
    return path


BOXES = [[10, 10, 20, 60], [50, 20, 30, 80], [100, 90, 30, 20]]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_odgt(tmp_path / "set/train.odgt", 0, [BOXES, [], BOXES[1:], [[-50, 0, 20, 20]]])


@pytest.fixture
def val(tmp_path: Path) -> Path:
    return write_odgt(tmp_path / "val/val.odgt", 20, [BOXES])


def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


# check


def test_check_writes_and_prints(train: Path, val: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = run("data", "check", train, "--val", val, "-o", out)
    assert "train: 4 images, 2 without people, 3 boxes, 2 ignored\n" in text
    assert "found: 1 boxes lie outside of their image: p3 [" in text
    assert "val: 1 images, 2 boxes, 1 ignored\n" in text
    height = report(out)["train"]["percentiles"]["height in pixels"]
    assert (height["50"], report(out)["train"]["counts"]["boxes"]) == (80, 3)
    for name in ("train.png", "val.png", "distributions.png"):
        assert cv2.imread(str(out / name)).std() > 5
    with pytest.raises(MotError, match=r"train.png: exists: give --overwrite"):
        run("data", "check", train, "-o", out)
    run("data", "check", train, "-o", out, "--overwrite", "-q")


def test_check_finds_what_is_wrong(train: Path, val: Path, tmp_path: Path) -> None:
    folder = train.parent / "Images"
    (folder / "p1.jpg").write_bytes((folder / "p0.jpg").read_bytes())
    (folder / "p2.jpg").write_bytes((folder / "p2.jpg").read_bytes()[:-9])
    (folder / "p3.jpg").unlink()
    seen = cv2.imread(str(folder / "p0.jpg"))
    cv2.imwrite(str(val.parent / "Images/p20.jpg"), seen, [cv2.IMWRITE_JPEG_QUALITY, 60])
    write_odgt(val, 0, [[]])  # the same as p0.jpg of the training data
    val.write_text(val.read_text() + '\n{"ID": "p20", "gtboxes": []}')
    run("data", "check", train, "--val", val, "-o", tmp_path / "out")
    found = report(tmp_path / "out")
    kinds = {kind: each["examples"] for kind, each in found["train"]["problems"].items()}
    assert kinds["images are missing"] == ["p3"]
    assert kinds["images come twice"] == ["p1 = p0"]
    assert "p2.jpg: the image is cut off" in kinds["images cannot be read"][0]
    both = {kind: each["examples"] for kind, each in found["both"].items()}
    assert [*both.values()] == [["p0 = p1"], ["p20 ~ p0"]]


def test_quick_reads_only_the_samples(train: Path, tmp_path: Path) -> None:
    for path in (train.parent / "Images").glob("*"):
        path.write_bytes(path.read_bytes()[:-9])
    text = run("data", "check", train, "-o", tmp_path / "out", "--quick")
    assert "cannot be read" not in text
    assert not (tmp_path / "out/train.png").exists()  # no sample can be drawn
    assert "4 images cannot be read" in run("data", "check", train, "-o", tmp_path / "out2")


def test_sizes_that_are_told_wrongly(train: Path, tmp_path: Path) -> None:
    run("convert", train, "-o", tmp_path / "a.json")
    told = json.loads((tmp_path / "a.json").read_text())
    told["images"][0]["width"] = 9999
    (tmp_path / "a.json").write_text(json.dumps(told))
    images = ["--images", train.parent / "Images"]
    text = run("data", "check", tmp_path / "a.json", *images, "-o", tmp_path / "out")
    assert "1 images have another size than annotated: p0.jpg is 160x120, not 9999x120" in text


def test_several_sources(train: Path, val: Path, tmp_path: Path) -> None:
    words = ["data", "check", train, val, "-o", tmp_path / "out"]
    assert "train: 5 images" in run(*words)
    folders = [word for path in (train, val) for word in ("--images", path.parent / "Images")]
    assert "train: 5 images" in run(*words, *folders, "--overwrite")
    with pytest.raises(MotError, match="3 --images for 2 sources"):
        run(*words, *folders, "--images", "x", "--overwrite")
    assert "train: 3 images" in run(*words, "--every", 2, "--overwrite", "--quick")
    with pytest.raises(MotError, match="class 'dog' is not in the dataset"):
        run(*words, "--classes", "dog", "--overwrite")


def test_sources_of_different_classes(train: Path, tmp_path: Path) -> None:
    cars = {
        "images": [{"id": 1, "file_name": "p0.jpg"}],
        "annotations": [],
        "categories": [{"id": 1, "name": "car"}],
    }
    (train.parent / "Images/cars.json").write_text(json.dumps(cars))
    with pytest.raises(
        MotError, match=r"different classes \(car and person\): choose with --class"
    ):
        run("data", "check", train, train.parent / "Images/cars.json", "-o", tmp_path / "out")


def test_a_set_without_a_single_box(tmp_path: Path) -> None:
    path = write_odgt(tmp_path / "a.odgt", 0, [[], []])
    assert "2 images, 2 without people" in run("data", "check", path, "-o", tmp_path / "out")
    with pytest.raises(MotError, match=r"a.odgt: anchors are fitted to at least one box"):
        run("data", "anchors", path)


def test_the_sheet_shows_what_counts_and_what_does_not() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    found = Annotations.of(
        [[100, 100, 150, 200], [200, 100, 300, 200], [-1e9, -1e9, 1e9, 1e9]],
        ignored=[False, True, False],
        visible=[[100, 100, 150, 150], [200, 100, 300, 200], [-1e9, -1e9, 1e9, 1e9]],
    )
    plain = contact_sheet([("名", image, found[:0])], "title")
    sheet = contact_sheet([("名", image, found)], "title")
    changed = (sheet != plain).any(axis=2)[-240:]
    assert 0.05 < changed[102:198, 202:298].mean() < 0.4  # hatched
    assert changed[98:102, 105:145].any() and not changed[110:140, 105:145].any()
    assert changed[148:152, 105:145].any()  # the end of the part that is seen
    assert len(contact_sheet([("a", image, found)] * 7, "title")) > 2 * 240


# anchors


def test_anchors_as_the_network_sees_them(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mot.detectors.models.yolov3", None)  # as without PyTorch
    data = load(DataSettings(str(train)), sizes=True).data
    sizes = network_sizes(data, (320, 320))
    assert sizes.tolist() == [[40, 120], [60, 160], [60, 160]]  # 160 x 120 become 320 x 240
    text = run("data", "anchors", train, "--imgsz", "320", "--count", 2)
    assert text.startswith("anchors = [40, 120, 60, 160]  # width, height, ... at 320x320\n")
    assert [line for line in text.splitlines()[1:] if "warning" not in line] == [
        "these 2        mean IoU 1.000, recall at IoU 0.5 100.0 %"
    ]
    with pytest.raises(MotError, match="9 anchors need as many boxes of different sizes"):
        run("data", "anchors", train)


def test_known_anchors_are_compared(train: Path) -> None:
    pytest.importorskip("torch")
    text = run("data", "anchors", train, "--count", 2)
    assert "yolov3 coco    mean IoU" in text
    assert "yolov3 person  mean IoU" in text


# convert


def test_convert_crowdhuman(train: Path, tmp_path: Path) -> None:
    text = run("convert", train, "-o", tmp_path / "a.json")
    assert f"a.json: 4 images in {train.parent / 'Images'}, 3 boxes, 2 ignored\n" in text
    assert "warning: 1 boxes lie outside" in text
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["images"][0] == {"id": 1, "file_name": "p0.jpg", "width": 160, "height": 120}
    first, _, third = written["annotations"][:3]
    assert (first["bbox"], first["vis_bbox"]) == ([10, 10, 20, 60], [10, 10, 20, 30])
    assert (first["iscrowd"], first["ignore"], third["iscrowd"], third["ignore"]) == (0, 0, 1, 1)
    with pytest.raises(MotError, match="exists: give --overwrite"):
        run("convert", train, "-o", tmp_path / "a.json")
    run("convert", train, "-o", tmp_path / "b", "--to", "coco", "--images", train.parent / "Images")
    assert json.loads((tmp_path / "b/train.json").read_text()) == written


def test_convert_coco_detection_comes_back(train: Path, tmp_path: Path) -> None:
    run("convert", train, "-o", tmp_path / "a.json")
    images = ["--images", train.parent / "Images"]
    for more in (["--from", "coco-detection"], []):
        words = [*images, "--overwrite", *more]
        run("convert", tmp_path / "a.json", "-o", tmp_path / "b.json", *words)
        assert (tmp_path / "b.json").read_text() == (tmp_path / "a.json").read_text()


def test_convert_frames_of_sequences_are_pictures_too(tmp_path: Path) -> None:
    for detector in ("DPM", "SDP"):
        folder = tmp_path / f"MOT17/A-{detector}"
        write_image(folder / "img1/000001.jpg", 0)
        (folder / "gt").mkdir()
        (folder / "gt/gt.txt").write_text("1,4,11,21,10,30,1,1,0.5\n1,5,1,1,9,9,0,1,1\n")
    said = run("convert", tmp_path / "MOT17", "-o", tmp_path / "a.json", "--to", "coco-detection")
    assert "1 images in" in said, "once, though there are two sequences of the same frames"
    written = json.loads((tmp_path / "a.json").read_text())
    assert [each["bbox"] for each in written["annotations"]] == [[11, 21, 10, 30], [1, 1, 9, 9]]
    assert [each["visibility"] for each in written["annotations"]] == [0.5, 1]
    assert [each["ignore"] for each in written["annotations"]] == [0, 1]


def test_convert_tells_data_sets_from_tracks(tmp_path: Path) -> None:
    for name in ("voc", "cvat"):
        (tmp_path / name).mkdir()
    write_image(tmp_path / "voc/a.jpg", 0)
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    item = f"<object><name>person</name><bndbox>{corners}</bndbox></object>"
    (tmp_path / "voc/a.xml").write_text(f"<annotation>{item}</annotation>")
    assert "1 images in" in run("convert", tmp_path / "voc", "-o", tmp_path / "voc.json")
    (tmp_path / "cvat/a.xml").write_text("<annotations></annotations>")
    assert "1 video" in run("convert", tmp_path / "cvat", "-o", tmp_path / "cvat.json")
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks/a.txt").write_text("1,1,2,3,4,5,1\n")
    (tmp_path / "tracks/run.json").write_text("{}")
    assert "1 track" in run("convert", tmp_path / "tracks", "-o", tmp_path / "tracks.json")


def test_convert_yolo_by_name(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg", 0)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    run("convert", tmp_path / "labels", "-o", tmp_path / "a.json", "--from", "yolo")
    (box,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert box["bbox"] == [40, 30, 80, 60]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("-o", "a.xml"), "--to cvat holds tracks"),
        (("-o", "a.json", "--images", ".", "--from", "coco"), "--images goes with a dataset"),
        (("-o", "a.json", "--images", "nowhere"), "none of its 4 images is there"),
        (("-o", "a.json", "--from", "coco-detection"), "not JSON"),
    ],
)
def test_convert_refuses(
    words: tuple[str, ...], fault: str, train: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(train.parent)
    with pytest.raises(MotError, match=fault):
        run("convert", train, *words)
    assert not list(train.parent.glob("a.*"))


def test_real_data(shared: Path, tmp_path: Path) -> None:
    source = shared / "data/person/val.json"
    text = run("data", "check", source, "-o", tmp_path / "out")
    assert "train: 300 images, 700 boxes, 100 ignored\n" in text
    assert report(tmp_path / "out")["train"]["problems"] == {}
    text = run("data", "check", shared / "data/mot17/MOT17-02", "-o", tmp_path / "clip")
    assert "train: 30 images" in text, "those of its video"
