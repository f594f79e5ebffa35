"""Track formats: lossless round trips, agreement with other packages, one-line errors."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot.cli.convert import FORMATS as HELP_FORMATS
from mot.cli.convert import convert
from mot.commands.convert import file_stem
from mot.errors import MotError
from mot.formats import FORMATS, VideoTracks, read_videos, write_videos
from mot.formats.supervision import from_supervision, to_supervision, tracks_from_supervision
from mot.formats.video_tracks import MAX_FRAMES, MOT_CLASSES, assign_class_numbers
from mot.motfile import MotRows, read_mot_rows
from mot.types import Detections, Tracks


def rows_of(*table: tuple[float, ...]) -> MotRows:
    """frame, id, left, top, width, height, score, class, visibility"""
    array = np.array(table, np.float64).reshape(-1, 9)
    integers = array.astype(np.int64)
    return MotRows(
        integers[:, 0], integers[:, 1], array[:, 2:6], array[:, 6], integers[:, 7], array[:, 8]
    )


def video_of(*table: tuple[float, ...], **metadata: Any) -> VideoTracks:
    rows = rows_of(*table)
    return VideoTracks(**{"name": "street", "rows": rows, "length": rows.last_frame, **metadata})


def table_of(rows: MotRows) -> list[list[float]]:
    """All columns, sorted by frame and id."""
    columns = (rows.frames, rows.ids, rows.xywh, rows.scores, rows.classes, rows.visibility)
    return sorted(np.column_stack(columns).tolist())


def checkpoint_metadata(video: VideoTracks) -> tuple[object, ...]:
    return video.name, video.length, video.fps, video.size


def round_trip(path: Path, *videos: VideoTracks) -> list[VideoTracks]:
    write_videos(path, videos)
    return read_videos(path)


TWO = video_of(
    (1, 3, 0.1, 0.2, 0.2, 0.7, 1, 1, 0.25),
    (2, 3, 1.1, 0.2, 0.2, 0.7, 1, 1, 1),
    (5, 3, 4.1, 0.2, 0.2, 0.7, 1, 1, 0),
    (2, 70, -5, 9, 30, 60, 0, 7, -1),
    length=7,
    fps=29.97,
    size=(640, 480),
)
SUFFIXES = [form.suffix for form in FORMATS.values()]


def test_the_command_offers_all_formats() -> None:
    assert tuple(FORMATS) == HELP_FORMATS


# Round trips

coordinates = st.floats(-1e6, 1e6)
sides = st.floats(0, 1e6)
fractions = st.floats(0, 1)
known_rows = st.tuples(
    coordinates,
    coordinates,
    sides,
    sides,
    st.one_of(fractions, st.floats(-1e3, 1e3)),
    st.sampled_from([-1, 0, *MOT_CLASSES, 18, 90]),
    st.one_of(fractions, st.just(-1.0)),
)
names = st.text(st.characters(categories=("L", "N")), min_size=1)


@st.composite
def videos(draw: st.DrawFn) -> VideoTracks:
    """Tracks with gaps, several classes, empty frames, empty videos."""
    keys = st.tuples(st.integers(1, 40), st.one_of(st.integers(-1, 6), st.integers(0, 10**15)))
    drawn = draw(st.lists(keys, max_size=12, unique_by=lambda key: key if key[1] >= 0 else None))
    rows = rows_of(*((*key, *draw(known_rows)) for key in drawn))
    length = draw(st.integers(rows.last_frame, 45))
    size = draw(st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)))
    images = draw(st.none() | st.just(tuple(f"é/{number}.png" for number in range(length))))
    fps = draw(st.floats(0.1, 240))
    return VideoTracks(draw(names), rows, length, fps, size, images if length else None)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(video=videos())
def test_round_trips_are_lossless(video: VideoTracks, suffix: str, tmp_path: Path) -> None:
    (found,) = round_trip(tmp_path / f"video{suffix}", video)
    assert table_of(found.rows) == table_of(video.rows)
    if suffix != ".txt":
        assert checkpoint_metadata(found) == checkpoint_metadata(video)
    if suffix == ".json" and video.images:
        assert found.images == video.images


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("text", ["gt", "results"])
def test_round_trips_of_real_files(suffix: str, text: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/mot17/MOT17-05"
    (video,) = read_videos(folder / "gt/gt.txt")
    if text == "results":
        blank = np.full(len(video.rows), -1)
        video = replace(video, rows=replace(video.rows, classes=blank, visibility=blank * 1.0))
    (found,) = round_trip(tmp_path / f"video{suffix}", video)
    (text_video,) = round_trip(tmp_path / "again.txt", found)
    assert table_of(text_video.rows) == table_of(video.rows)
    if suffix != ".txt":
        assert checkpoint_metadata(found) == ("MOT17-05", 837, 14.0, (640, 480))
    if text == "gt":
        given_lines = (folder / "gt/gt.txt").read_text().splitlines()
        assert sorted((tmp_path / "again.txt").read_text().splitlines()) == sorted(given_lines)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trips_of_detections_without_ids(suffix: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "data/mot17/MOT17-05/det/FRCNN.txt"
    (found,) = round_trip(tmp_path / f"d{suffix}", *read_videos(path))
    assert table_of(found.rows) == table_of(read_mot_rows(path))


def test_several_videos_in_one_file(tmp_path: Path) -> None:
    other = video_of((1, 3, 1, 2, 3, 4, 0.5, -1, -1), name="TAO/a b", length=2)
    empty = video_of(name="empty", length=0)
    found = round_trip(tmp_path / "all.json", TWO, other, empty)
    assert [checkpoint_metadata(video) for video in found] == [
        checkpoint_metadata(v) for v in (TWO, other, empty)
    ]
    for video, before in zip(found, (TWO, other, empty), strict=True):
        assert table_of(video.rows) == table_of(before.rows)
    with pytest.raises(MotError, match="can hold one video, not 3"):
        write_videos(tmp_path / "all.xml", found)


def test_frames_without_images(tmp_path: Path) -> None:
    """As in TAO, where every thirtieth frame is annotated."""
    images = tuple(f"{n}.jpg" if n % 3 == 0 else "" for n in range(9))
    video = video_of((4, 1, 1, 2, 3, 4, 1, 1, 1), length=9, images=images)
    (found,) = round_trip(tmp_path / "a.json", video)
    assert found.images == images
    assert [i["frame_id"] for i in json.loads((tmp_path / "a.json").read_text())["images"]] == [
        *(1, 4, 7)
    ]


def test_numbers_are_written_without_trailing_zeros(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.txt", [TWO])
    assert (tmp_path / "a.txt").read_text().splitlines()[:2] == [
        "1,3,0.1,0.2,0.2,0.7,1,1,0.25",
        "2,3,1.1,0.2,0.2,0.7,1,1,1",
    ]
    results = video_of((1, 2, 3.0, 4.5, 5, 6, 0.875, -1, -1))
    write_videos(tmp_path / "b.txt", [results])
    assert (tmp_path / "b.txt").read_text() == "1,2,3,4.5,5,6,0.875,-1,-1,-1\n"


def test_world_coordinates_are_no_classes(shared: Path) -> None:
    (video,) = read_videos(shared / "data/mot15/PETS09-S2L1/gt/gt.txt")
    assert set(video.rows.classes.tolist()) == {-1} == set(video.rows.visibility.tolist())


# COCO


def coco_of(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "videos": [{"id": 4, "name": "street", "fps": 25, "width": 64, "height": 48}],
        "images": [
            {"id": 10 + i, "video_id": 4, "file_name": f"{i}.jpg", "frame_id": i} for i in (1, 2, 3)
        ],
        "annotations": [
            {"id": i, "image_id": 10 + i, "track_id": 5, "category_id": 1, "bbox": [i, 2, 3, 4]}
            for i in (1, 3)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    return {**data, **changes}


def read_json(folder: Path, data: object, name: str = "clip.json") -> list[VideoTracks]:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return read_videos(path)


def frames_of(video: VideoTracks) -> list[int]:
    return sorted(video.rows.frames.tolist())


def images_with(**changes: list[Any]) -> list[dict[str, Any]]:
    images = copy.deepcopy(coco_of()["images"])
    for image in images:
        del image["frame_id"]
    for key, values in changes.items():
        for image, value in zip(images, values, strict=True):
            image[key] = value
    return images


@pytest.mark.parametrize(
    ("images", "frames"),
    [
        (images_with(frame_id=[1, 2, 3]), [1, 3]),
        (images_with(frame_id=[0, 1, 2]), [1, 3]),
        (images_with(frame_id=[31, 61, 91]), [31, 91]),
        (images_with(frame_index=[0, 30, 60]), [1, 61]),
        (images_with(frame_index=[1, 2, 3]), [2, 4]),
        (images_with(frame_index=[0, 1, 2], frame_id=[1, 2, 3]), [1, 3]),
        (images_with(), [1, 3]),
        (images_with(file_name=["10.jpg", "9.jpg", "2.jpg"]), [1, 3]),
    ],
)
def test_frames_count_from_0_or_from_1(images: Any, frames: list[int], tmp_path: Path) -> None:
    (video,) = read_json(tmp_path, coco_of(images=images))
    assert frames_of(video) == frames


@pytest.mark.parametrize(
    "keys", [{"track_id": 8}, {"instance_id": 8}, {"attributes": {"track_id": 8}}]
)
def test_keys_of_track_ids(keys: dict[str, Any], tmp_path: Path) -> None:
    annotation = {"image_id": 12, "bbox": [0, 0, 1, 1], **keys}
    (video,) = read_json(tmp_path, coco_of(annotations=[annotation]))
    assert table_of(video.rows) == [[2, 8, 0, 0, 1, 1, 1, -1, -1]]


def test_a_single_video_has_the_name_of_the_file(tmp_path: Path) -> None:
    data = coco_of(images=[{"id": i, "file_name": f"{i}.jpg"} for i in (13, 11, 12)])
    del data["videos"]
    (video,) = read_json(tmp_path, data)
    assert (video.name, video.length, frames_of(video)) == ("clip", 3, [1, 3])


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ({1: "person", 2: "Pedestrian"}, {1: 1, 2: 1}),
        ({3: "car", 2: "bicycle", 18: "dog"}, {3: 3, 2: 4, 18: 18}),
        ({2: "dog"}, {2: 2}),
        ({2: "bicycle", 4: "train"}, {2: 4, 4: 14}),
        ({0: "person on vehicle", 1: "static-person"}, {0: 2, 1: 7}),
        ({}, {}),
    ],
)
def test_classes_by_name(names: dict[int, str], numbers: dict[int, int]) -> None:
    assert assign_class_numbers(names) == numbers


def test_ignored_annotations_do_not_count(tmp_path: Path) -> None:
    for key in ("ignore", "iscrowd"):
        annotation = {"image_id": 12, "bbox": [0, 0, 1, 1], "track_id": 1, key: 1}
        (video,) = read_json(tmp_path, coco_of(annotations=[annotation]))
        assert video.rows.scores.tolist() == [0]


def test_classes_of_mmtracking(tmp_path: Path) -> None:
    annotation = {"image_id": 12, "bbox": [0, 0, 1, 1], "category_id": 1, "mot_class_id": 7}
    data = coco_of(annotations=[{**annotation, "mot_conf": 0, "instance_id": 0}])
    (video,) = read_json(tmp_path, data)
    assert table_of(video.rows) == [[2, 0, 0, 0, 1, 1, 0, 7, -1]]


def load_coco(path: Path) -> Any:
    coco = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(str(path))


def test_pycocotools_reads_the_same_boxes(shared: Path, tmp_path: Path) -> None:
    (video,) = read_videos(shared / "data/mot17/MOT17-05/gt/gt.txt")
    write_videos(tmp_path / "a.json", [video, TWO])
    coco = load_coco(tmp_path / "a.json")
    images = coco.loadImgs(coco.getImgIds())
    assert len(images) == 837 + 7
    assert len(coco.getAnnIds(iscrowd=False)) == len(video.rows) + len(TWO.rows)
    ids = [i["id"] for i in images if (i["video_id"], i["frame_id"]) == (1, 100)]
    found = {a["track_id"]: a["bbox"] for a in coco.loadAnns(coco.getAnnIds(imgIds=ids))}
    wanted = video.rows.frames == 100
    assert found == dict(
        zip(video.rows.ids[wanted].tolist(), video.rows.xywh[wanted].tolist(), strict=True)
    )
    assert coco.loadCats(coco.getCatIds(catNms=["static_person"]))[0]["id"] == 7
    assert sum(a["ignore"] for a in coco.anns.values()) == (video.rows.scores == 0).sum() + 1


def test_images_are_linked(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.json", [TWO, TWO])
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    links = [(i["prev_image_id"], i["id"], i["next_image_id"]) for i in images]
    assert links[0] == (-1, 1, 2)
    assert links[6:8] == [(6, 7, -1), (-1, 8, 9)]
    assert images[7]["file_name"] == "street/img1/000001.jpg"


# CVAT

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>5</id><name>yard</name><size>{size}</size>
    <labels><label><name>person</name></label></labels>
    <original_size><width>1280</width><height>720</height></original_size></task>
    <dumped>2024-01-01 00:00:00.000000+00:00</dumped></meta>
{tracks}</annotations>
"""


