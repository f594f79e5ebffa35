"""Data sets: every format is read to the boxes that stand in it, whatever is wrong in a file is
said, and epochs are drawn as their weights say."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.data_sets import (
    boxes_of,
    read,
    write_image,
)

from mot.cli.data import BOXES as HELP_BOXES
from mot.cli.data import FORMATS as HELP_FORMATS
from mot.datasets.build import MISSING, NOT_FINITE, OUTSIDE, WITHOUT_AREA
from mot.datasets.config import BOXES
from mot.datasets.dataset import DataSet, ImageRecord
from mot.datasets.duplicates import (
    ImageFingerprint,
    dhash,
    look_at_all,
    nearest_patterns,
    note_shared,
)
from mot.datasets.images import read_image, size_of
from mot.datasets.load import FORMATS, DataSettings, guess, load
from mot.datasets.problems import Problems
from mot.datasets.statistics import counts_of, distributions
from mot.datasets.video_frames import frames_of_video
from mot.datasets.write_coco import coco_lines
from mot.errors import MotError
from mot.image_size import image_size
from mot.motfile import read_mot_rows
from mot.settings import build_settings
from mot.training.anchor_fitting import fit_anchors, measure_fit, size_iou
from mot.training.data.mixing import mixed
from mot.types import Frame
from mot.video.writers import VideoWriter

in_folder = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def ignored_of(picture: ImageRecord) -> list[bool]:
    return picture.annotations.ignored.tolist()


def test_the_light_help_names_the_formats() -> None:
    assert tuple(FORMATS) == HELP_FORMATS
    assert BOXES == HELP_BOXES


# CrowdHuman


def person(fbox: Any, vbox: Any = None, tag: str = "person", **extra: int) -> dict[str, Any]:
    seen = {} if vbox is None else {"vbox": vbox}
    return {"tag": tag, "fbox": fbox, "hbox": [0, 0, 1, 1], "extra": extra, **seen}


def write_odgt(folder: Path, **pictures: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name in pictures:
        write_image(folder / f"Images/{name}.jpg")
    lines = [json.dumps({"ID": name, "gtboxes": boxes}) for name, boxes in pictures.items()]
    (folder / "train.odgt").write_text("\n".join([*lines, ""]))
    return folder / "train.odgt"


def test_crowdhuman(tmp_path: Path) -> None:
    people = [
        person([-4, 10, 20, 50], [0, 10, 16, 38], box_id=0, occ=1),
        person([30, 5, 10, 20], [30, 5, 10, 20], ignore=1),
        person([1, 2, 3, 4], [1, 2, 3, 4], tag="mask"),
    ]
    path = write_odgt(tmp_path, **{"27,c9": people, "nobody": []})
    data = read(path)
    assert data.names == ("person",)
    assert [(each.name, each.number, each.size) for each in data] == [
        ("27,c9", 1, (0, 0)),
        ("nobody", 2, (0, 0)),
    ]
    assert data[0].path == tmp_path / "Images/27,c9.jpg"
    assert boxes_of(data[0]) == [[-4, 10, 16, 60], [30, 5, 40, 25], [1, 2, 4, 6]]
    assert data[0].annotations.visible[0].tolist() == [0, 10, 16, 48]
    assert ignored_of(data[0]) == [False, True, True]
    assert len(data[1].annotations) == 0
    assert boxes_of(read(path, boxes="visible")[0])[0] == [0, 10, 16, 48]
    assert boxes_of(read(path, clip=True)[0])[0] == [0, 10, 16, 48]
    assert ignored_of(read(path, min_visibility=0.61)[0]) == [True, True, True]  # 608 of 1000
    assert ignored_of(read(path, min_visibility=0.6)[0]) == [False, True, True]
    assert ignored_of(read(path, min_height=51)[0]) == [True, True, True]
    assert [each.name for each in read(path, every=2)] == ["27,c9"]
    assert load(DataSettings(str(path)), sizes=True).data[1].size == (64, 48)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", ":3: not JSON"),
        ("[1]", ":3: not a JSON object"),
        ("[" * 10**5, ":3: not JSON"),
        (b"\xff", ":3: not text in UTF-8"),
        ('{"gtboxes": []}', ":3: 'ID' is missing"),
        ('{"ID": 7, "gtboxes": []}', ":3: 'ID' 7 is not a text"),
        ('{"ID": "a"}', ":3: 'gtboxes' must be a list of objects"),
        ('{"ID": "a", "gtboxes": [{"tag": "person"}]}', "fbox null is not a box of four numbers"),
        ('{"ID": "a", "gtboxes": [{"fbox": [1, 2, 3]}]}', r"fbox \[1, 2, 3\] is not a box"),
        ('{"ID": "a", "gtboxes": [{"fbox": [1, 2, 3, "x"]}]}', "is not a box of four numbers"),
        ('{"ID": "a", "gtboxes": [{"fbox": [1, 2, 3, 1%s]}]}' % ("0" * 400), "is not a box"),
    ],
)
def test_a_bad_line_is_named(line: str | bytes, fault: str, tmp_path: Path) -> None:
    path = write_odgt(tmp_path, a=[])
    text = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(path.read_bytes() + b"\n" + text)
    with pytest.raises(MotError, match=fault) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_boxes_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    bad = [[1, 2, 0, 9], [1, 2, 5, -1], [float("nan"), 0, 5, 5], [1e300, 0, 5, 5], [9, 9, 1e12, 9]]
    outside = [[-20, 0, 20, 9], [64, 0, 9, 9], [0, 48, 9, 9], [0, -9, 9, 8]]
    good = [63, 47, 9, 9]
    boxes = [person(box) for box in [*bad, *outside, good]]
    data, problems = load(DataSettings(str(write_odgt(tmp_path, a=boxes))), sizes=True)
    assert boxes_of(data[0]) == [[63, 47, 72, 56]]
    assert problems.counts == {WITHOUT_AREA: 2, NOT_FINITE: 3, OUTSIDE: 4}
    assert problems.examples[OUTSIDE][0] == "a [-20.0, 0.0, 0.0, 9.0]"
    clipped = load(DataSettings(str(tmp_path / "train.odgt"), clip=True)).data
    assert boxes_of(clipped[0]) == [[63, 47, 64, 48]]
    assert clipped[0].annotations.visible.tolist() == [[63, 47, 64, 48]]


def test_a_visible_part_that_is_no_box_is_the_whole(tmp_path: Path) -> None:
    parts = [[float("nan"), 1, 2, 3], [5, 5, -2, 1], [0, 0, 0, 0]]
    people = [person([1, 2, 10, 20], part) for part in parts]
    path = write_odgt(tmp_path, a=people)
    found = read(path)[0].annotations.visible.tolist()
    assert found == [[1, 2, 11, 22], [1, 2, 11, 22], [0, 0, 0, 0]]
    data, problems = load(DataSettings(str(path), boxes="visible"))
    assert len(data[0].annotations) == 2
    assert problems.counts == {WITHOUT_AREA: 1}


def test_missing_pictures_are_named_unless_all_are(tmp_path: Path) -> None:
    path = write_odgt(tmp_path, a=[], b=[person([1, 2, 3, 4])], c=[])
    (tmp_path / "Images/b.jpg").unlink()
    data, problems = load(DataSettings(str(path)))
    assert [(each.name, each.number) for each in data] == [("a", 1), ("c", 3)]
    assert list(problems.lines()) == [f"1 {MISSING}: b"]
    (tmp_path / "Images/a.jpg").unlink()
    (tmp_path / "Images/c.jpg").unlink()
    with pytest.raises(MotError, match=r"none of its 3 images is there .*Images/a.jpg.*--images"):
        read(path)
    path.write_text("\n\n")
    with pytest.raises(MotError, match="has no images"):
        read(path)


def test_arrays_are_read_only(tmp_path: Path) -> None:
    data = read(write_odgt(tmp_path, a=[person([1, 2, 3, 4])]))
    for array in (data[0].annotations.boxes, data.annotations.visible, data[0].annotations.ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


# COCO


def coco(**changes: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 70, "file_name": "é.png", "width": 64, "height": 48},
            {"id": 3, "file_name": "b.png"},
        ],
        "annotations": [
            {"image_id": 3, "category_id": 9, "bbox": [1.5, 2, 10, 20]},
            {"image_id": 70, "category_id": 9, "bbox": [0, 0, 5, 6], "iscrowd": 1},
            {"image_id": 70, "category_id": 9, "bbox": [3, 3, 5, 6], "ignore": 1},
            {"image_id": 70, "category_id": 2, "bbox": [7, 8, 9, 10], "vis_bbox": [7, 8, 9, 5]},
        ],
        "categories": [{"id": 9, "name": "person"}, {"id": 2, "name": "bus"}],
        **changes,
    }


def write_coco(folder: Path, **changes: Any) -> Path:
    for name in ("é.png", "b.png"):
        write_image(folder / "images" / name)
    return write_json(folder / "boxes.json", coco(**changes))


def test_coco(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    data = read(path)
    assert data.names == ("person",)
    assert [(each.name, each.number, each.size) for each in data] == [
        ("é.png", 70, (64, 48)),
        ("b.png", 3, (0, 0)),
    ]
    assert boxes_of(data[0]) == [[0, 0, 5, 6], [3, 3, 8, 9]]
    assert ignored_of(data[0]) == [True, True]
    assert boxes_of(data[1]) == [[1.5, 2, 11.5, 22]]
    both = read(path, classes=["bus", "pedestrian"])
    assert both.names == ("bus", "pedestrian")
    assert both[0].annotations.labels.tolist() == [1, 1, 0]
    assert both[0].annotations.visible[2].tolist() == [7, 8, 16, 13]


def test_coco_without_people_keeps_all_classes(tmp_path: Path) -> None:
    categories = [{"id": 9, "name": "car"}, {"id": 2, "name": "bus"}]
    data = read(write_coco(tmp_path, categories=categories))
    assert data.names == ("bus", "car")
    assert data[0].annotations.labels.tolist() == [1, 1, 0]


def test_coco_identities_are_of_their_video(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": "b.png", "video_id": v} for i, v in ((1, 5), (2, 5), (3, 6))]
    tracks = [(1, 8), (1, "x"), (2, 8), (3, 8), (3, None)]
    annotations = [
        {"image_id": image, "category_id": 9, "bbox": [1, 1, 5, 5], "track_id": track}
        for image, track in tracks
    ]
    data = read(write_coco(tmp_path, images=images, annotations=annotations))
    assert [each.annotations.ids.tolist() for each in data] == [[0, 1], [0], [2, -1]]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"images": None}, "'images' must be a list"),
        ({"images": [{"file_name": "a"}]}, r"images\[0\]: 'id' is missing"),
        ({"images": [{"id": 1}]}, r"images\[0\]: 'file_name' is missing"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, r"images\[1\]: id 1 comes twice"),
        (
            {"annotations": [{"image_id": "x"}]},
            r"annotations\[0\]: 'image_id' \"x\" is not an integer",
        ),
        ({"annotations": [{"image_id": 3, "category_id": 9}]}, r"annotations\[0\]: bbox null"),
        ({"annotations": [{"image_id": 3, "category_id": 4}]}, "category_id 4 is not among"),
        ({"categories": [{"id": 1}]}, "'name' is missing"),
    ],
)
def test_bad_coco_names_the_entry(changes: dict[str, Any], fault: str, tmp_path: Path) -> None:
    path = write_coco(tmp_path, **changes)
    with pytest.raises(MotError, match=fault) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_boxes_of_an_unlisted_image_are_a_missing_picture(tmp_path: Path) -> None:
    annotations = [{"image_id": 999, "category_id": 9, "bbox": [1, 1, 2, 2]}]
    _, problems = load(DataSettings(str(write_coco(tmp_path, annotations=annotations))))
    assert problems.examples[MISSING] == ["image_id 999"]


def test_unknown_class_and_settings() -> None:
    for told, fault in (
        ({"clips": True}, "did you mean 'clip'"),
        ({"boxes": "head"}, "one of full, visible"),
        ({"min_visibility": 2}, "at most 1"),
        ({"every": 0}, "every = 0"),
        ({"others": "eat"}, "one of ignore, keep, drop"),
        ({"annotations": ""}, "is empty"),
    ):
        with pytest.raises(MotError, match=fault):
            build_settings(DataSettings, {"annotations": "a", **told}, "test")


def test_classes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MotError, match="class 'dog' is not in the dataset: known: bus, person"):
        read(write_coco(tmp_path), classes=["dog"])


# VOC


def write_voc(folder: Path, name: str, *objects: str, file: str | None = None) -> Path:
    write_image(folder / f"JPEGImages/{name}.jpg")
    path = folder / f"Annotations/{name}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"<annotation><filename>{file if file is not None else f'{name}.jpg'}</filename>"
        f"<size><width>64</width><height>48</height></size>{''.join(objects)}</annotation>"
    )
    return path


def voc_object(corners: str, name: str = "person", more: str = "") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=True)
    inner = "".join(f"<{tag}>{number}</{tag}>" for tag, number in tags)
    return f"<object><name>{name}</name>{more}<bndbox>{inner}</bndbox></object>"


def test_voc(tmp_path: Path) -> None:
    difficult = voc_object("5 6 7 8", more="<difficult>1</difficult>")
    write_voc(tmp_path, "000002", voc_object("1 1 64 48"), difficult, voc_object("1 1 9 9", "dog"))
    write_voc(tmp_path, "000005", file="no suffix")
    for source in (tmp_path, tmp_path / "Annotations"):
        data = read(source)
        assert [(each.name, each.size) for each in data] == [
            ("000002.jpg", (64, 48)),
            ("000005.jpg", (64, 48)),
        ]
        assert boxes_of(data[0]) == [[0, 0, 64, 48], [4, 5, 7, 8]]
        assert ignored_of(data[0]) == [False, True]
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "person_val.txt").write_text("000005 -1\n\n")
    for split in ("person_val", "person_val.txt", str(lists / "person_val.txt")):
        assert [each.name for each in read(tmp_path, split=split)] == ["000005.jpg"]
    with pytest.raises(MotError, match=r"ImageSets/Main/test.txt: no such file"):
        read(tmp_path, split="test")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<annotation>", "not XML"),
        ("<annotations></annotations>", "begins with <annotations>"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><annotation/>", "DOCTYPE is not allowed"),
        (f"<annotation>{voc_object('1 2 x 4')}</annotation>", "not four numbers"),
        ("<annotation><object><name>person</name></object></annotation>", "not four numbers"),
    ],
)
def test_bad_voc_names_the_file(text: str, fault: str, tmp_path: Path) -> None:
    path = write_voc(tmp_path, "a")
    path.write_text(text)
    with pytest.raises(MotError, match=fault) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(str(path))


# MOTChallenge


def write_sequence(folder: Path, rows: str, frames: int = 3, first: int = 1) -> Path:
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text(rows)
    for number in range(first, first + frames):
        write_image(folder / f"img1/{number:06d}.jpg")
    (folder / "seqinfo.ini").write_text("[Sequence]\nimWidth=64\nimHeight=48\nseqLength=3\n")
    return folder


def test_mot(tmp_path: Path) -> None:
    kinds = (1, 2, 3, 7, 8, 12, 13)
    rows = [f"1,{kind},{kind},2,3,4,{int(kind == 1)},{kind},0.5" for kind in kinds]
    rows += ["1,50,9,9,9,9,0,1,1", "3,1,5,6,7,8,1,1,0.25", "2,60,1,1,2,2,1,1,1"]
    write_sequence(tmp_path / "train/A", "\n".join(rows))
    data = read(tmp_path)
    assert [(each.name, each.number, each.size) for each in data] == [
        (f"A/{number:06d}.jpg", number, (64, 48)) for number in (1, 2, 3)
    ]
    left = [box[0] for box in boxes_of(data[0])]
    assert left == [1, 2, 7, 8, 12, 13, 9]  # no car
    assert ignored_of(data[0]) == [False, *[True] * 6]
    assert boxes_of(data[2]) == [[5, 6, 12, 14]]
    assert data[2].annotations.visible.tolist() == [[5, 6, 12, 14]]
    assert ignored_of(read(tmp_path, min_visibility=0.3)[2]) == [True]
    assert data[2].annotations.shares.tolist() == [0.25]
    assert [each.number for each in read(tmp_path, every=2)] == [1, 3]
    assert data[2].annotations.ids[0] == data[0].annotations.ids[0]


def test_identities_are_unique_in_the_data_set(tmp_path: Path) -> None:
    rows = "1,5,1,1,9,9,1,1,1\n2,5,1,1,9,9,1,1,1\n2,7,1,1,9,9,1,1,1\n"
    for name in ("A-DPM", "A-SDP", "B"):
        write_sequence(tmp_path / name, rows, frames=2)
    data = read(tmp_path)
    assert [each.name[:5] for each in data] == ["A-DPM", "A-DPM", "B/000", "B/000"]
    assert [each.annotations.ids.tolist() for each in data] == [[0], [0, 1], [2], [2, 3]]


def test_old_sequences_have_no_classes_and_may_count_from_zero(tmp_path: Path) -> None:
    write_sequence(tmp_path / "A", "1,1,1,2,3,4,1,10.5,-3.2,0\n", frames=1, first=0)
    (picture,) = read(tmp_path / "A")
    assert (picture.name, boxes_of(picture)) == ("A/000000.jpg", [[1, 2, 4, 6]])


def test_sequences_without_pictures_are_refused(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "A", "1,1,1,2,3,4,1,1,1\n9,1,1,2,3,4,1,1,1\n", frames=1)
    data, problems = load(DataSettings(str(folder)))
    assert (len(data), problems.examples[MISSING]) == (1, ["A/000009.jpg"])
    (folder / "img1/000001.jpg").unlink()
    with pytest.raises(MotError, match=r"has no images: img1/ with 000001.jpg, ..., or A.mp4"):
        read(folder)


@pytest.mark.parametrize("missing", [[], ["A/000009.jpg"]], ids=["whole", "shorter"])
def test_pictures_of_a_sequence_may_be_a_video(
    missing: list[str], tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "A"
    rows = "".join(
        f"{frame},1,{frame},2,30,40,1,1,1\n" for frame in (1, 2, 3, *([9] * len(missing)))
    )
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text(rows)
    with VideoWriter(folder / "A.mp4", 25) as writer:
        for number in range(3):
            image = np.full((96, 128, 3), 60 * number, np.uint8)
            writer.write(Frame(image, number + 1, number / 25))
    data, problems = load(DataSettings(str(folder)))
    assert [each.name for each in data] == ["A/000001.jpg", "A/000002.jpg", "A/000003.jpg"]
    assert [round(read_image(each).mean() / 60) for each in data] == [0, 1, 2]
    assert problems.examples.get(MISSING, []) == missing
    assert "once" in capsys.readouterr().err
    again, _ = load(DataSettings(str(folder)))
    assert [each.path for each in again] == [each.path for each in data], "kept"
    assert capsys.readouterr().err == ""


def test_several_processes_may_need_a_video_at_the_same_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    with VideoWriter(tmp_path / "A.mp4", 25) as writer:
        for number in range(40):
            image = np.full((240, 320, 3), 6 * number, np.uint8)
            writer.write(Frame(image, number + 1, number / 25))
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(frames_of_video, [tmp_path / "A.mp4"] * 3))
    (folder,) = folders
    assert len(list(folder.iterdir())) == 40
    assert list(folder.parent.iterdir()) == [folder]


def test_a_video_of_which_no_frame_can_be_read_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))
    folder = write_sequence(tmp_path / "A", "1,1,1,2,3,4,1,1,1\n", frames=1)
    (folder / "img1/000001.jpg").unlink()
    (folder / "A.mp4").write_bytes(b"")
    with pytest.raises(MotError, match=r"A\.mp4"):
        read(folder)
    assert not any((tmp_path / "home/frames").iterdir())
    (folder / "gt/gt.txt").unlink()
    with pytest.raises(MotError, match=r"no gt/gt.txt"):
        read(folder, format="mot")


# EuroCity Persons and CityPersons


def ecp(identity: str, *corners: float, **more: Any) -> dict[str, Any]:
    return {
        "identity": identity,
        **dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True)),
        **more,
    }


def test_eurocity(tmp_path: Path) -> None:
    bicycle = ecp("bicycle", 20, 20, 30, 30, children=[])
    children = [
        ecp("pedestrian", 1, 2, 11, 22, tags=["occluded>40", "truncated>10"], children=[]),
        ecp("rider", 20, 10, 30, 25, tags=[], children=[bicycle]),
        ecp("person-group-far-away", 40, 5, 60, 9, children=[]),
        ecp("pedestrian", 2, 2, 4, 6, tags=["depiction"]),
    ]
    labels = tmp_path / "day/labels/train"
    entry = {"imageheight": 48, "imagewidth": 64, "identity": "frame", "children": children}
    write_json(labels / "ulm/ulm_1.json", entry)
    write_image(tmp_path / "day/img/train/ulm/ulm_1.png")
    (picture,) = read(labels)
    assert (picture.name, picture.size) == ("ulm/ulm_1.png", (64, 48))
    assert boxes_of(picture) == [[1, 2, 11, 22], [20, 10, 30, 25], [40, 5, 60, 9], [2, 2, 4, 6]]
    assert ignored_of(picture) == [False, True, True, True]
    assert ignored_of(read(labels, others="keep")[0]) == [False, False, True, True]
    assert ignored_of(read(labels, others="drop")[0]) == [False, True, True]
    assert picture.annotations.shares.tolist() == pytest.approx([0.6, 1, 1, 1])
    assert ignored_of(read(labels, min_visibility=0.61)[0])[0]  # at most 60 % are seen
    assert not ignored_of(read(labels, min_visibility=0.6)[0])[0]
    children[0]["x0"] = "left"
    write_json(labels / "ulm/ulm_1.json", entry)
    with pytest.raises(MotError, match=r"ulm_1.json: corners \[\"left\", 2, 11, 22\] is not a box"):
        read(labels)


def test_citypersons(tmp_path: Path) -> None:
    def of(label: str, bbox: list[int]) -> dict[str, Any]:
        return {"label": label, "bbox": bbox, "bboxVis": [1, 2, 3, 4], "instanceId": 24000}

    labels = ("pedestrian", "rider", "sitting person", "person (other)", "person group", "ignore")
    objects = [of(label, [number, 2, 10, 20]) for number, label in enumerate(labels)]
    folder = tmp_path / "gtBboxCityPersons/val"
    entry = {"imgHeight": 48, "imgWidth": 64, "objects": objects}
    write_json(folder / "ulm/ulm_1_gtBboxCity.json", entry)
    write_image(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png")
    (picture,) = read(folder)
    assert (picture.name, picture.size) == ("ulm/ulm_1_leftImg8bit.png", (64, 48))
    assert boxes_of(picture) == [[number, 2, number + 10, 22] for number in range(6)]
    assert picture.annotations.visible[0].tolist() == [1, 2, 4, 6]
    assert ignored_of(picture) == [False, *[True] * 5]
    assert ignored_of(read(folder, others="keep")[0]) == [*[False] * 4, True, True]
    assert ignored_of(read(folder, others="drop")[0]) == [False, True, True]


# YOLO


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_yolo(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"images/train/é b{suffix}")
    write_image(tmp_path / f"images/train/nobody{suffix}")
    write_image(tmp_path / f"images/val/other{suffix}")
    labels = tmp_path / "labels/train/é b.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("0 0.5 0.5 0.25 0.5\n\n0 0.125 0.25 0.25 0.5 0.9\n")
    for source, split in ((tmp_path, "train"), (tmp_path / "labels/train", "")):
        data = read(source, split=split)
        assert [each.name for each in data] == [f"nobody{suffix}", f"é b{suffix}"]
        assert data[1].size == (64, 48)
        assert boxes_of(data[1]) == [[24, 12, 40, 36], [0, 0, 16, 24]]
    (tmp_path / "images/train" / f"é b{suffix}").unlink()
    assert load(DataSettings(str(tmp_path))).problems.counts == {MISSING: 1}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels/classes.txt", "dog\nperson\n"),
        ("data.yaml", "path: .\nnames:\n  0: dog # barks\n  1: person\nnc: 2\n"),
        ("data.yaml", "names: ['dog', \"person\"]\n"),
        ("data.yaml", "names:\n- dog\n- person\n"),
    ],
)
def test_yolo_class_names(file: str, text: str, tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 1 1\n1 0.5 0.5 0.5 0.5")
    with pytest.raises(MotError, match=r"a.txt:2: class 1 has no name"):
        read(tmp_path)
    (tmp_path / file).write_text(text)
    data = read(tmp_path)
    assert (data.names, boxes_of(data[0])) == (("person",), [[16, 12, 48, 36]])
    assert read(tmp_path, classes=["dog", "person"])[0].annotations.labels.tolist() == [0, 1]


@pytest.mark.parametrize("line", ["0 1 2 3", "0 a 1 1 1", "-1 0 0 1 1", "0 1 2 3 4 5 6"])
def test_bad_yolo_names_the_line(line: str, tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(f"0 0.5 0.5 1 1\n{line}\n")
    with pytest.raises(MotError, match=r"labels/a.txt:2: "):
        read(tmp_path)


# Which format


def test_formats_are_guessed(tmp_path: Path) -> None:
    assert guess(write_odgt(tmp_path / "a", x=[])) == "crowdhuman"
    assert guess(write_coco(tmp_path / "b")) == "coco"
    write_voc(tmp_path / "c", "x")
    assert guess(tmp_path / "c") == guess(tmp_path / "c/Annotations") == "voc"
    write_sequence(tmp_path / "d/train/A", "1,1,1,1,1,1,1\n", frames=1)
    assert [guess(tmp_path / f"d{inner}") for inner in ("", "/train", "/train/A")] == ["mot"] * 3
    write_json(tmp_path / "e/ulm/1.json", {})
    assert guess(tmp_path / "e") == "eurocity"
    write_json(tmp_path / "e/ulm/1_gtBboxCity.json", {})
    assert guess(tmp_path / "e") == "citypersons"
    (tmp_path / "f/labels/train").mkdir(parents=True)
    (tmp_path / "f/labels/train/x.txt").write_text("")
    assert guess(tmp_path / "f") == guess(tmp_path / "f/labels") == "yolo"
    (tmp_path / "g").mkdir()
    assert guess(tmp_path / "g") == ""


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(MotError, match="no such file or folder"):
        read(tmp_path / "none")
    with pytest.raises(MotError, match="unknown format: give one of crowdhuman, coco"):
        read(tmp_path)
    with pytest.raises(MotError, match="did you mean 'coco'"):
        read(tmp_path, format="cocoo")
    with pytest.raises(MotError, match=r"no \*.xml in it"):
        read(tmp_path, format="voc")
    with pytest.raises(MotError, match="not text in UTF-8"):
        read(write_image(tmp_path / "a.png").rename(tmp_path / "a.odgt"))


# Pictures


def picture_at(path: Path) -> ImageRecord:
    empty = read_nothing()
    return ImageRecord(path, path.name, 1, (0, 0), empty)


def read_nothing() -> Any:
    return DataSet(("person",), []).annotations


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_every_depth_becomes_bgr_bytes(dtype: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    value = np.iinfo(dtype).max // 2
    cv2.imencode(".png", np.full(shape, value, dtype))[1].tofile(tmp_path / "ü.png")
    image = read_image(picture_at(tmp_path / "ü.png"))
    assert (image.shape, image.dtype) == ((20, 30, 3), np.uint8)
    assert abs(int(image[0, 0, 0]) - 127) <= 1


def with_exif(data: bytes, orientation: int) -> bytes:
    entry = bytes([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0])
    tiff = b"MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


def test_pictures_are_not_turned(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", 64, 48)
    before = read_image(picture_at(path))
    path.write_bytes(with_exif(path.read_bytes(), 6))
    assert cv2.imread(str(path)).shape == (64, 48, 3)  # which the orientation turns
    np.testing.assert_array_equal(read_image(picture_at(path)), before)
    assert size_of(path) == (64, 48)


def test_a_head_that_is_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", 64, 48)
    data = path.read_bytes()
    comments = (b"\xff\xfe" + (60_000).to_bytes(2, "big") + bytes(59_998)) * 3
    path.write_bytes(data[:2] + comments + data[2:])
    assert image_size(path) == (64, 48)
    path.write_bytes(data[:2] + comments)
    assert image_size(path) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.97])
def test_broken_pictures_are_named_and_quiet(
    suffix: str, share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_image(tmp_path / f"a{suffix}", 320, 240)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(MotError, match=f"a{suffix}: "):
        read_image(picture_at(path))
    assert capfd.readouterr() == ("", "")


def test_a_cut_is_not_hidden_by_the_end_of_a_preview(tmp_path: Path) -> None:
    data = write_image(tmp_path / "a.jpg", 320, 240).read_bytes()
    preview = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    path = tmp_path / "b.jpg"
    path.write_bytes(data[:2] + preview + data[2:])
    assert read_image(picture_at(path)).shape == (240, 320, 3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MotError, match="cut off"):
        read_image(picture_at(path))


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    for name in ("a.jpg", "none.jpg"):
        with pytest.raises(MotError, match=name):
            read_image(picture_at(tmp_path / name))
        assert size_of(tmp_path / name) is None


# Mixing

sizes = st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(any)


def how_often(steps: Any, counts: list[int]) -> list[list[int]]:
    times = Counter(map(tuple, steps.tolist()))
    return [[times[(which, index)] for index in range(n)] for which, n in enumerate(counts)]


@given(counts=sizes, seed=st.integers(0, 99))
def test_equal_weights_are_a_union(counts: list[int], seed: int) -> None:
    steps = mixed([range(n) for n in counts], seed=seed)
    assert how_often(steps, counts) == [[1] * n for n in counts]


@given(
    counts=sizes,
    weights=st.lists(st.sampled_from([0.25, 0.5, 1, 1.5, 2, 3]), min_size=4, max_size=4),
    length=st.none() | st.integers(1, 60),
)
def test_pictures_come_as_often_as_their_weight_says(
    counts: list[int], weights: list[float], length: int | None
) -> None:
    weights = weights[: len(counts)]
    shares = np.array(counts) * weights
    steps = mixed([range(n) for n in counts], weights, length)
    total = round(float(shares.sum())) if length is None else length
    assert len(steps) == total
    for times, share in zip(how_often(steps, counts), shares * total / shares.sum(), strict=True):
        assert abs(sum(times) - share) < 1 + 1e-6
        assert not times or max(times) - min(times) <= 1


def test_epochs_differ_and_come_again() -> None:
    def epoch(number: int, seed: int = 3) -> list[list[int]]:
        drawn: list[list[int]] = mixed(
            [range(50), range(30)], [1, 0.5], None, seed, number
        ).tolist()
        return drawn

    assert epoch(0) == epoch(0)
    assert epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=4)
    halves = [{index for which, index in epoch(number) if which} for number in (0, 1)]
    assert halves[0] != halves[1]  # not the same half each time
    assert epoch(0) != sorted(epoch(0))


def test_weights_without_sense() -> None:
    for weights in ([0, 0], [-1, 2], [float("nan"), 1]):
        with pytest.raises(ValueError, match="no image to choose"):
            mixed([range(3), range(3)], weights)


# Written as COCO

coordinates = st.integers(-5000, 300_000).map(lambda number: number / 100)
spans = st.integers(10, 200_000).map(lambda number: number / 99)
rows = st.tuples(coordinates, coordinates, spans, spans, st.booleans(), st.integers(0, 3))


@in_folder
@given(pictures=st.lists(st.lists(rows, max_size=4), min_size=1, max_size=3))
def test_coco_comes_back(pictures: list[list[tuple[Any, ...]]], tmp_path: Path) -> None:
    first = [
        {
            "image_id": number,
            "category_id": 1,
            "bbox": row[:4],
            "ignore": row[4],
            "track_id": row[5],
        }
        for number, found in enumerate(pictures)
        for row in found
    ]
    images = [{"id": number, "file_name": "a.png"} for number in range(len(pictures))]
    told = {"images": images, "annotations": first, "categories": [{"id": 1, "name": "person"}]}
    write_image(tmp_path / "a.png")
    data = load(DataSettings(str(write_json(tmp_path / "a.json", told)))).data
    (tmp_path / "b.json").write_text("".join(coco_lines(data, tmp_path)))
    again = load(DataSettings(str(tmp_path / "b.json"))).data
    assert [each.number for each in again] == [each.number for each in data]
    for name in ("boxes", "visible", "ignored", "ids", "labels"):
        np.testing.assert_array_equal(
            getattr(again.annotations, name), getattr(data.annotations, name)
        )


# Looking


def looks_at(*images: np.ndarray[Any, Any]) -> list[ImageFingerprint]:
    return [
        ImageFingerprint(f"{i}", (9, 9), b"%d" % i, dhash(image)) for i, image in enumerate(images)
    ]


def test_alike_pictures_are_found(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / f"{seed}.png", 320, 240, seed) for seed in range(12)]
    images = [cv2.imread(str(path)) for path in paths]
    smaller = cv2.resize(images[7], (200, 150), interpolation=cv2.INTER_AREA)
    worse = cv2.imdecode(cv2.imencode(".jpg", images[3], [1, 40])[1], 1)
    train, val = looks_at(*images), looks_at(smaller, worse, 255 - images[5])
    near = [(other.name, distance) for _, other, distance in nearest_patterns(val, train)]
    brute = [min(int((a.pattern != b.pattern).sum()) for b in train) for a in val]
    assert [distance for _, distance in near] == brute
    assert [name for name, _ in near[:2]] == ["7", "3"]
    problems = Problems()
    note_shared([look for look in train if look.name not in "012"], val, problems)
    assert [(each.count("~"), sum(problems.counts.values())) for each in problems.lines()] == [
        (2, 2)
    ]


def test_every_picture_is_looked_at(tmp_path: Path) -> None:
    path = write_odgt(tmp_path, a=[], b=[], c=[])
    broken = tmp_path / "Images/b.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    problems = Problems()
    looks = list(look_at_all(read(path), problems))
    assert [look.name if look else None for look in looks] == ["a", None, "c"]
    assert [str(broken) in line for line in problems.lines()] == [True]


def test_statistics(tmp_path: Path) -> None:
    people = [
        person([0, 0, 10, 20], [0, 0, 10, 5]),
        person([0, 10, 10, 20]),
        person([60, 0, 10, 40]),
        person([0, 0, 50, 9], ignore=1),
    ]
    path = write_odgt(tmp_path, a=people, b=[], c=[person([1, 1, 5, 5], ignore=1)])
    data = load(DataSettings(str(path)), sizes=True).data
    assert counts_of(data) == {
        "images": 3,
        "without people": 2,
        "boxes": 3,
        "ignored": 2,
        "beyond the edge": 1,
        "identities": 0,
    }
    values = {title: each.tolist() for title, each in distributions(data).items()}
    assert values["height in pixels"] == [20, 20, 40]
    assert values["width / height"] == [0.5, 0.5, 0.25]
    assert values["visible share"] == [0.25, 1, 1]
    assert values["IoU with the nearest"] == pytest.approx([1 / 3, 1 / 3, 0])
    assert values["people in an image"] == [3, 0, 0]


# Anchors


def test_size_iou_equals_that_of_boxes() -> None:
    rng = np.random.default_rng(0)
    sizes_of, anchors = rng.uniform(1, 50, (6, 2)), rng.uniform(1, 50, (3, 2))
    for (w, h), row in zip(sizes_of, size_iou(sizes_of, anchors), strict=True):
        for (aw, ah), value in zip(anchors, row, strict=True):
            shared = min(w, aw) * min(h, ah)
            assert value == pytest.approx(shared / (w * h + aw * ah - shared))


def test_anchors_of_clear_groups_are_their_medians() -> None:
    rng = np.random.default_rng(1)
    centres = np.array([[8, 20], [30, 30], [40, 120], [200, 180]])
    groups = centres[:, None] * rng.uniform(0.9, 1.1, (4, 51, 2))
    found = fit_anchors(groups.reshape(-1, 2), 4)
    np.testing.assert_allclose(found, np.median(groups, axis=1), rtol=1e-5)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_anchors_are_as_good_as_the_best_division(seed: int) -> None:
    """Against every division of few boxes in two groups, each with the median of its boxes."""
    few = np.random.default_rng(seed).uniform(5, 100, (8, 2))
    divisions = (np.array([mask >> i & 1 for i in range(8)], bool) for mask in range(1, 128))
    best = max(
        measure_fit(few, [np.median(few[part], axis=0), np.median(few[~part], axis=0)]).mean_iou
        for part in divisions
    )
    assert measure_fit(few, fit_anchors(few, 2)).mean_iou >= 0.95 * best


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_anchors_beat_random_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    many = np.exp(rng.normal(4, 0.8, (300, 1))) * rng.uniform([0.2, 0.8], [0.9, 1.2], (300, 2))
    random = (measure_fit(many, rng.choice(many, 5, replace=False)).mean_iou for _ in range(40))
    assert measure_fit(many, fit_anchors(many, 5, seed)).mean_iou > max(random)


def test_anchors_are_sorted_and_the_same_for_a_seed() -> None:
    many = np.random.default_rng(2).uniform(5, 300, (25_000, 2))
    first = fit_anchors(many, 6, 1)
    np.testing.assert_array_equal(first, fit_anchors(many, 6, 1))
    assert (np.diff(first.prod(axis=1)) > 0).all()
    assert measure_fit(many[:3], many[:3]) == (1, 1)


@pytest.mark.parametrize("few", [[], [[1, 2]] * 9, [[0, 1]], [[1, float("nan")]]])
def test_too_few_boxes_for_anchors(few: Any) -> None:
    with pytest.raises(ValueError, match="boxes"):
        fit_anchors(few, 2)


# Real data


@pytest.mark.parametrize("part", ["train", "val"])
def test_real_counts(part: str, shared: Path) -> None:
    path = shared / f"data/person/{part}.json"
    data, plain = read(path), json.loads(path.read_text())
    flags = [bool(each["ignore"] or each["iscrowd"]) for each in plain["annotations"]]
    assert len(data) == len(plain["images"])
    assert len(data.annotations) == len(flags)
    assert data.annotations.ignored.sum() == sum(flags)
    width, height = (data.annotations.boxes[:, 2:] - data.annotations.boxes[:, :2]).T
    areas = [each["bbox"][2] * each["bbox"][3] for each in plain["annotations"]]
    assert float((width * height).sum()) == pytest.approx(sum(areas), rel=1e-5)


def test_pycocotools_loads_what_is_written(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = pytest.importorskip("pycocotools.coco")
    data = read(shared / "data/person/val.json")
    (tmp_path / "val.json").write_text("".join(coco_lines(data, shared / "data/person/val")))
    given_truth = tools.COCO(str(shared / "data/person/val.json"))
    written = tools.COCO(str(tmp_path / "val.json"))
    assert written.getImgIds() == given_truth.getImgIds()
    for number in given_truth.getImgIds():
        (old, new) = (
            [(*a["bbox"], a["ignore"]) for a in side.loadAnns(side.getAnnIds(imgIds=[number]))]
            for side in (given_truth, written)
        )
        assert np.array(new) == pytest.approx(np.array(old), abs=1e-4)
        assert written.imgs[number]["file_name"] == given_truth.imgs[number]["file_name"]
    assert len(written.getAnnIds(iscrowd=True)) == 100


def test_a_real_sequence(shared: Path) -> None:
    folder = shared / "data/mot17/MOT17-05"
    data, problems = load(DataSettings(str(folder)))
    truth = read_mot_rows(folder / "gt/gt.txt")
    within = truth.frames <= 30
    assert (len(data), problems.counts[MISSING]) == (30, 837 - 30)
    assert (~data.annotations.ignored).sum() == (within & (truth.scores == 1)).sum()
    assert read_image(data[0]).shape == (480, 640, 3)
