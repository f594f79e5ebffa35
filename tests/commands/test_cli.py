"""The commands as a person types them: results, one-line errors, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from support.cli import (
    complaint,
    final_files,
    mot,
)

from mot.camera_motion import METHODS
from mot.cli import cli, flags
from mot.formats.track_text import FORMATS
from mot.motfile import read_mot_rows
from mot.synthetic import SCENES
from mot.trackers.postprocess import STEPS

track_flags, synth_flags = (sys.modules[f"mot.cli.{verb}"] for verb in ("track", "synth"))

FRAMES = 40


def decoded_frames(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a sequence `crowd` and a video `clip.mp4` of the same world."""
    folder = tmp_path_factory.mktemp("world")
    flags = ("--scene", "crowd", "--seed", 3, "--frames", FRAMES, "--size", "320x240", "-q")
    assert mot("synth", *flags, "-o", folder / "crowd") == 0
    assert mot("synth", *flags, "-o", folder / "clip.mp4") == 0
    return folder


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_synth_is_the_same_twice(world, tmp_path):
    flags = ("--scene", "crowd", "--seed", 3, "--frames", FRAMES, "--size", "320x240", "-q")
    assert mot("synth", *flags, "-o", tmp_path / "again") == 0
    files = sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*.*"))
    assert len(files) == FRAMES + 4
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (world / "crowd" / file).read_bytes()


def test_synth_sequence_has_truth_detections_and_embeddings(world):
    truth = read_mot_rows(world / "crowd/gt/gt.txt")
    detections = read_mot_rows(world / "crowd/det/det.txt")
    assert truth.last_frame == FRAMES
    assert len(np.unique(truth.ids)) > 5
    assert np.load(world / "crowd/det/embeddings.npy").shape == (len(detections), 64)


def test_track_a_video_with_detections(world, tmp_path):
    assert mot("track", world / "clip.mp4", "--detections", world / "clip.det.txt", "-q") == 0
    folder = tmp_path / "runs/track/clip"
    assert final_files(folder) == ["clip.mp4", "clip.txt", "run.json"]
    assert decoded_frames(folder / "clip.mp4") == FRAMES
    rows = read_mot_rows(folder / "clip.txt")
    assert rows.ids.min() == 1
    assert len(np.unique(rows.ids)) > 5
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["tracker_settings"]["track_buffer"] == 1.5
    assert record["sources"][0]["frames"] == FRAMES
    assert {"python", "numpy"} <= set(record["versions"])


def test_track_a_sequence_without_pictures(world, tmp_path, capsys):
    bare = tmp_path / "bare"
    (bare / "det").mkdir(parents=True)
    (bare / "det/det.txt").write_bytes((world / "crowd/det/det.txt").read_bytes())
    assert mot("track", bare, "-o", "out") == 0
    assert final_files(tmp_path / "out") == ["bare.txt", "run.json"]
    assert "no video is written" in capsys.readouterr().err


def test_sequence_and_video_give_the_same_tracks(world, tmp_path):
    assert mot("track", world / "crowd", "--no-video", "-q", "-o", "a") == 0
    detections = ("--detections", world / "clip.det.txt")
    assert mot("track", world / "clip.mp4", *detections, "--no-video", "-q", "-o", "b") == 0
    assert (tmp_path / "a/crowd.txt").read_text() == (tmp_path / "b/clip.txt").read_text()


def test_several_sequences_start_their_ids_afresh(world, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "set/train").mkdir(parents=True, exist_ok=True)
        os.symlink(world / "crowd", tmp_path / "set/train" / name)
    assert mot("track", "set", "--no-video", "-q", "-o", "out") == 0
    assert (tmp_path / "out/one.txt").read_text() == (tmp_path / "out/two.txt").read_text()


def test_two_runs_share_a_folder(world, tmp_path):
    for name in ("one", "two"):
        os.symlink(world / "crowd", tmp_path / name)
        assert mot("track", name, "--no-video", "-q", "-o", "out") == 0
    assert final_files(tmp_path / "out") == ["one.txt", "run.json", "two.txt"]
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["sources"][0]["name"] == "two"
    assert record["earlier"][0]["sources"][0]["name"] == "one"


