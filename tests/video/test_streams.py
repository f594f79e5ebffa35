"""What a user may name, and where its detections are looked up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mot.errors import MotError
from mot.motfile import read_sequence
from mot.opencv import cv2
from mot.types import Frame
from mot.video import open_writer
from mot.video.sources import FrameRange
from mot.video.streams import StreamSource, detections_file, find_streams

ROW = "1,-1,0,0,9,9,1\n"
SEQINFO = "[Sequence]\nname=x\nimDir=img1\nframeRate=10\nseqLength=4\nimWidth=32\nimHeight=24\n"


def touch(*paths: Path, content: str = "") -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def picture(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8))


def jobs_of(*sources: object, window: FrameRange | None = None) -> list[StreamSource]:
    return find_streams(tuple(map(str, sources)), window or FrameRange())


def file_names(*sources: object) -> list[str]:
    return [job.name for job in jobs_of(*sources)]


def sequence_job(folder: Path, *detections: str) -> StreamSource:
    touch(folder / "seqinfo.ini", content=SEQINFO)
    touch(*(folder / "det" / f"{name}.txt" for name in detections), content=ROW)
    return jobs_of(folder)[0]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("-", "stdin"),
        ("0", "camera0"),
        ("12", "camera12"),
        ("missing/street.mp4", "street"),
        ("my.long.name.mp4", "my.long.name"),
        ("https://example.org/videos/street.mp4?key=1", "street"),
        ("rtsp://example.org/stream1", "stream1"),
    ],
)
def test_names_of_results(source, name) -> None:
    assert file_names(source) == [name]


@pytest.mark.parametrize(
    "source",
    ["rtsp://anna:secret@example.org", "rtsp://anna:secret@example.org/live", "rtsp://a:secret@h/"],
)
def test_a_password_is_not_in_the_name(source) -> None:
    (name,) = file_names(source)
    assert name
    assert "secret" not in name


def test_a_glob_of_videos_is_a_job_each(tmp_path) -> None:
    touch(tmp_path / "b.mp4", tmp_path / "a.MP4", tmp_path / "c.txt")
    assert file_names(tmp_path / "*.[mM][pP]4") == ["a", "b"]


def test_a_recursive_glob_of_videos(tmp_path) -> None:
    touch(tmp_path / "x" / "a.mp4", tmp_path / "y" / "z" / "b.mp4")
    assert file_names(tmp_path / "**" / "*.mp4") == ["a", "b"]


@pytest.mark.parametrize("names", [["clip [1].mp4", "clip [2].mp4"], ["what?.mp4", "all*.mp4"]])
@pytest.mark.parametrize("how", ["glob", "folder", "files"])
def test_names_with_the_letters_of_patterns(tmp_path, names, how) -> None:
    paths = [tmp_path / name for name in names]
    touch(*paths)
    sources = {"glob": [tmp_path / "*.mp4"], "folder": [tmp_path], "files": paths}[how]
    assert sorted(file_names(*sources)) == sorted(path.stem for path in paths)


def test_a_folder_of_videos_is_a_job_each(tmp_path) -> None:
    touch(tmp_path / "b.mkv", tmp_path / "a.mp4", tmp_path / "notes.txt")
    assert file_names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("name", ["walk", "2024.05.01"])
@pytest.mark.parametrize("pattern", ["", "*.png"])
def test_a_folder_of_pictures_is_one_job_with_its_name(tmp_path, name, pattern) -> None:
    picture(tmp_path / name / "1.png", tmp_path / name / "2.png")
    (job,) = jobs_of(tmp_path / name / pattern)
    assert job.name == name
    assert job.has_images
    with job.open(True) as source:
        assert [frame.index for frame in source] == [1, 2]


def test_two_folders_of_one_stem_are_two(tmp_path) -> None:
    picture(tmp_path / "cam.1" / "1.png", tmp_path / "cam.2" / "1.png")
    assert file_names(tmp_path / "cam.1", tmp_path / "cam.2") == ["cam.1", "cam.2"]


def test_two_sources_of_one_name_are_refused(tmp_path) -> None:
    with pytest.raises(MotError, match="two sources are called 'a'"):
        jobs_of(tmp_path / "x" / "a.mp4", tmp_path / "y" / "a.mp4")


def test_a_data_set_is_a_job_for_each_sequence(tmp_path) -> None:
    for name in ("MOT17-02-SDP", "MOT17-02-DPM"):
        sequence_job(tmp_path / "train" / name, "det")
    found = jobs_of(tmp_path)
    assert [job.name for job in found] == ["MOT17-02-DPM", "MOT17-02-SDP"]
    assert [job.has_images for job in found] == [False, False]


def test_a_sequence_is_one_job_though_pictures_and_videos_lie_in_it(tmp_path) -> None:
    home = tmp_path / "PETS"
    touch(home / "PETS.mp4")
    picture(home / "img1" / "000001.png")
    job = sequence_job(home, "det")
    assert job.sequence == read_sequence(home)
    assert job.has_images


@pytest.mark.parametrize("make", [Path.mkdir, None], ids=["empty folder", "missing"])
def test_nothing_to_track_is_named(tmp_path, make) -> None:
    path = tmp_path / "nothing"
    if make:
        make(path)
    with pytest.raises(MotError, match="nothing"):
        for job in jobs_of(path):
            job.open(True)


@pytest.mark.parametrize(
    ("window", "indices"),
    [
        (FrameRange(), [1, 2, 3, 4]),
        (FrameRange(every=2), [1, 3]),
        (FrameRange(start=0.1), [2, 3, 4]),
        (FrameRange(end=0.2), [1, 2]),
        (FrameRange(start=0.1, end=0.3, every=2), [3]),
    ],
)
@pytest.mark.parametrize("with_images", [True, False])
def test_every_frame_of_a_sequence_comes_those_without_a_picture_too(
    tmp_path, window, indices, with_images
) -> None:
    home = tmp_path / "walk"
    picture(home / "img1" / "000002.png", home / "img1" / "000003.png")
    touch(home / "seqinfo.ini", content=SEQINFO)
    (job,) = jobs_of(home, window=window)
    with job.open(with_images) as source:
        assert source.expected == len(indices)
        frames = list(source)
    assert [frame.index for frame in frames] == indices
    assert [frame.time for frame in frames] == pytest.approx([(i - 1) / 10 for i in indices])
    seen = [frame.index for frame in frames if frame.image is not None]
    assert seen == [index for index in indices if with_images and index in (2, 3)]


@pytest.mark.parametrize("seqinfo", [True, False])
@pytest.mark.parametrize("images", ["img1", "."])
def test_pictures_of_a_sequence_are_found_wherever_they_lie(tmp_path, seqinfo, images) -> None:
    home = tmp_path / "walk"
    picture(*(home / images / f"00000{number}.png" for number in range(1, 5)))
    touch(home / "det" / "det.txt", content=ROW)
    if seqinfo:
        touch(home / "seqinfo.ini", content=SEQINFO)
    (job,) = jobs_of(home)
    with job.open(True) as source:
        assert [(f.index, f.image is not None) for f in source] == [(i, True) for i in range(1, 5)]


def film(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(path, fps=10) as writer:
        for index in range(1, frames + 1):
            writer.write(Frame(np.zeros((24, 32, 3), np.uint8), index, (index - 1) / 10))


@pytest.mark.parametrize(("frames", "seen"), [(6, 4), (3, 3)], ids=["goes on", "ends early"])
@pytest.mark.parametrize("name", ["walk-SDP.mp4", "walk.mkv"])
def test_a_video_of_its_name_shows_a_sequence(tmp_path, name, frames, seen) -> None:
    home = tmp_path / "walk-SDP"
    film(home / name, frames)
    job = sequence_job(home, "det")
    assert job.has_images
    with job.open(True) as source:
        shown = [frame.image is not None for frame in source]
    assert shown == [True] * seen + [False] * (4 - seen)
    with job.open(False) as source:
        assert [frame.image for frame in source] == [None] * 4


def test_a_video_tells_how_long_a_sequence_is_that_does_not_say(tmp_path) -> None:
    home = tmp_path / "walk"
    film(home / "walk.mp4", 6)
    touch(home / "seqinfo.ini", content="[Sequence]\nframeRate=10\n")
    (job,) = jobs_of(home)
    with job.open(True) as source:
        assert (source.expected, len(list(source))) == (6, 6)


def test_another_video_in_a_sequence_is_not_taken_for_it(tmp_path) -> None:
    film(tmp_path / "walk" / "first30.mp4", 2)
    assert not sequence_job(tmp_path / "walk", "det").has_images


# Detections


@pytest.mark.parametrize(
    ("own", "wanted", "chosen"),
    [
        (["det"], None, "det"),
        (["FRCNN"], None, "FRCNN"),
        (["DPM", "det"], None, "det"),
        (["DPM", "FRCNN"], "FRCNN", "FRCNN"),
        (["DPM", "FRCNN"], "DPM", "DPM"),
    ],
)
def test_the_detections_of_a_sequence(tmp_path, own, wanted, chosen) -> None:
    home = tmp_path / "MOT17-02"
    job = sequence_job(home, *own)
    assert detections_file(job, wanted) == home / "det" / f"{chosen}.txt"


@pytest.mark.parametrize(
    ("own", "wanted", "fault"),
    [
        (["DPM", "FRCNN"], None, "MOT17-02: choose with --detections one of DPM, FRCNN"),
        (["DPM", "FRCNN"], "FRCN", "did you mean 'FRCNN'?"),
        (["DPM", "FRCNN"], "@", "known: DPM, FRCNN"),
        ([], "FRCNN", "FRCNN: no such detections file or folder"),
    ],
)
def test_detections_that_are_not_there_are_named(tmp_path, own, wanted, fault) -> None:
    job = sequence_job(tmp_path / "MOT17-02", *own)
    with pytest.raises(MotError) as caught:
        detections_file(job, wanted)
    assert fault in str(caught.value)


def test_without_detections_a_detector_must_look() -> None:
    assert detections_file(jobs_of("street.mp4")[0], None) is None


def test_a_named_file_wins(tmp_path) -> None:
    path = tmp_path / "mine.txt"
    touch(path, content=ROW)
    for job in (sequence_job(tmp_path / "MOT17-02", "det"), *jobs_of("street.mp4")):
        assert detections_file(job, str(path)) == path


@pytest.mark.parametrize("file", ["MOT17-02-FRCNN.txt", "MOT17-02.txt"])
def test_a_folder_of_detections_is_searched_by_name(tmp_path, file) -> None:
    job = sequence_job(tmp_path / "MOT17-02-FRCNN", "det")
    touch(tmp_path / "dets" / file, tmp_path / "dets" / "MOT17-04.txt", content=ROW)
    assert detections_file(job, str(tmp_path / "dets")) == tmp_path / "dets" / file


def test_the_full_name_comes_before_the_base(tmp_path) -> None:
    job, dets = sequence_job(tmp_path / "MOT17-02-FRCNN", "det"), tmp_path / "dets"
    touch(dets / "MOT17-02.txt", dets / "MOT17-02-FRCNN.txt")
    assert detections_file(job, str(dets)) == dets / "MOT17-02-FRCNN.txt"


def test_a_folder_without_these_detections_is_named(tmp_path) -> None:
    (job,) = jobs_of("street.mp4")
    with pytest.raises(MotError, match=r"no street\.txt in it, the detections of street"):
        detections_file(job, str(tmp_path))
