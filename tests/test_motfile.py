"""MOTChallenge files and folders, as benchmarks and other tools write them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.errors import MotError
from mot.image_size import image_size
from mot.motfile import (
    Sequence,
    base_name,
    detections_by_frame,
    find_sequences,
    format_mot_rows,
    list_images,
    mot_rows_from_array,
    natural_key,
    read_detections,
    read_mot_rows,
    read_sequence,
    read_tracks,
    write_seqinfo,
)
from mot.opencv import cv2

GOOD = "1,-1,10.5,20,30,40,0.9,-1,-1,-1"
SEQINFO = """[Sequence]
name=any
imDir=img1
frameRate=14
seqLength=837
imWidth=640
imHeight=480
imExt=.jpg
"""
FRAMES = "2,1,0,0,9,9,1\n5,1,0,0,9,9,1\n3,2,0,0,9,9,1\n"


def write(folder: Path, content: str | bytes, name: str = "rows.txt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def draw(path: Path, width: int = 32, height: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


# Rows


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("0,-1,10,20,30,40,1", "frames count from 1"),
        ("-3,-1,10,20,30,40,1", "frames count from 1"),
        ("1.5,-1,10,20,30,40,1", "the frame is not an integer"),
        ("1,2.5,10,20,30,40,1", "the id is not an integer"),
        ("1,-1,10,20,-30,40,1", "the width or height is negative"),
        ("1,-1,10,20,30,-0.1,1", "the width or height is negative"),
        ("1,-1,nan,20,30,40,1", "a number is not finite"),
        ("nan,-1,10,20,30,40,1", "a number is not finite"),
        ("1,-1,10,20,inf,40,1", "a number is not finite"),
        ("1,-1,inf,-inf,30,40,1", "a number is not finite"),
        ("1,-1,10,20,30,40,nan", "a number is not finite"),
        ("1,-1,10,20,30,40,1,nan,1", ""),
        ("1,-1,10,20,30,40,1,inf,1", ""),
        ("1,-1,10,20,30,40,1,1,nan", ""),
        ("1e300,-1,10,20,30,40,1", ""),
        ("1,1e300,10,20,30,40,1", ""),
        ("1,-1,1e300,20,30,40,1", ""),
        ("1,-1,1e308,1e308,1e308,40,1", ""),
        ("1,-1,10,20,30,40,1e300", ""),
        ("1,-1,10,20,30,40,1,1e300", ""),
        ("1,-1,x,20,30,40,1", "'x' is not a number"),
        ("1,-1,10,20,30", "5 columns"),
    ],
)
@pytest.mark.parametrize("read", [read_detections, read_tracks])
def test_a_bad_row_is_rejected_with_its_line(tmp_path, read, bad, fault) -> None:
    path = write(tmp_path, f"{GOOD}\n\n{GOOD}\n{bad}\n{GOOD}\n")
    with pytest.raises(MotError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:4: ")
    assert fault in str(caught.value)


@pytest.mark.parametrize("content", [b"\x00\xff\xfe" * 50, b"\x89PNG\r\n\x1a\n", b"PK\x03\x04,1,2"])
@pytest.mark.parametrize("read", [read_detections, read_tracks])
def test_other_file_types_are_rejected(tmp_path, read, content) -> None:
    path = write(tmp_path, content)
    with pytest.raises(MotError, match=r"rows\.txt:1: "):
        read(path)


@pytest.mark.parametrize("read", [read_detections, read_tracks])
def test_an_empty_file_has_no_rows(tmp_path, read) -> None:
    assert read(write(tmp_path, "")) == {}


cells = st.one_of(
    st.floats(width=32),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e18, 1e19, -1e19, 1e38, 1e39]),
)


@given(rows=st.lists(st.lists(cells, min_size=6, max_size=10), min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_any_numbers_are_read_or_rejected(tmp_path_factory, rows) -> None:
    text = "\n".join(",".join(map(repr, [1.0, *row[1:]])) for row in rows)
    path = write(tmp_path_factory.getbasetemp(), text)
    for read in (read_detections, read_tracks):
        try:
            assert sum(map(len, read(path).values())) == len(rows)
        except MotError as error:
            assert str(error).startswith(f"{path}:")


def test_rows_keep_order_and_values_of_the_file(tmp_path) -> None:
    rows = read_mot_rows(
        write(tmp_path, "7,3,1,2,3,4,0.5,1,0.25\n2,1,5,6,7,8,1,7,1\n7,4,0,0,1,1,0,2,0")
    )
    assert rows.frames.tolist() == [7, 2, 7]
    assert rows.ids.tolist() == [3, 1, 4]
    assert rows.xywh.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 1, 1]]
    assert rows.scores.tolist() == [0.5, 1, 0]
    assert rows.classes.tolist() == [1, 7, 2]
    assert rows.visibility.tolist() == [0.25, 1, 0]
    assert rows.last_frame == 7
    assert [(frame, index.tolist()) for frame, index in rows.by_frame()] == [(2, [1]), (7, [0, 2])]


def test_unsorted_frames_keep_the_order_of_their_rows(tmp_path) -> None:
    frames = np.random.default_rng(1).integers(1, 9, 3000).tolist()
    text = "".join(f"{frame},{number},0,0,5,5,1\n" for number, frame in enumerate(frames, 1))
    found = read_tracks(write(tmp_path, text))
    assert list(found) == [*range(1, 9)]
    for frame, tracks in found.items():
        assert tracks.ids.tolist() == [n for n, one in enumerate(frames, 1) if one == frame]


@pytest.mark.parametrize("end", ["", ",", " ", ", "])
def test_missing_columns_have_their_defaults(tmp_path, end) -> None:
    rows = read_mot_rows(write(tmp_path, f"1,-1,1,2,3,4{end}\n2,-1,1,2,3,4{end}\n"))
    assert rows.scores.tolist() == [1, 1]
    assert rows.classes.tolist() == rows.visibility.tolist() == [-1, -1]


def test_detections_by_frame_in_file_order(tmp_path) -> None:
    path = write(tmp_path, "3,-1,10,20,5,6,0.5\n1,-1,1,2,3,4,0.75\n3,-1,0,0,0,0,2.5\n")
    found = read_detections(path)
    assert sorted(found) == [1, 3]
    assert found[3].boxes.tolist() == [[10, 20, 15, 26], [0, 0, 0, 0]]
    assert found[3].scores.tolist() == [0.5, 2.5]
    assert found[3].labels.tolist() == [0, 0]
    assert found[1].boxes.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["-1", "-1"], [1, 1]),
        (["-1", "0.5"], [-1, 0.5]),
        (["0", "0"], [0, 0]),
        (["-0.5", "2.25"], [-0.5, 2.25]),
    ],
)
def test_missing_confidences_are_one(tmp_path, written, read) -> None:
    path = write(tmp_path, "".join(f"1,-1,0,0,5,5,{score},-1,-1,-1\n" for score in written))
    assert read_detections(path)[1].scores.tolist() == read


@pytest.mark.parametrize(
    ("written", "read"), [(["1", "3"], [1, 3]), (["-1", "-1"], [0, 0]), (["1", "-1"], [0, 0])]
)
def test_classes_are_labels_if_every_row_has_one(tmp_path, written, read) -> None:
    path = write(tmp_path, "".join(f"1,-1,0,0,5,5,1,{label}\n" for label in written))
    assert read_detections(path)[1].labels.tolist() == read


def test_embeddings_stay_with_their_rows(tmp_path) -> None:
    path = write(tmp_path, "2,-1,0,0,5,5,1\n1,-1,0,0,5,5,1\n2,-1,1,1,5,5,1\n")
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = detections_by_frame(read_mot_rows(path), vectors)
    assert found[2].embeddings.tolist() == [[0, 1], [4, 5]]
    assert found[1].embeddings.tolist() == [[2, 3]]


def test_tracks_of_results_and_ground_truth(tmp_path) -> None:
    found = read_tracks(write(tmp_path, "2,7,1,2,3,4,0.5,-1,-1,-1\n2,9,0,0,1,1,1,3,1\n"))
    assert found[2].ids.tolist() == [7, 9]
    assert found[2].boxes.tolist() == [[1, 2, 4, 6], [0, 0, 1, 1]]
    assert found[2].scores.tolist() == [0.5, 1]
    assert found[2].labels.tolist() == [0, 3]


def test_rows_from_an_array() -> None:
    rows = mot_rows_from_array([[2, 7, 1, 2, 3, 4, 0.5], [1, 8, 0, 0, 1, 1, 1]])
    assert (rows.frames.tolist(), rows.ids.tolist()) == ([2, 1], [7, 8])
    assert rows.scores.tolist() == [0.5, 1] and rows.classes.tolist() == [-1, -1]
    assert len(mot_rows_from_array([])) == 0


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        ([[1, 2, 3, 4, 5]], r"gt: MOT rows .* not \(1, 5\)"),
        ([1, 1, 0, 0, 9, 9], r"not \(6,\)"),
        ([[1, 1, 0, 0, 9, 9], [0, 1, 0, 0, 9, 9]], "gt: row 1: frames count from 1"),
        ([[1, 1, 0, 0, np.nan, 9]], "gt: row 0: a number is not finite"),
    ],
)
def test_bad_arrays_are_rejected(array, fault) -> None:
    with pytest.raises(MotError, match=fault):
        mot_rows_from_array(array, "gt")


eighths = st.integers(-8000, 80000).map(lambda value: value / 8)


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 10**6), eighths, eighths, st.floats(0, 500), st.floats(0, 1)),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=100)
def test_formatted_rows_are_read_back(tmp_path_factory, rows) -> None:
    ids = [row[0] for row in rows]
    boxes = np.array([[x, y, x + size, y + size / 2] for _, x, y, size, _ in rows])
    boxes = boxes.reshape(-1, 4)
    scores = [row[4] for row in rows]
    path = write(tmp_path_factory.getbasetemp(), format_mot_rows(12, ids, boxes, scores))
    found = read_tracks(path)
    if not rows:
        assert found == {}
        return
    assert list(found) == [12]
    assert found[12].ids.tolist() == ids
    np.testing.assert_allclose(found[12].boxes, boxes, atol=0.0151)
    np.testing.assert_allclose(found[12].scores, scores, rtol=1e-3, atol=1e-9)


def test_formatted_rows_are_mot_text() -> None:
    boxes = np.array([[1.25, 2, 11.5, 22.125], [0, 0, 1, 1]], np.float32)
    assert format_mot_rows(3, [1, 12], boxes, [0.5, 1]) == (
        "3,1,1.25,2.00,10.25,20.12,0.5,-1,-1,-1\n3,12,0.00,0.00,1.00,1.00,1,-1,-1,-1\n"
    )
    assert format_mot_rows(3, [], boxes[:0], []) == ""


# Folders

LAYOUTS = {
    "MOT15": ["train/TUD-Campus", "train/ADL-Rundle-6", "test/Venice-1"],
    "MOT16": ["train/MOT16-02", "train/MOT16-04", "test/MOT16-01"],
    "MOT17": [
        f"{split}/MOT17-{number}-{detector}"
        for split, number in (("train", "02"), ("test", "01"))
        for detector in ("DPM", "FRCNN", "SDP")
    ],
    "MOT20": ["train/MOT20-01", "test/MOT20-04"],
    "DanceTrack": ["train/dancetrack0001", "val/dancetrack0004", "test/dancetrack0003"],
    "without train": ["MOT17-05", "MOT17-10"],
}


@pytest.mark.parametrize("folders", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("images", [True, False])
def test_datasets_are_found(tmp_path, folders, images) -> None:
    for relative in folders:
        folder = tmp_path / relative
        write(folder, SEQINFO, "seqinfo.ini")
        write(folder, GOOD, "det/det.txt")
        if not relative.startswith("test"):
            write(folder, "1,1,0,0,9,9,1,1,1", "gt/gt.txt")
        if images:
            draw(folder / "img1" / "000001.jpg")
    write(tmp_path, "not a sequence", "train/readme.txt")
    (tmp_path / "train" / "empty").mkdir(exist_ok=True)
    found = {sequence.name: sequence for sequence in find_sequences(tmp_path)}
    assert sorted(found) == sorted(Path(relative).name for relative in folders)
    for relative in folders:
        sequence = found[Path(relative).name]
        assert (sequence.fps, sequence.length, sequence.size) == (14, 837, (640, 480))
        assert (sequence.ground_truth is None) == relative.startswith("test")
        assert (sequence.images is not None) == images
        assert sequence.detections == {"det": tmp_path / relative / "det" / "det.txt"}
        assert sequence.detections["det"].read_text() == GOOD


@pytest.mark.parametrize("folder", ["train/MOT17-02", "MOT17-02"])
def test_a_single_sequence_folder_is_found(tmp_path, folder) -> None:
    write(tmp_path / folder, SEQINFO, "seqinfo.ini")
    assert [sequence.name for sequence in find_sequences(tmp_path / folder)] == ["MOT17-02"]


def test_real_sequences_are_found(shared) -> None:
    found = find_sequences(shared / "data" / "mot17")
    assert [sequence.name for sequence in found] == [f"MOT17-{n}" for n in ("02", "05", "10", "13")]
    assert all(set(s.detections) == {"DPM", "FRCNN", "SDP", "yolox_x_ablation"} for s in found)
    assert [(s.length, s.fps, s.size) for s in found[:2]] == [
        (600, 30, (1920, 1080)),
        (837, 14, (640, 480)),
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("folder", ["img1", "."])
def test_without_seqinfo_length_and_size_come_from_images(tmp_path, suffix, folder) -> None:
    home = tmp_path / "street"
    for number in (1, 2, 10):
        draw(home / folder / f"{number}.{suffix}", 64, 48)
    write(home, FRAMES, "gt/gt.txt")
    sequence = read_sequence(home)
    assert (sequence.name, sequence.fps) == ("street", 30)
    assert (sequence.length, sequence.size) == (10, (64, 48))  # the last image is number 10
    assert sequence.images is not None
    assert [path.stem for path in list_images(sequence.images)] == ["1", "2", "10"]


@pytest.mark.parametrize("file", ["gt/gt.txt", "det/FRCNN.txt"])
def test_without_images_the_length_comes_from_rows(tmp_path, file) -> None:
    write(tmp_path, FRAMES, file)
    sequence = read_sequence(tmp_path)
    assert (sequence.length, sequence.size, sequence.images) == (5, None, None)


@pytest.mark.parametrize(
    "content",
    [
        SEQINFO.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + SEQINFO.encode(),
        SEQINFO.replace("=", " = ").encode(),
        SEQINFO.replace("name=any", "name=100%s").encode(),
        SEQINFO.replace("frameRate", "FRAMERATE").encode(),
        b"\n\n" + SEQINFO.encode(),
    ],
)
def test_seqinfo_as_other_tools_write_it(tmp_path, content) -> None:
    write(tmp_path, content, "seqinfo.ini")
    sequence = read_sequence(tmp_path)
    assert (sequence.fps, sequence.length, sequence.size) == (14, 837, (640, 480))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ""),
        (b"name=x\nframeRate=30\n", ":1: the first line must be [Sequence]"),
        (b"[Sequence]\nwhat is this\n", ":2: "),
        (b"[Other]\na=1\n", ""),
        (b"[Sequence]\nname=a\nname=b\n", ""),
        (b"\x00\xff\xfe\x81" * 9, ""),
        (b"\xff\xfe[\x00S\x00", ""),
        (SEQINFO.replace("14", "fast").encode(), "frameRate=fast is not a positive number"),
        (SEQINFO.replace("14", "0").encode(), "frameRate=0 is not a positive number"),
        (SEQINFO.replace("837", "-1").encode(), "seqLength=-1 is not a positive number"),
        (SEQINFO.replace("837", "nan").encode(), "seqLength=nan is not a positive number"),
        (SEQINFO.replace("640", "inf").encode(), "imWidth=inf is not a positive number"),
    ],
)
def test_a_broken_seqinfo_is_rejected_in_one_line(tmp_path, content, fault) -> None:
    path = write(tmp_path, content, "seqinfo.ini")
    with pytest.raises(MotError) as caught:
        read_sequence(tmp_path)
    assert str(caught.value).startswith(f"{path}:")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(640, 480), None])
@pytest.mark.parametrize("length", [837, 0])
def test_seqinfo_is_read_back(tmp_path, size, length) -> None:
    given_sequence = Sequence("street", tmp_path, 12.5, length, size, None, None)
    write_seqinfo(tmp_path / "seqinfo.ini", given_sequence)
    found = read_sequence(tmp_path)
    assert (found.fps, found.length, found.size) == (12.5, length, size)


@pytest.mark.parametrize("make", [None, Path.mkdir, Path.touch], ids=["missing", "empty", "file"])
def test_a_folder_without_sequences_is_rejected(tmp_path, make) -> None:
    root = tmp_path / "nowhere"
    if make:
        make(root)
    with pytest.raises(MotError, match=r"nowhere: no (such folder|sequence in it)"):
        find_sequences(root)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("MOT17-02-FRCNN", "MOT17-02"),
        ("MOT17-02-DPM", "MOT17-02"),
        ("MOT17-02-SDP", "MOT17-02"),
        ("MOT17-02", "MOT17-02"),
        ("SDP", "SDP"),
        ("-SDP", "-SDP"),
        ("TUD-Campus", "TUD-Campus"),
    ],
)
def test_base_names_lack_the_detector_suffix(name, base) -> None:
    assert base_name(name) == base


def test_natural_order() -> None:
    names = ["1.jpg", "2.jpg", "10.jpg", "a2.jpg", "a10.jpg", "a010b.jpg", "1²2.jpg", "٣.jpg", ""]
    for one, other in itertools.permutations(names, 2):
        assert (natural_key(one) < natural_key(other)) != (natural_key(other) < natural_key(one))
    assert sorted(reversed(names[:5]), key=natural_key) == names[:5]


# Image sizes


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_size_from_the_header(tmp_path, suffix) -> None:
    draw(tmp_path / f"a.{suffix}", 321, 123)
    assert image_size(tmp_path / f"a.{suffix}") == (321, 123)


def test_size_of_real_images(shared) -> None:
    path = shared / "data" / "mot17" / "MOT17-05" / "img1" / "000001.jpg"
    assert image_size(path) == (640, 480)


@given(st.sampled_from([b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0"]), st.binary(max_size=40))
@settings(deadline=None, max_examples=200)
def test_broken_headers_do_not_raise(tmp_path_factory, start, rest) -> None:
    size = image_size(write(tmp_path_factory.getbasetemp(), start + rest, "broken.jpg"))
    assert size is None or (len(size) == 2 and min(size) >= 0)
    if not start:
        assert image_size(write(tmp_path_factory.getbasetemp(), b"text" + rest, "a.webp")) is None