def test_a_glob_of_videos(world, tmp_path):
    for name in ("one", "two"):
        os.symlink(world / "clip.mp4", tmp_path / f"{name}.mp4")
    (tmp_path / "det").mkdir()
    for name in ("one", "two"):
        os.symlink(world / "clip.det.txt", tmp_path / f"det/{name}.txt")
    assert mot("track", "*.mp4", "--detections", "det", "--no-video", "-q", "-o", "out") == 0
    assert final_files(tmp_path / "out") == ["one.txt", "run.json", "two.txt"]


def test_formats_and_json_lines_to_stdout(world, tmp_path, capsys):
    assert (
        mot("track", world / "crowd", "--no-video", "--format", "csv,jsonl", "-q", "-o", "o") == 0
    )
    assert final_files(tmp_path / "o") == ["crowd.csv", "crowd.jsonl", "run.json"]
    capsys.readouterr()
    assert mot("track", world / "crowd", "-q", "-o", "-") == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "o/crowd.jsonl").read_text()
    assert [json.loads(line)["frame"] for line in printed.splitlines()] == [*range(1, FRAMES + 1)]


def test_every_start_end_keep_the_numbers_of_the_source(world, tmp_path, capsys):
    flags = ("--every", 3, "--start", "0.3", "--end", "1.0", "-q", "-o", "-")
    assert mot("track", world / "crowd", *flags) == 0
    printed = capsys.readouterr().out
    assert [json.loads(line)["frame"] for line in printed.splitlines()] == [*range(10, 31, 3)]


def test_conf_and_classes_leave_detections_out(world, tmp_path):
    for name, words in {"all": (), "sure": ("--conf", 0.8), "cars": ("--classes", 2)}.items():
        assert mot("track", world / "crowd", "--no-video", "-q", *words, "-o", name) == 0
    rows = [len(read_mot_rows(tmp_path / name / "crowd.txt")) for name in ("all", "sure", "cars")]
    assert rows[0] > rows[1] > rows[2] == 0


def test_settings_reach_the_tracker(world, tmp_path):
    words = ("track", world / "crowd", "--tracker", "sort", "--no-video", "-q")
    assert mot(*words, "-o", "a") == 0
    assert mot(*words, "--set", "tracker.min_hits=0", "-o", "b") == 0
    few, more = (len(read_mot_rows(tmp_path / name / "crowd.txt")) for name in "ab")
    assert more > few


def test_settings_reach_the_detector_and_the_tracker(world, tmp_path):
    words = ("track", world / "clip.mp4", "--no-video", "-q", "--set", "tracker.trust=0.5")
    words = (*words, "--detector", "motion")
    assert mot(*words, "-o", "a") == 0
    assert mot(*words, "--set", "detector.min_height=0.9", "-o", "b") == 0
    many, none = (len(read_mot_rows(tmp_path / name / "clip.txt")) for name in "ab")
    assert many > none == 0


def test_embeddings_reach_the_tracker_that_looks_at_them(world, tmp_path, capsys):
    words = ("track", world / "crowd", "--no-video", "--detections", "det")
    look = ("--embeddings", world / "crowd/det/embeddings.npy")
    assert mot(*words, *look, "--tracker", "deepsort", "-q", "-o", "deep") == 0
    assert len(read_mot_rows(tmp_path / "deep/crowd.txt")) > 100
    assert mot(*words, *look, "--tracker", "sort", "-o", "sort") == 0
    assert "sort does not use embeddings" in capsys.readouterr().err
    words += ("--tracker", "deepsort", "--embedder", "none")
    assert "needs the embeddings" in complaint(capsys, *words, "-o", "x")