def cvat_track(number: int, *boxes: tuple[int, int, int, int], label: str = "person") -> str:
    """Boxes of 10 x 20 pixels: frame, left, outside, keyframe."""
    inner = "".join(
        f'<box frame="{frame}" keyframe="{key}" outside="{outside}" occluded="0" xtl="{left}.00" '
        f'ytl="5.00" xbr="{left + 10}.00" ybr="25.00" z_order="0"></box>\n'
        for frame, left, outside, key in boxes
    )
    return f'<track id="{number}" label="{label}" source="manual">\n{inner}</track>\n'


def read_cvat(folder: Path, *tracks: str, size: int = 20) -> VideoTracks:
    path = folder / "task.xml"
    path.write_text(CVAT.format(tracks="".join(tracks), size=size))
    (video,) = read_videos(path)
    return video


def lefts_of(video: VideoTracks) -> dict[int, float]:
    return dict(zip(video.rows.frames.tolist(), video.rows.xywh[:, 0].tolist(), strict=True))


def test_a_cvat_file(tmp_path: Path) -> None:
    video = read_cvat(
        tmp_path,
        cvat_track(0, (3, 50, 0, 1), (4, 52, 0, 0), (5, 54, 1, 1)),
        cvat_track(2, (0, 7, 0, 1), (1, 7, 0, 0), label="car"),
    )
    assert table_of(video.rows) == [
        [1, 3, 7, 5, 10, 20, 1, 3, -1],
        [2, 3, 7, 5, 10, 20, 1, 3, -1],
        [4, 1, 50, 5, 10, 20, 1, 1, -1],
        [5, 1, 52, 5, 10, 20, 1, 1, -1],
    ]
    assert checkpoint_metadata(video) == ("yard", 20, 30.0, (1280, 720))