def test_camera_motion_is_seen_or_read(world, tmp_path):
    still = "".join(f"{frame} 1 0 0 0 1 0\n" for frame in range(FRAMES))
    (tmp_path / "still.txt").write_text(still)
    for camera in ("flow", "still.txt"):
        words = ("track", world / "crowd", "--no-video", "-q", "--camera", camera)
        assert mot(*words, "-o", f"by {camera}") == 0
    rows = [
        len(read_mot_rows(tmp_path / f"by {camera}/crowd.txt")) for camera in ("flow", "still.txt")
    ]
    assert rows[0] == pytest.approx(rows[1], rel=0.1)  # this camera does stand still


def test_a_camera_file_that_ends_early_is_said(world, tmp_path, capsys):
    (tmp_path / "short.txt").write_text("0 1 0 0 0 1 0\n")
    assert mot("track", world / "crowd", "--no-video", "--camera", "short.txt", "-o", "out") == 0
    assert f"unknown in {FRAMES - 1} frames" in capsys.readouterr().err


def test_mended_tracks_fill_gaps_in_the_text_and_in_the_video(world, tmp_path):
    words = ("track", world / "clip.mp4", "--detections", world / "clip.det.txt", "-q")
    assert mot(*words, "-o", "plain") == 0
    assert mot(*words, "--post", "linear,gsi,merge", "-o", "mended") == 0
    plain, mended = (read_mot_rows(tmp_path / name / "clip.txt") for name in ("plain", "mended"))
    assert len(mended) > len(plain)
    assert decoded_frames(tmp_path / "mended/clip.mp4") == FRAMES


def test_explain_names_the_candidates(world, capsys):
    words = ("explain", world / "crowd", "--frame", 20, "--id", 1)
    assert mot(*words) == 0
    printed = capsys.readouterr().out
    assert "high scores: limit 0.9" in printed
    assert "chosen" in printed
    assert "is not alive in frame 20" in complaint(capsys, *words[:-1], 999)
    assert "has no frame" in complaint(
        capsys, "explain", world / "crowd", "--frame", 999, "--id", 1
    )