def test_boxes_between_key_frames_are_interpolated(tmp_path: Path) -> None:
    track = cvat_track(0, (0, 0, 0, 1), (4, 40, 0, 1), (6, 60, 1, 1), (9, 0, 0, 1))
    video = read_cvat(tmp_path, track)
    assert lefts_of(video) == {1: 0, 2: 10, 3: 20, 4: 30, 5: 40, 6: 50, 10: 0}


def test_files_with_interpolated_boxes_are_not_interpolated(tmp_path: Path) -> None:
    """A task of every fifth frame has no gaps in between."""
    track = cvat_track(0, (0, 0, 0, 1), (5, 40, 0, 0), (10, 60, 0, 1))
    assert lefts_of(read_cvat(tmp_path, track)) == {1: 0, 6: 40, 11: 60}


def test_gaps_are_marked_outside(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.xml", [TWO])
    text = (tmp_path / "a.xml").read_text()
    first = text[text.index("<track") : text.index("</track>")]
    boxes = [
        (int(box[: box.index('"')]), 'outside="1"' in box) for box in first.split('box frame="')[1:]
    ]
    assert boxes == [(0, False), (1, False), (2, True), (4, False), (5, True)]


def test_a_track_to_the_last_frame_has_no_outside_box(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.xml", [replace(TWO, length=5)])
    assert 'frame="5"' not in (tmp_path / "a.xml").read_text()


def test_a_track_added_in_cvat_gets_a_free_id(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.xml", [TWO])
    text = (tmp_path / "a.xml").read_text()
    added = cvat_track(2, (0, 7, 0, 1)) + cvat_track(3, (0, 9, 0, 1))
    (tmp_path / "a.xml").write_text(text.replace("</annotations>", added + "</annotations>"))
    (video,) = read_videos(tmp_path / "a.xml")
    assert set(video.rows.ids.tolist()) == {3, 70, 71, 4}


def test_attributes_that_are_not_numeric_are_ignored(tmp_path: Path) -> None:
    words = {"id": "#12", "visibility": "partial", "score": "nan", "mot_class": "", "ignored": "no"}
    inner = "".join(f'<attribute name="{k}">{v}</attribute>' for k, v in words.items())
    video = read_cvat(tmp_path, cvat_track(4, (3, 50, 0, 1)).replace("</box>", inner + "</box>"))
    assert table_of(video.rows) == [[4, 5, 50, 5, 10, 20, 1, 1, -1]]


def test_the_ignored_checkbox_of_cvat(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.xml", [TWO])
    text = (tmp_path / "a.xml").read_text()
    swapped = text.replace(">true</attr", ">?</attr").replace(">false</attr", ">true</attr")
    (tmp_path / "a.xml").write_text(swapped.replace(">?</attr", ">false</attr"))
    (video,) = read_videos(tmp_path / "a.xml")
    assert video.rows.scores.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("suffix", [".json", ".xml"])
def test_names_of_other_classes_are_kept(suffix: str, tmp_path: Path) -> None:
    names = {18: "guide dog", 2: 'a <b> & "c"'}
    rows = [(1, n, 1, 2, 3, 4, 1, c, 1) for n, c in enumerate([18, 2, 1, 20], 1)]
    (found,) = round_trip(tmp_path / f"a{suffix}", video_of(*rows, class_names=names))
    assert [found.class_name(c) for c in (18, 2, 1, 20)] == [
        *names.values(),
        "pedestrian",
        "class_20",
    ]
    assert found.rows.classes.tolist() == [18, 2, 1, 20]


@pytest.mark.parametrize("suffix", [".json", ".xml"])
def test_names_with_illegal_characters(suffix: str, tmp_path: Path) -> None:
    name = "]]></name><!-- \x00\x1b\ud800 ../../etc & \u202e"
    (found,) = round_trip(tmp_path / f"a{suffix}", replace(TWO, name=name))
    assert found.rows.ids.tolist()
    assert "/" not in file_stem(name)
    assert [file_stem(n) for n in ("../..", "a/b", "MOT17-05", ".x")] == ["video", "a_b"] + [
        "MOT17-05",
        "x",
    ]


# Bad files


def rejection(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MotError) as caught:
        read_videos(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and len(message) < 300
    return message


def annotation_with(**changes: Any) -> dict[str, Any]:
    annotation = {"id": 1, "image_id": 11, "track_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}
    return coco_of(annotations=[annotation, {**annotation, "image_id": 12, **changes}])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", "not JSON"),
        ('{"images": [', "not JSON.*line 1"),
        ("[]", "expected an object with images"),
        ("[" * 100_000, "nested too deeply"),
        ('{"images": [], "annotations": [{"bbox": [NaN, 0, 1, 1]}]}', "NaN"),
        ({"annotations": []}, "has no 'images'"),
        ({"images": []}, "has no 'annotations'"),
        ({"images": {}, "annotations": []}, "must be a list"),
        (coco_of(annotations=[3]), r"annotations\[0\]: 3 is not an object"),
        (annotation_with(bbox=None), r"annotations\[1\]: bbox is missing"),
        (annotation_with(bbox=[1, 2, 3]), r"annotations\[1\]: bbox \[1, 2, 3\] is not \[x"),
        (annotation_with(bbox=[1, 2, "x", 4]), r"annotations\[1\]: in bbox \"x\" is not a number"),
        (annotation_with(bbox=[1, 2, -3, 4]), r"annotations\[1\]: .*negative"),
        (annotation_with(bbox=[1, 2, 3, 10**400]), r"annotations\[1\]: in bbox 1000"),
        (annotation_with(bbox=[1e300, 2, 3, 4]), "frame 2, id 5: the box is farther"),
        (annotation_with(track_id="a"), r"annotations\[1\]: track_id \"a\""),
        (annotation_with(track_id=1.5), r"annotations\[1\]: track_id 1.5 is not an integer"),
        (annotation_with(track_id=10**30), "too large"),
        (annotation_with(image_id=99), r"annotations\[1\]: image_id 99 is not among the images"),
        (annotation_with(image_id=[1]), "not among the images"),
        (annotation_with(image_id=11), "frame 1, id 5: this id occurs twice in this frame"),
        (annotation_with(category_id="x"), "category_id"),
        (coco_of(images=images_with(frame_id=[1, 1, 2])), r"images\[1\]: .* frame 1 already"),
        (coco_of(images=images_with(frame_id=[-1, 1, 2])), r"images\[0\]: frame_id -1 is less"),
        (coco_of(images=images_with(frame_id=[1, 2, None])), r"images\[2\]: frame_id is missing"),
        (coco_of(images=images_with(frame_id=[1, 2, 10**12])), f"beyond {MAX_FRAMES}"),
        (coco_of(images=images_with(id=[1, 1, 2])), r"images\[1\]: id 1 occurs twice"),
        (coco_of(images=[{"file_name": "1.jpg"}]), r"images\[0\]: id is missing"),
        (coco_of(images=images_with(video_id=[4, 4, 9])), r"images\[2\]: video_id 9 is not among"),
        (coco_of(videos=[{"id": 4, "fps": 0}]), "fps 0 is not a positive"),
        (coco_of(videos=[{"id": 4, "length": 10**12}]), "length 1000000000000 is not"),
        (coco_of(videos=[{"id": 4, "width": "x", "height": 3}]), 'width "x" is not'),
    ],
)
def test_bad_json_is_rejected_in_one_line(data: Any, fault: str, tmp_path: Path) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    assert re.search(fault, rejection(tmp_path / "clip.json", text))


BOMB = """<!DOCTYPE annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotations><meta><task><name>&b;</name></task></meta></annotations>"""
OUTSIDE_FILE = (
    """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>"""
)
BOX = '<box frame="1" xtl="1" ytl="2" xbr="3" ybr="4"/>'


def box_track(box: str = BOX, number: str = "0") -> str:
    return f'<annotations><track id="{number}" label="person">{BOX}{box}</track></annotations>'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not XML"),
        ("<annotations><track", "not XML"),
        (b"\x00\xff\xfe\x01" * 99, "not XML"),
        ('<?xml version="1.0" encoding="none"?><annotations/>', "not XML"),
        ("<html></html>", "begins with <html>"),
        (BOMB, "DOCTYPE is not allowed"),
        (BOMB.encode("utf-16"), "DOCTYPE is not allowed"),
        (OUTSIDE_FILE, "DOCTYPE is not allowed"),
        ("<annotations>&x;</annotations>", "not XML: undefined entity"),
        ('<annotations><image id="0" name="a.jpg"/></annotations>', "CVAT for video 1.1"),
        ("<annotations><meta><task/><task/></meta></annotations>", "2 tasks"),
        (box_track(number="x"), "id 'x' is not a number"),
        (box_track(BOX.replace('frame="1" ', "")), "track 0: frame is missing"),
        (box_track(BOX.replace('xtl="1" ', "")), "track 0: xtl is missing"),
        (box_track(BOX.replace('"1" x', '"1.5" x')), "frame 1.5 is not an integer"),
        (box_track(BOX.replace('"1" x', '"-2" x')), "frame -2 is not from 0"),
        (box_track(BOX.replace('"1" x', '"99999999999" x')), "frame 99999999999 is not from 0"),
        (box_track(BOX.replace('"3"', '"nan"')), "xbr 'nan' is not a number"),
        (box_track(BOX.replace('"3"', '"1e999"')), "xbr '1e999' is not a number"),
        (box_track(BOX.replace('"3"', '"1e99999999999999999999"')), "is not a number"),
        (box_track(BOX.replace('"3"', '"0.5"')), "xbr is less than xtl in frame 1"),
        (box_track(BOX.replace('"3"', '"1e300"')), "frame 2, id 1: the box is farther"),
        (box_track(BOX.replace("/>", ' rotation="30"/>')), "rotated"),
        (box_track(), "frame 2, id 1: this id occurs twice"),
        (box_track('<polygon frame="0" points="1,2"/>'), "only boxes can be converted"),
        (
            box_track(f"{BOX[:-2]}><attribute name='id'>1e30</attribute></box>"),
            "track 0: id 1e\\+30",
        ),
    ],
)
def test_bad_xml_is_rejected_in_one_line(text: str | bytes, fault: str, tmp_path: Path) -> None:
    assert re.search(fault, rejection(tmp_path / "a.xml", text))


def test_excessive_interpolation_is_rejected(tmp_path: Path) -> None:
    track = cvat_track(0, (0, 0, 0, 1), (MAX_FRAMES - 1, 40, 0, 1))
    with pytest.raises(MotError, match="key frames"):
        read_cvat(tmp_path, track, track)


def test_deeply_nested_xml_is_read(tmp_path: Path) -> None:
    depth = 100_000
    (tmp_path / "a.xml").write_text(
        "<annotations>" + "<a>" * depth + "</a>" * depth + "</annotations>"
    )
    (video,) = read_videos(tmp_path / "a.xml")
    assert len(video.rows) == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [("1,1,nan,2,3,4,1\n", ":1: "), ("99999999999,1,1,2,3,4,1\n", "is beyond"), ("abc", ":1: ")],
)
def test_bad_text_is_rejected_in_one_line(text: str, fault: str, tmp_path: Path) -> None:
    assert fault in rejection(tmp_path / "a.txt", text)


JUNK = [None, True, "x", "", -1, 0, 1.5, [], {}, [[]], 10**400, 1e308, {"a": 1}, "9" * 5000]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_junk_in_json_is_read_or_rejected(data: st.DataObject, tmp_path: Path) -> None:
    content: Any = coco_of()
    node: Any = content
    while True:
        key = data.draw(
            st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node)))
        )
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        node = inner
    node[key] = data.draw(st.sampled_from(JUNK))
    with contextlib.suppress(MotError):
        read_json(tmp_path, content)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from(SUFFIXES),
    at=st.floats(0, 1),
    cut=st.integers(0, 30),
    junk=st.binary(max_size=6) | st.sampled_from([b"-", b"1e9", b'"', b"<", b"nan", b","]),
)
def test_broken_files_are_read_or_rejected(
    suffix: str, at: float, cut: int, junk: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    write_videos(path, [TWO])
    content = path.read_bytes()
    start = int(at * len(content))
    path.write_bytes(content[:start] + junk + content[start + cut :])
    with contextlib.suppress(MotError):
        read_videos(path)


# The command


def run(*words: object) -> str:
    result = CliRunner().invoke(convert, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def sequence(folder: Path, text: str = "1,1,10,20,30,40,1,1,0.5\n") -> Path:
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text(text)
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\nframeRate=25\nseqLength=9\nimWidth=64\nimHeight=48\n"
    )
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in ("A", "B"):
        sequence(tmp_path / f"set/train/{name}")
    return tmp_path / "set"


def test_sequences_keep_their_metadata(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "A")
    (folder / "img1").mkdir()
    for number in range(9):
        (folder / f"img1/{number:08d}.png").write_bytes(b"")
    for source in (folder, folder / "gt/gt.txt"):
        assert "1 video, 1 track, 1 box\n" in run(source, "-o", tmp_path / "a.json", "--overwrite")
        (video,) = read_videos(tmp_path / "a.json")
        assert checkpoint_metadata(video) == ("A", 9, 25.0, (64, 48))
        assert video.images and video.images[0] == "A/img1/00000000.png"


def test_incomplete_images_are_not_named(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "A", "3,1,10,20,30,40,1,1,0.5\n")
    (folder / "seqinfo.ini").write_text("[Sequence]\nseqLength=3\nimWidth=64\nimHeight=48\n")
    (folder / "img1").mkdir()
    for names in (["a", "b", "c"], ["1", "2"], ["1", "2", "4"], ["01", "1", "3"], ["2", "3", "4"]):
        for old in (folder / "img1").iterdir():
            old.unlink()
        for name in names:
            (folder / f"img1/{name}.png").write_bytes(b"")
        assert read_videos(folder / "gt/gt.txt")[0].images is None


def test_a_dataset_to_one_or_many_files(dataset: Path, tmp_path: Path) -> None:
    run(dataset, "-o", tmp_path / "all.json")
    assert [video.name for video in read_videos(tmp_path / "all.json")] == ["A", "B"]
    run(dataset, "-o", tmp_path / "xml", "--to", "cvat")
    assert sorted(path.name for path in (tmp_path / "xml").iterdir()) == ["A.xml", "B.xml"]
    run(tmp_path / "all.json", "-o", tmp_path / "text", "--to", "mot", "-q")
    run(tmp_path / "xml", "-o", tmp_path / "from_xml", "--to", "mot")
    for name in ("text/A.txt", "from_xml/B.txt"):
        assert (tmp_path / name).read_text() == "1,1,10,20,30,40,1,1,0.5\n"
    run(tmp_path / "text", "-o", tmp_path / "folder", "--to", "coco")
    assert (tmp_path / "folder/text.json").is_file()


def test_sequences_without_ground_truth_are_left_out(dataset: Path, tmp_path: Path) -> None:
    (dataset / "train/A/gt/gt.txt").unlink()
    assert "A: has no gt/gt.txt" in run(dataset, "-o", tmp_path / "all.json")
    (dataset / "train/B/gt/gt.txt").unlink()
    with pytest.raises(MotError, match="nothing to convert"):
        run(dataset, "-o", tmp_path / "all.json", "--overwrite")


def test_formats_are_detected_by_content(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        write_videos(tmp_path / f"a{suffix}", [TWO])
        (tmp_path / f"a{suffix}").rename(tmp_path / "plain")
        run(tmp_path / "plain", "-o", tmp_path / "b.txt", "--overwrite", "-q")
        assert table_of(read_mot_rows(tmp_path / "b.txt")) == table_of(TWO.rows)
    run(tmp_path / "plain", "-o", tmp_path / "b", "--to", "coco", "--from", "cvat", "-q")
    assert (tmp_path / "b/plain.json").is_file()


def test_existing_files_are_not_replaced(tmp_path: Path) -> None:
    write_videos(tmp_path / "a.txt", [TWO])
    before = (tmp_path / "a.txt").read_bytes()
    (tmp_path / "b.json").write_text("mine")
    with pytest.raises(MotError, match="exists: give --overwrite"):
        run(tmp_path / "a.txt", "-o", tmp_path / "b.json")
    with pytest.raises(MotError, match="is an input too"):
        run(tmp_path / "a.txt", "-o", tmp_path / "a.txt", "--overwrite")
    assert (tmp_path / "a.txt").read_bytes() == before
    assert (tmp_path / "b.json").read_text() == "mine"


def test_incompatible_flags(dataset: Path, tmp_path: Path) -> None:
    run(dataset, "-o", tmp_path / "all.json", "-q")
    with pytest.raises(MotError, match="name a folder, with --to mot"):
        run(tmp_path / "all.json", "-o", tmp_path / "one.txt")
    with pytest.raises(MotError, match="give --to"):
        run(tmp_path / "all.json", "-o", tmp_path / "folder")
    with pytest.raises(MotError, match="no such file"):
        run(tmp_path / "none.txt", "-o", tmp_path / "a.json")
    with pytest.raises(MotError, match="for --from cvat"):
        run(dataset, "-o", tmp_path / "a.json", "--from", "cvat")
    data = json.loads((tmp_path / "all.json").read_text())
    data["videos"][1]["name"] = "A"
    (tmp_path / "all.json").write_text(json.dumps(data))
    with pytest.raises(MotError, match="two videos would be written to"):
        run(tmp_path / "all.json", "-o", tmp_path / "folder", "--to", "mot")


# supervision

TRACKS = Tracks(
    ids=np.array([3, 12]),
    boxes=np.array([[1.5, 2.25, 30, 40], [-3, -4, 0, 0]], np.float32),
    scores=np.array([0.875, 0.5], np.float32),
    labels=np.array([0, 2]),
    detections=np.array([1, 0]),
)


def test_supervision_round_trip() -> None:
    supervision = pytest.importorskip("supervision")
    found = to_supervision(TRACKS)
    assert isinstance(found, supervision.Detections)
    assert found.tracker_id.tolist() == [3, 12]
    assert found.xyxy.tolist() == TRACKS.boxes.tolist()
    tracks = tracks_from_supervision(found)
    for name in ("ids", "boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(tracks, name), getattr(TRACKS, name))
    detections = Detections.from_boxes([[1, 2, 3, 4]], [0.5], [7], [[0.5, 1]])
    back = from_supervision(to_supervision(detections))
    for name in ("boxes", "scores", "labels", "embeddings"):
        np.testing.assert_array_equal(getattr(back, name), getattr(detections, name))


def test_supervision_of_empty_and_incomplete_detections() -> None:
    supervision = pytest.importorskip("supervision")
    for empty in (supervision.Detections.empty(), to_supervision(Tracks.empty())):
        assert len(from_supervision(empty)) == len(tracks_from_supervision(empty)) == 0
    bare = supervision.Detections(xyxy=np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]))
    assert from_supervision(bare).scores.tolist() == [1, 1]
    assert from_supervision(bare).labels.tolist() == [0, 0]
    with pytest.raises(MotError, match="without tracker_id"):
        tracks_from_supervision(bare)
    bare.tracker_id = np.array([-1, 4])
    assert len(from_supervision(bare)) == 2
    tracks = tracks_from_supervision(bare)
    assert (tracks.ids.tolist(), tracks.detections.tolist()) == ([4], [1])


def test_supervision_gets_copies() -> None:
    pytest.importorskip("supervision")
    found = to_supervision(TRACKS)
    found.xyxy[:] = 0
    assert TRACKS.boxes[0, 0] == 1.5


def test_supervision_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MotError, match="pip install supervision"):
        to_supervision(TRACKS)


def test_supervision_reads_our_coco(shared: Path, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    (video,) = read_videos(shared / "data/mot17/MOT17-05/gt/gt.txt")
    write_videos(tmp_path / "a.json", [video])
    data = supervision.DetectionDataset.from_coco(
        str(shared / "data/mot17"), str(tmp_path / "a.json")
    )
    assert "pedestrian" in data.classes
    found = {Path(path).name: boxes for path, boxes in data.annotations.items()}
    assert len(found) == 837
    assert sum(map(len, found.values())) == len(video.rows)
    wanted = video.rows.xywh[video.rows.frames == 100]
    np.testing.assert_allclose(found["000100.jpg"].xyxy[:, :2], wanted[:, :2])
    np.testing.assert_allclose(
        found["000100.jpg"].xyxy[:, 2:], wanted[:, :2] + wanted[:, 2:], rtol=1e-6
    )