def test_a_broken_source_among_several_is_told_before_the_work(world, tmp_path, capsys):
    os.symlink(world / "clip.mp4", tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("no video")
    assert "b.mp4" in complaint(capsys, "track", "*.mp4", "-q", "-o", "out")
    assert not (tmp_path / "out").exists()


def test_what_is_read_is_never_replaced(world, tmp_path, capsys):
    video = (world / "clip.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(video)
    words = ("track", "clip.mp4", "--detections", world / "clip.det.txt", "-o", ".", "--overwrite")
    assert "clip.mp4: is an input too" in complaint(capsys, *words)
    assert (tmp_path / "clip.mp4").read_bytes() == video
    (tmp_path / "v.gt.txt").write_text("mine")
    assert "v.gt.txt: exists" in complaint(capsys, "synth", "--frames", 2, "-o", "v.mp4")
    assert (tmp_path / "v.gt.txt").read_text() == "mine"


def test_pictures_of_an_earlier_render_are_replaced_when_asked(world, tmp_path, capsys):
    words = ("render", world / "crowd", world / "clip.det.txt", "-q", "-o", "pictures")
    assert mot(*words) == 0
    assert mot(*words, "--overwrite") == 0
    (tmp_path / "pictures/notes.txt").write_text("mine")
    assert "is not empty" in complaint(capsys, *words, "--overwrite")
    assert (tmp_path / "pictures/notes.txt").read_text() == "mine"


def test_a_full_standard_output_is_said(world):
    command = [sys.executable, "-m", "mot", "track", str(world / "crowd"), "-o", "-", "-q"]
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert "standard output: disk full" in run.stderr


def test_show_without_a_screen_is_one_line(world, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    words = ("track", world / "clip.mp4", "--detections", world / "clip.det.txt", "--no-video")
    assert "no window can be opened" in complaint(capsys, *words, "--show", "-q", "-o", "out")


def test_people_are_found_by_default(world, tmp_path):
    assert mot("track", world / "clip.mp4", "-o", "out") == 0
    assert decoded_frames(tmp_path / "out/clip.mp4") == FRAMES
    assert (tmp_path / "out/clip.txt").read_text()


def test_render_draws_any_rows_on_any_source(world, tmp_path):
    assert mot("render", world / "clip.mp4", world / "crowd/gt/gt.txt", "-q") == 0
    assert decoded_frames(tmp_path / "runs/render/clip.mp4") == FRAMES
    assert mot("render", world / "crowd", world / "clip.det.txt", "-q", "-o", "pictures") == 0
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == FRAMES


def test_overwrite_is_asked_for(world, tmp_path, capsys):
    words = ("track", world / "crowd", "--no-video", "-q", "-o", "out")
    assert mot(*words) == 0
    before = (tmp_path / "out/crowd.txt").stat().st_mtime_ns
    assert "out/crowd.txt: exists: give --overwrite" in complaint(capsys, *words)
    assert (tmp_path / "out/crowd.txt").stat().st_mtime_ns == before
    assert mot(*words, "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["track"], "Missing argument"),
        (["trak", "x"], "No such command"),
        (["track", "missing.mp4"], "missing.mp4: not found"),
        (["track", "empty.mp4"], "empty.mp4: the file is empty"),
        (["track", "text.mp4"], "text.mp4: "),
        (["track", "folder"], "folder: no sequence in it"),
        (["track", "{clip}", "--detections", "missing.txt"], "missing.txt: no such detections"),
        (["track", "{clip}", "--detections", "folder"], "folder: no clip.txt in it"),
        (["track", "{clip}", "--detections", "nan.txt"], "nan.txt:2: a number is not finite"),
        (
            ["track", "{clip}", "--detections", "reversed.txt"],
            "reversed.txt:2: the width or height",
        ),
        (
            ["track", "{clip}", "--detections", "late.txt"],
            "late.txt: has detections up to frame 99",
        ),
        (["track", "{clip}", "--detections", "text.mp4"], "text.mp4:1: column 1: 'hello' is not"),
        (["track", "{clip}", "--tracker", "srot"], "unknown tracker 'srot': did you mean 'sort'?"),
        (["track", "{clip}", "--tracker", "none.toml"], "none.toml: no such file"),
        (["track", "{clip}", "--detector", "moton"], "did you mean 'motion'?"),
        (["track", "{clip}", "--set", "tracker.match_tresh=1"], "did you mean 'match_thresh'?"),
        (["track", "{clip}", "--set", "tracker.match_thresh=x"], "must be a number"),
        (["track", "{clip}", "--set", "min_hits=1"], "write it as --set tracker.key=value"),
        (["track", "{clip}", "--set", "camera.x=1"], "unknown group 'camera': known: detector, tr"),
        (["track", "{clip}", "--set", "detector.nns=hard"], "did you mean 'nms'?"),
        (["detect", "{clip}", "--set", "tracker.trust=1"], "unknown group 'tracker'"),
        (
            ["detect", "{clip}", "--detector", "motion", "--partial"],
            "--partial: motion is not a network",
        ),
        (["track", "{clip}", "--format", "xml"], "'xml' is not one of mot, csv, jsonl"),
        (["track", "{clip}", "--every", "0"], "0 is not in the range"),
        (["track", "{clip}", "--start", "nan"], "start = nan: give seconds from 0"),
        (["track", "{clip}", "--set", "tracker.duplicate_iou=7"], "must lie between 0 and 1"),
        (["track", "{clip}", "--set", "tracker.trust=-1"], "must lie between 0 and inf"),
        (["track", "{clip}", "--post", "linaer"], "'linaer' is not one of merge, linear"),
        (["track", "{clip}", "--camera", "folw", "--no-video"], "folw: no such file"),
        (["track", "", "-q"], "an empty SOURCE"),
        (["track", "no*.mp4"], "no*.mp4: matches nothing"),
        (["synth", "--seed", "-1", "-o", "x"], "-1 is not in the range"),
        (["synth", "--size", "40x2000", "-o", "x"], "a street needs a width"),
        (["track", "{clip}", "--classes", "cat"], "--classes cat: known: person"),
        (["track", "{clip}", "-o", "text.mp4"], "text.mp4"),
        (["track", "{clip}", "-o", "/proc/none"], "/proc/none"),
        (["render", "{clip}", "missing.txt"], "missing.txt: no such file"),
        (["synth", "--scene", "crowed", "-o", "x"], "did you mean 'crowd'?"),
        (["synth", "--size", "big", "-o", "x"], "--size big: write it as 640x360"),
        (["synth", "-o", "folder"], "folder: exists"),
        (["synth", "--overwrite", "--frames", "2", "-q", "-o", "full"], "full: is not a sequence"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(world, tmp_path, capsys, words, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").mkdir()
    inputs = {
        "empty.mp4": "",
        "text.mp4": "hello, this is no video\n",
        "nan.txt": "1,-1,1,1,5,5,1\n2,-1,nan,1,5,5,1\n",
        "reversed.txt": "1,-1,1,1,5,5,1\n2,-1,1,1,-5,5,1\n",
        "late.txt": "1,-1,1,1,5,5,1\n99,-1,1,1,5,5,1\n",
        "full/precious.txt": "do not lose me",
    }
    for name, text in inputs.items():
        (tmp_path / name).write_text(text)
    filled = [word.format(clip=world / "clip.mp4") for word in words]
    assert said in complaint(capsys, *filled)
    assert final_files(tmp_path) == sorted(Path(name).name for name in inputs)
    assert (tmp_path / "full/precious.txt").read_text() == "do not lose me"


def test_debug_shows_where(capsys):
    assert mot("track", "missing.mp4", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_opencv_without_its_system_library(world, tmp_path):
    (tmp_path / "cv2").mkdir()
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2/__init__.py").write_text(f"raise ImportError({message!r})")
    command = [sys.executable, "-m", "mot", "track", str(world / "clip.mp4"), "-q"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "apt-get install libgl1" in run.stderr
    assert "opencv-python-headless" in run.stderr


class FullDisk:
    """A file that has no room after some writes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, text: str) -> int:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(text)

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.file.close()


def test_a_full_disk_is_said_and_leaves_nothing(world, tmp_path, capsys, monkeypatch):
    opened = Path.open

    def open_with_little_room(path: Path, mode: str = "r", **options):
        file = opened(path, mode, **options)
        return FullDisk(file, room=10) if "w" in mode else file

    monkeypatch.setattr(Path, "open", open_with_little_room)
    words = ("track", world / "crowd", "--no-video", "-q", "-o", "out")
    assert "out/crowd.txt: disk full" in complaint(capsys, *words, code=1)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_done_under_partial_names(world, tmp_path, number):
    command = [sys.executable, "-m", "mot", "track", "-", "-o", "out"]
    command += ["--detections", str(world / "crowd/det/det.txt")]
    video = endless_stream(tmp_path / "stream.ts")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(video[: len(video) // 2])
        process.stdin.flush()
        partial = tmp_path / "out/stdin.partial.txt"
        wait_for(lambda: partial.exists() and partial.stat().st_size > 0)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert error.decode().count("\n") == 1
    assert "interrupted after" in error.decode()
    assert final_files(tmp_path / "out") == []
    assert decoded_frames(tmp_path / "out/stdin.partial.mp4") > 0


def endless_stream(path: Path) -> bytes:
    """Some minutes of video, in a container that can be read from a pipe."""
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
        for shift in range(2000):
            image = np.ascontiguousarray(np.roll(noise, shift, axis=1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode(None))
    return path.read_bytes()


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("nothing was written")


def test_the_names_in_the_light_help_are_those_of_the_parts():
    assert track_flags.FORMATS == tuple(FORMATS)
    assert flags.POST_STEPS == tuple(STEPS)
    assert flags.CAMERA_METHODS == tuple(METHODS)
    assert synth_flags._SCENES == ", ".join(SCENES)


def test_every_verb_has_examples():
    for name, command in cli.commands.items():
        assert "Examples:" in (command.epilog or ""), name
