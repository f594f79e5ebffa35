"""`mot benchmark`: the same results however it is spread, interrupted and gone on with."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mot.benchmark import cache
from mot.benchmark.executor import or_raise
from mot.benchmark.local_executor import on_processes
from mot.benchmark.plan import BenchmarkConfig, make_plan
from mot.benchmark.work import ProgressUpdate, attempt
from mot.cli import main
from mot.errors import MachineError, MotError
from mot.files import cache_dir
from mot.motfile import format_mot_rows, read_mot_rows, read_sequence
from mot.synthetic import make_world
from mot.types import Detections
from mot.video.streams import image_files, sequence_frames

PROGRAM = [sys.executable, "-m", "mot"]
FRAMES = 60
NAMES = ["crowd-0", "crowd-1", "crowd-2"]
NETWORK = """[net]
width=32
height=32
channels=3

[convolutional]
filters=6
size=1
stride=1
activation=linear

[yolo]
mask=0
anchors=10,20
classes=1
num=1
"""


def mot(*words: object) -> int:
    """Run the command in this process; the exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def complaint(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run what must fail; the last line, which is the only one about the failure."""
    capsys.readouterr()
    assert mot(*words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.startswith("mot: ") for line in lines].count(True) == 1, lines
    return lines[-1]


def write_world(folder: Path, seed: int, frames: int = FRAMES) -> None:
    """A sequence without pictures: truth, noisy detections, embeddings and a still camera."""
    truth, found, looks = "", "", []
    world = make_world("crowd", seed, (480, 320), render=False)
    for moment in world.moments(frames):
        number, seen = moment.frame.index, moment.detections
        ones = [1] * len(moment.ids)
        truth += format_mot_rows(number, moment.ids.tolist(), moment.boxes, ones, "1,1")
        found += format_mot_rows(number, [-1] * len(seen), seen.boxes, seen.scores.tolist())
        looks.append(seen.embeddings)
    files = {"gt/gt.txt": truth, "det/det.txt": found}
    files["gmc.txt"] = "".join(f"{i} 1 0 {i % 3 - 1} 0 1 0\n" for i in range(frames))
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    np.save(folder / "det/looks.npy", np.concatenate(looks))
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate=25\nseqLength={frames}\n"
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    for seed, name in enumerate(NAMES):
        write_world(folder / name, seed)
    return folder


@pytest.fixture(scope="module")
def filmed(tmp_path_factory) -> Path:
    """A data set of two rendered sequences."""
    folder = tmp_path_factory.mktemp("filmed") / "set"
    for seed in (1, 2):
        flags = ("--seed", seed, "--frames", 24, "--size", "256x192", "-q")
        assert mot("synth", *flags, "-o", folder / f"street-{seed}") == 0
    return folder


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOT_HOME", str(tmp_path / "home"))


@contextmanager
def in_this_process(jobs, watch) -> Iterator:
    def spread(work, tasks):
        for task in tasks:
            yield task, or_raise(attempt(work, task, watch))

    yield spread


@pytest.fixture
def inline(monkeypatch) -> None:
    """No processes, for what does not depend on them."""
    monkeypatch.setattr("mot.commands.benchmark.on_processes", in_this_process)


def results(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.glob("*/*.txt"))}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}


def partials(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*.partial*")]


# What comes out


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--tracker", "sort", "--set", "tracker.min_hits=1"],
        ["--post", "merge,linear,gsi", "--conf", "0.4"],
        ["--camera", "gmc.txt", "--tracker", "botsort"],
    ],
    ids=" ".join,
)
def test_results_are_those_of_mot_track(dataset, flags, inline):
    assert mot("benchmark", dataset, *flags, "-q", "-o", "out") == 0
    assert mot("track", dataset, *flags, "--no-video", "-q", "-o", "tracked") == 0
    for path, text in results(Path("out")).items():
        assert text == Path("tracked", Path(path).name).read_text()
        assert text
    assert len(results(Path("out"))) == len(NAMES)


def test_embeddings_reach_the_trackers_that_look_at_them(dataset, inline):
    flags = ("--tracker", "deepsort", "-q", "--post", "merge")
    assert mot("benchmark", dataset, *flags, "--embeddings", "looks.npy", "-o", "out") == 0
    looks = dataset / "crowd-1/det/looks.npy"
    words = ("track", dataset / "crowd-1", *flags, "--embeddings", looks, "--no-video")
    assert mot(*words, "-o", "tracked") == 0
    assert Path("out/deepsort/crowd-1.txt").read_text() == Path("tracked/crowd-1.txt").read_text()


@pytest.mark.parametrize(("split", "first", "last"), [("train-half", 1, 31), ("val-half", 32, 60)])
def test_a_split_is_a_sequence_of_its_own(dataset, tmp_path, split, first, last, inline):
    """The same rows, cut and renumbered by hand, as another sequence."""
    assert mot("benchmark", dataset, "--split", split, "-q", "-o", "out") == 0
    half = tmp_path / "half/crowd-2"
    (half / "det").mkdir(parents=True)
    rows = []
    for line in (dataset / "crowd-2/det/det.txt").read_text().splitlines():
        frame, rest = line.split(",", 1)
        if first <= int(frame) <= last:
            rows.append(f"{int(frame) - first + 1},{rest}\n")
    (half / "det/det.txt").write_text("".join(rows))
    info = f"[Sequence]\nname=x\nframeRate=25\nseqLength={last - first + 1}\n"
    (half / "seqinfo.ini").write_text(info)
    assert mot("track", half, "--no-video", "-q", "-o", "tracked") == 0
    assert Path("out/best/crowd-2.txt").read_text() == Path("tracked/crowd-2.txt").read_text()


def test_scores_are_those_of_mot_eval(dataset, inline, capsys):
    flags = ("--tracker", "best,sort", "--split", "val-half")
    assert mot("benchmark", dataset, *flags, "-q", "-o", "out") == 0
    table = capsys.readouterr().out
    scores = json.loads(Path("out/scores.json").read_text())
    assert list(scores["trackers"]) == ["best", "sort"]
    assert scores["split"] == "val-half"
    hota = [found["combined"]["HOTA"] for found in scores["trackers"].values()]
    difference = scores["comparison"]["differences"]["sort"]["HOTA"]["value"]
    assert difference == pytest.approx(hota[1] - hota[0])
    for name, found in scores["trackers"].items():
        words = ("eval", f"out/{name}", "--gt", dataset, "--split", "val-half", "-q")
        assert mot(*words, "--json", f"{name}.json") == 0
        assert found == json.loads(Path(f"{name}.json").read_text())
        assert f"{100 * found['combined']['HOTA']:.2f}" in table


def test_one_tracker_alone_has_its_scores_at_the_top(dataset, inline):
    assert mot("benchmark", dataset, "-q", "-o", "out") == 0
    scores = json.loads(Path("out/scores.json").read_text())
    assert scores["combined"] == scores["trackers"]["best"]["combined"]
    assert list(scores["sequences"]) == NAMES


def test_run_json_tells_of_each_result(dataset, inline):
    assert mot("benchmark", dataset, "--tracker", "sort", "--tracker", "best", "-o", "out") == 0
    record = json.loads(Path("out/run.json").read_text())
    names = [source["name"] for source in record["sources"]]
    assert names == [f"{tracker} {name}" for tracker in ("sort", "best") for name in NAMES]
    assert {source["frames"] for source in record["sources"]} == {FRAMES}


def test_without_a_ground_truth_there_are_results_and_no_scores(dataset, tmp_path, inline, capsys):
    (tmp_path / "some/b/det").mkdir(parents=True)
    os.symlink(dataset / "crowd-0", tmp_path / "some/a")
    (tmp_path / "some/b/det/det.txt").write_bytes((dataset / "crowd-1/det/det.txt").read_bytes())
    assert mot("benchmark", "some", "-o", "out") == 0
    assert "not evaluated, without ground truth: b" in capsys.readouterr().err
    assert list(json.loads(Path("out/scores.json").read_text())["sequences"]) == ["a"]
    assert mot("benchmark", "some/b", "-o", "alone") == 0
    assert sorted(path.name for path in Path("alone").iterdir()) == [
        *("benchmark.json", "best", "run.json")
    ]


def test_published_numbers(shared, inline, capsys):
    """Those of the README, which TrackEval gave."""
    words = ("benchmark", shared / "data/mot17", "--detections", "yolox_x_ablation", "-q")
    trackers = ("--split", "val-half", "--tracker", "best,sort")
    assert mot(*words, *trackers, "--columns", "HOTA,IDF1,IDSW", "-o", "out") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["best", "56.85", "72.08", "107"] in rows
    assert ["sort", "47.18", "55.70", "257"] in rows


# Detectors and their cache


def cached() -> list[Path]:
    return sorted((cache_dir() / "detections").glob("*"))


def test_detections_are_made_once_for_all_trackers(filmed, inline, capsys):
    words = ("benchmark", filmed, "--detector", "motion")
    assert mot(*words, "--tracker", "sort,best", "-o", "out") == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("motion")] == [
        f"motion street-{seed}: 24 frames" for seed in (1, 2)
    ]
    before = [path.stat().st_mtime_ns for path in cached()]
    assert len(before) == 4, "and once more with the looks that best uses"
    assert mot(*words, "--tracker", "bytetrack", "--split", "val-half", "-q", "-o", "more") == 0
    assert [path.stat().st_mtime_ns for path in cached()] == before


def test_results_of_a_detector_are_those_of_mot_track(filmed, inline):
    assert mot("benchmark", filmed, "--detector", "motion", "-q", "-o", "out") == 0
    words = ("track", filmed, "--detector", "motion", "--no-video", "-q")
    assert mot(*words, "-o", "tracked") == 0
    for path, text in results(Path("out")).items():
        assert text == Path("tracked", Path(path).name).read_text()
    assert any(results(Path("out")).values())


@pytest.mark.parametrize(
    ("benchmark", "track"),
    [
        (["--tracker", "deepsort"], ["--tracker", "deepsort"]),
        (["--tracker", "sort,best", "--embedder", "person"], ["--embedder", "person"]),
        (["--detector", "motion", "--embedder", "none"],) * 2,
    ],
    ids=["it needs them", "chosen", "switched off"],
)
def test_people_are_looked_at_as_mot_track_does(filmed, inline, benchmark, track):
    assert mot("benchmark", filmed, *benchmark, "-q", "-o", "out") == 0
    assert mot("track", filmed, *track, "--no-video", "-q", "-o", "tracked") == 0
    compared = [(p, t) for p, t in results(Path("out")).items() if not p.startswith("sort")]
    assert len(compared) == 2
    for path, text in compared:
        assert text == Path("tracked", Path(path).name).read_text()


def test_another_embedder_is_another_benchmark(filmed, inline, capsys):
    words = ("benchmark", filmed, "--detector", "motion", "-q", "-o", "out")
    assert mot(*words) == 0
    said = complaint(capsys, *words, "--embedder", "none")
    assert "sequences.street-1.embedder" in said
    embedder = filmed / "none.onnx"
    assert f"{embedder}: no such file" in complaint(capsys, *words, "--embedder", embedder)


def test_an_embedder_needs_pictures_and_no_other_looks(dataset, inline, capsys):
    said = complaint(capsys, "benchmark", dataset, "--embedder", "person")
    assert said.endswith(f"{NAMES[0]}: has no images for --embedder")
    both = ("--embedder", "person", "--embeddings", "looks.npy")
    assert "give one" in complaint(capsys, "benchmark", dataset, *both)


def test_what_is_cached_is_used_and_what_is_damaged_is_made_anew(filmed, inline, capsys):
    words = ("benchmark", filmed, "--detector", "motion", "--tracker", "sort")
    assert mot(*words, "-q", "-o", "first") == 0
    sound = {path: path.read_bytes() for path in cached()}
    for path in cached():
        cache.write(path, {1: Detections.from_boxes([1, 1, 9, 9], [0.01])})
    assert mot(*words, "-q", "-o", "empty") == 0
    assert not any(results(Path("empty")).values())
    first, second = cached()
    first.write_bytes(sound[first][:-200])
    second.write_bytes(b"no detections")
    capsys.readouterr()
    assert mot(*words, "-o", "again") == 0
    assert capsys.readouterr().err.count("the cache is damaged: detecting again") == 2
    assert results(Path("again")) == results(Path("first"))
    assert {path: path.read_bytes() for path in cached()} == sound


def test_a_cache_that_cannot_be_written_is_a_note(filmed, tmp_path, inline, capsys):
    (tmp_path / "home").write_text("a file")
    assert mot("benchmark", filmed, "--detector", "motion", "-o", "out") == 0
    assert "the detections cannot be cached" in capsys.readouterr().err


def test_a_video_in_a_sequence_stands_for_its_pictures(filmed, tmp_path, inline):
    words = ("synth", "--seed", 1, "--frames", 24, "--size", "256x192", "-q")
    assert mot(*words, "-o", tmp_path / "set/walk/walk.mp4") == 0
    (tmp_path / "set/walk/seqinfo.ini").write_text("[Sequence]\nframeRate=5\nseqLength=20\n")
    sequence = read_sequence(tmp_path / "set/walk")
    assert image_files(sequence) == [tmp_path / "set/walk/walk.mp4"]
    frames = list(sequence_frames(sequence, True))
    assert [frame.index for frame in frames] == [*range(1, 21)]
    assert frames[-1].image.shape == (192, 256, 3)
    assert mot("benchmark", "set", "--detector", "motion", "-o", "out") == 0
    assert 0 < read_mot_rows("out/best/walk.txt").last_frame <= 20


def test_a_detector_needs_every_picture(filmed, tmp_path, capsys, inline):
    for number in range(1, 10):
        (tmp_path / "set/some/img1").mkdir(parents=True, exist_ok=True)
        source = filmed / f"street-1/img1/{number:06d}.jpg"
        os.symlink(source, tmp_path / f"set/some/img1/{number:06d}.jpg")
    (tmp_path / "set/some/seqinfo.ini").write_text("[Sequence]\nname=some\nseqLength=12\n")
    said = complaint(capsys, "benchmark", "set", "--detector", "motion", "-q")
    assert said.startswith("mot: motion some: frame 10 of 12 has no image")


def digest(**changes: object) -> str:
    return cache.digest_of_images({"detector": "net", "conf": 0.5} | changes, [Path("a.jpg")])


def test_the_cache_knows_the_settings_and_the_pictures_apart():
    Path("a.jpg").write_text("one")
    first = digest()
    assert digest() == first
    assert len({first, digest(conf=0.4), digest(weights="12ab"), digest(detector="other")}) == 4
    os.utime("a.jpg", ns=(1, 1))
    touched = digest()
    Path("a.jpg").write_text("longer")
    os.utime("a.jpg", ns=(1, 1))
    assert len({first, touched, digest()}) == 3


boxes = hnp.arrays(np.float32, st.tuples(st.integers(0, 4), st.just(4)), elements=st.integers(0, 9))


@st.composite
def tables(draw) -> cache.Table:
    numbers = draw(st.lists(st.integers(1, 50), unique=True))
    size = draw(st.sampled_from([None, 3]))
    table = {}
    for number in numbers:
        corners = draw(boxes)
        corners[:, 2:] += corners[:, :2]
        count = len(corners)
        looks = None if size is None else np.random.default_rng(number).normal(size=(count, size))
        scores, labels = np.linspace(0, 1, count), np.arange(count)
        table[number] = Detections.from_boxes(corners, scores, labels, looks)
    return table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(table=tables())
def test_what_is_cached_comes_back_bit_for_bit(table, tmp_path):
    path = tmp_path / "a/b.npz"
    cache.write(path, table)
    back = cache.read(path)
    assert sorted(back) == sorted(number for number, found in table.items() if len(found))
    for number, found in back.items():
        for part in ("boxes", "scores", "labels", "embeddings"):
            np.testing.assert_array_equal(getattr(found, part), getattr(table[number], part))


@given(noise=st.binary(max_size=300), cut=st.integers(0, 900))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_damaged_cache_is_never_trusted(noise, cut, tmp_path):
    path = tmp_path / "a.npz"
    table = {3: Detections.from_boxes([[1, 2, 3, 4]])}
    cache.write(path, table)
    sound = path.read_bytes()
    path.write_bytes(sound[:cut] + noise + sound[cut + len(noise) :][: 2 * cut])
    found, _ = cache.load_or_make(path, lambda: table)
    np.testing.assert_array_equal(found[3].boxes, [[1, 2, 3, 4]])
    assert cache.load_or_make(path, dict)[1] == []


def test_many_write_the_same_cache_at_once(tmp_path):
    path = tmp_path / "a.npz"
    table = {n: Detections.from_boxes(np.ones((40, 4))) for n in range(1, 60)}
    writers = [threading.Thread(target=cache.write, args=(path, table)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(cache.read(path)) == sorted(table)
    assert [found.name for found in tmp_path.iterdir()] == ["a.npz"]


# Going on


def test_what_is_finished_is_not_done_again(dataset, inline, capsys):
    words = ("benchmark", dataset, "--tracker", "best,sort", "-o", "out")
    assert mot(*words) == 0
    first, before = results(Path("out")), times(Path("out"))
    Path("out/sort/crowd-1.txt").unlink()
    Path("out/best/crowd-0.json").unlink()
    with Path("out/best/crowd-2.txt").open("a") as file:
        file.write("61,1,0,0,9,9,1,-1,-1,-1\n")
    capsys.readouterr()
    assert mot(*words) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "3 of 6 finished earlier"
    assert {line.split(":")[0] for line in said if "frames" in line} == {
        *("best crowd-0", "best crowd-2", "sort crowd-1")
    }
    assert results(Path("out")) == first
    done = {path for path, changed in times(Path("out")).items() if before.get(path) == changed}
    kept = [Path("out", name) for name in ("best/crowd-1", "sort/crowd-0", "sort/crowd-2")]
    assert done == {path.with_suffix(suffix) for path in kept for suffix in (".txt", ".json")}


OTHER_PLANS = {
    "split was all, now val-half": ["--split", "val-half"],
    "conf was none, now 0.5": ["--conf", "0.5"],
    "trackers was best, now best, sort": ["--tracker", "best,sort"],
    "trackers.best.settings.trust was 0.7, now 0.6": ["--set", "tracker.trust=0.6"],
    "camera was none, now gmc.txt": ["--camera", "gmc.txt"],
    "post was [], now ['short']": ["--post", "short"],
    "sequences.crowd-0.embeddings was none, now": ["--embeddings", "looks.npy"],
}


@pytest.fixture(scope="module")
def done(dataset, tmp_path_factory) -> Path:
    """The results of best alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mot.commands.benchmark.on_processes", in_this_process)
        folder = tmp_path_factory.mktemp("done") / "out"
        assert mot("benchmark", dataset, "-q", "-o", folder) == 0
    return folder


@pytest.mark.parametrize("said", OTHER_PLANS)
def test_another_plan_is_refused_by_name(dataset, done, inline, capsys, said):
    before = times(done)
    found = complaint(capsys, "benchmark", dataset, *OTHER_PLANS[said], "-o", done)
    assert f"benchmark.json: belongs to another benchmark: {said}" in found
    assert "give --overwrite, or another folder with --out" in found
    assert times(done) == before


def test_other_detections_are_another_plan(dataset, done, tmp_path, inline, capsys):
    for name in NAMES:
        (tmp_path / f"other/{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"other/{name}.txt").write_text("1,-1,0,0,9,9,1\n")
    found = complaint(capsys, "benchmark", dataset, "--detections", "other", "-o", done)
    assert "sequences.crowd-0.detections.file was det.txt, now crowd-0.txt" in found


def test_overwrite_begins_anew(dataset, inline, capsys):
    assert mot("benchmark", dataset, "-q", "-o", "out") == 0
    first = results(Path("out"))
    flags = ("--set", "tracker.track_buffer=0.1", "--overwrite", "-o", "out")
    assert mot("benchmark", dataset, *flags) == 0
    assert "finished earlier" not in capsys.readouterr().err
    assert results(Path("out")).keys() == first.keys()
    assert results(Path("out")) != first


def test_a_plan_without_results_binds_nobody(dataset, inline, capsys):
    words = ("benchmark", dataset, "-q", "-o", "out")
    assert "needs the embeddings" in complaint(capsys, *words, "--tracker", "deepsort")
    assert mot(*words) == 0


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"trackers": 3}', "\0", ""])
def test_a_broken_plan_is_one_line(dataset, inline, capsys, text):
    Path("out").mkdir()
    Path("out/benchmark.json").write_text(text)
    found = complaint(capsys, "benchmark", dataset, "-o", "out")
    assert "out/benchmark.json: not the plan of a benchmark: give --overwrite" in found
    assert mot("benchmark", dataset, "-q", "--overwrite", "-o", "out") == 0


def test_results_of_somebody_else_are_kept(dataset, inline, capsys):
    Path("out/best").mkdir(parents=True)
    Path("out/best/crowd-1.txt").write_text("mine")
    assert "crowd-1.txt: exists: give" in complaint(capsys, "benchmark", dataset, "-o", "out")
    assert Path("out/best/crowd-1.txt").read_text() == "mine"


def test_what_is_read_is_never_replaced(dataset, tmp_path, inline, capsys):
    os.makedirs("best")
    for name in NAMES:
        Path(f"best/{name}.txt").write_bytes((dataset / name / "det/det.txt").read_bytes())
    words = ("benchmark", dataset, "--detections", "best", "--overwrite", "-o", ".")
    assert "is an input too" in complaint(capsys, *words)


# In processes


def killed_or_asked(task: Titled, post) -> str:
    if task.title == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.title == "complains":
        raise MotError("this is wrong")
    post(ProgressUpdate(task.title, 1, 1))
    return f"{os.environ['OPENBLAS_NUM_THREADS']} {os.getpid() == task.parent}"


class Titled:
    def __init__(self, title: str) -> None:
        self.title, self.parent = title, os.getpid()


def spread_over(jobs: int, *titles: str) -> tuple[dict[str, str], list[ProgressUpdate]]:
    steps: list[ProgressUpdate] = []
    with on_processes(jobs, steps.append) as spread:
        found = spread(killed_or_asked, [Titled(title) for title in titles])
        return {task.title: answer for task, answer in found}, steps


def test_work_is_done_in_other_processes_of_one_thread():
    found, _ = spread_over(2, *"abcd")
    assert found == dict.fromkeys("abcd", "1 False")


def test_a_killed_process_is_one_line():
    with pytest.raises(MachineError, match="a process was killed: is the memory full"):
        spread_over(1, "a", "dies", "b")


def test_an_error_names_the_task_and_keeps_its_kind():
    with pytest.raises(MotError, match=r"^complains: this is wrong$") as caught:
        spread_over(1, "a", "complains", "b")
    assert type(caught.value) is MotError


def test_results_do_not_depend_on_jobs_or_order(dataset, done):
    words = ("benchmark", dataset, "-q")
    assert mot(*words, "--tracker", "best,bytetrack,sort", "--jobs", 3, "-o", "a") == 0
    assert mot(*words, "--tracker", "sort,best,bytetrack", "--jobs", 1, "-o", "b") == 0
    assert results(Path("a")) == results(Path("b"))
    assert {f"best/{name}.txt" for name in NAMES} < results(Path("a")).keys()
    assert results(done).items() < results(Path("a")).items()
    one, other = (json.loads(Path(o, "scores.json").read_text())["trackers"] for o in "ab")
    assert one == other


def test_one_bad_sequence_stops_the_rest_and_keeps_what_is_done(dataset, tmp_path, capsys):
    for name in NAMES:
        os.symlink(dataset / name, tmp_path / name)
    (tmp_path / "crowd-1").unlink()
    write_world(tmp_path / "crowd-1", 1)
    (tmp_path / "crowd-1/det/det.txt").write_text("1,-1,0,0,9,9,1\n2,-1,nan,0,9,9,1\n")
    said = complaint(capsys, "benchmark", tmp_path, "--jobs", 1, "-o", "out")
    assert said.startswith("mot: best crowd-1: ")
    assert "det.txt:2: a number is not finite" in said
    assert list(results(Path("out"))) == ["best/crowd-0.txt"]
    assert not partials(Path("out"))


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """Six sequences that take a while: people who march, their boxes a little off."""
    folder = tmp_path_factory.mktemp("long") / "set"
    for seed in range(6):
        chance = np.random.default_rng(seed)
        start, speed = chance.uniform(0, 900, (30, 2)), chance.normal(0, 1, (30, 2))
        rows = []
        for frame in range(1, 801):
            corner = start + speed * frame + chance.normal(0, 1, (30, 2))
            rows.append(
                format_mot_rows(frame, [-1] * 30, np.hstack([corner, corner + 60]), [0.9] * 30)
            )
        (folder / f"march-{seed}/det").mkdir(parents=True)
        (folder / f"march-{seed}/det/det.txt").write_text("".join(rows))
    return folder


def start(*words: object) -> subprocess.Popen[str]:
    """The command as a process at the head of a group of its own."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*.json") if ".partial" not in path.name]


def wait_for_results(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    while len(records(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def finished_files(folder: Path) -> dict[Path, int]:
    """Those of results that have a record."""
    paths = [path.with_suffix(suffix) for path in records(folder) for suffix in (".json", ".txt")]
    return {path: path.stat().st_mtime_ns for path in paths}


def test_killed_and_started_again(long):
    words = ("benchmark", long, "--jobs", 2, "-o")
    for count in (1, 3):
        process = start(*words, "out")
        wait_for_results(process, Path("out"), count)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        kept = finished_files(Path("out"))
        assert 2 * count <= len(kept) < 12
    last = start(*words, "out")
    said = last.communicate(timeout=120)[1]
    assert last.returncode == 0
    assert said.startswith(f"{len(kept) // 2} of 6 finished earlier\n")
    assert kept.items() <= finished_files(Path("out")).items()
    whole = start(*words, "whole")
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    assert results(Path("out")) == results(Path("whole"))
    assert len(results(Path("out"))) == 6
    assert not partials(Path("out"), Path("whole"))


def test_no_process_outlives_the_command_that_is_killed(long):
    process = start("benchmark", long, "--jobs", 2, "-q", "-o", "out")
    wait_for_results(process, Path("out"), 1)
    process.kill()
    process.communicate(timeout=60)  # returns when the last one has closed its standard error


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_says_what_is_kept(long, number, code):
    process = start("benchmark", long, "--jobs", 2, "-o", "out")
    wait_for_results(process, Path("out"), 1)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == code
    kept = len(finished_files(Path("out"))) // 2
    assert said[-1] == f"mot: interrupted; kept {kept} of 6 in out: the same command resumes"
    assert all(line.endswith("frames") for line in said[:-1])
    assert not partials(Path("out"))


def test_on_ray_the_same_bit_for_bit(dataset, done, tmp_path):
    """A real Ray with two CPUs, started by the command."""
    pytest.importorskip("ray.util.queue")
    words = ("benchmark", dataset, "--engine", "ray", "--jobs", 2)
    process = start(*words, "-o", "out")
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert results(Path("out")) == results(done)
    ours, theirs = (json.loads((f / "scores.json").read_text()) for f in (Path("out"), done))
    assert ours == theirs
    (tmp_path / "bad").mkdir()
    os.symlink(dataset / "crowd-0", tmp_path / "bad/a")
    os.symlink(dataset / "crowd-1", tmp_path / "bad/b")
    bad = start("benchmark", "bad", *words[2:], "--tracker", "deepsort", "-o", "none")
    said = bad.communicate(timeout=300)[1]
    assert bad.returncode == 2
    assert said.count("\n") == 1
    assert "DeepSort needs the embeddings" in said


def test_without_ray_it_is_asked_for(dataset, inline, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = complaint(capsys, "benchmark", dataset, "--engine", "ray", "-o", "out")
    assert "pip install 'mot-tracking[ray]'" in said


# Bad input


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing"], "missing: no such folder"),
        (["empty"], "empty: no sequence in it"),
        (["{set}", "--tracker", "srot"], "unknown tracker 'srot': did you mean 'sort'?"),
        (["{set}", "--tracker", "best,none.toml"], "none.toml: no such file"),
        (["{set}", "--tracker", "sort,sort.toml"], "two trackers are called 'sort'"),
        (["{set}", "--detector", "moton"], "did you mean 'motion'?"),
        (["{set}", "--detector", "motion"], "crowd-0: has no images for --detector"),
        (["{set}", "--detector", "motion", "--detections", "det"], "give one of them"),
        (["{set}", "--detections", "dte"], "did you mean 'det'?"),
        (["{set}", "--detections", "one.txt"], "one file for several sequences"),
        (["{set}/crowd-0", "--detections", "one.txt"], "has detections up to frame 99"),
        (["{set}", "--embeddings", "none.npy"], "--embeddings none.npy: no such file in"),
        (["{set}", "--camera", "none.txt"], "none.txt: no such file"),
        (["{set}", "--camera", "flow"], "--camera flow: crowd-0 has no images"),
        (["{set}", "--split", "half"], "'half' is not one of"),
        (["{set}", "--protocol", "mot71"], "did you mean 'mot17'?"),
        (["{set}", "--columns", "HOAT"], "did you mean 'HOTA'?"),
        (["{set}", "--set", "tracker.min_hits=2"], "unknown setting 'min_hits'"),
        (["{set}", "--set", "detector.history=2"], "are settings of a detector: give --detector"),
        (["{set}", "--jobs", "0"], "0 is not in the range"),
        (["{set}", "--ray-address", "x:1"], "--ray-address goes with --engine ray"),
        (["short", "--split", "val-half"], "short: has 1 frames: none of val-half"),
        (["twins"], "two sequences are called 'one'"),
        (["bare"], "bare: has no detections: give --detections"),
        (["{set}", "-o", "one.txt"], "one.txt"),
        (["{set}", "-o", "/proc/none"], "/proc/none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(dataset, capsys, inline, words, said):
    Path("empty").mkdir()
    files = {
        "one.txt": "99,-1,0,0,9,9,1\n",
        "sort.toml": 'tracker = "sort"\n',
        "short/det/det.txt": "1,-1,0,0,9,9,1\n",
        "twins/train/one/det/det.txt": "1,-1,0,0,9,9,1\n",
        "twins/test/one/det/det.txt": "1,-1,0,0,9,9,1\n",
        "bare/gt/gt.txt": "1,1,0,0,9,9,1,1,1\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    out = [] if "-o" in words else ["-o", "out"]
    filled = [word.format(set=dataset) for word in words]
    assert said in complaint(capsys, "benchmark", *filled, *out)
    assert Path("one.txt").read_text() == files["one.txt"]
    assert not results(Path("out"))


def test_what_a_plan_holds_has_no_need_of_files(dataset, tmp_path):
    """A TOML file's settings, resolved; another machine has no such file."""
    (tmp_path / "mine.toml").write_text('tracker = "sort"\nmin_hits = 1\n')
    plan = make_plan(dataset, BenchmarkConfig(("mine.toml", "sort"), {"iou_threshold": 0.4}))
    first = plan.tasks[0].tracker
    assert (first.name, first.tracker) == ("mine", "sort")
    assert first.settings["min_hits"] == 1
    assert first.settings["iou_threshold"] == 0.4
    assert len({task.signature for task in plan.tasks}) == len(plan.tasks) == 6


def test_a_detector_of_files_is_known_by_what_they_hold(filmed, tmp_path):
    (tmp_path / "mine.toml").write_text('detector = "motion"\nhistory = 10\n')
    digests = set()
    for weights in ("one", "two", "one"):
        (tmp_path / "mine.weights").write_text(weights)
        (stream, _) = make_plan(
            filmed, BenchmarkConfig(("sort",), {}, detector="mine.toml")
        ).sequences
        digests.add(stream.cache)
    assert len(digests) == 2
    wanted = BenchmarkConfig(("sort",), {}, detector="mine.toml", detector_settings={"history": 20})
    assert make_plan(filmed, wanted).sequences[0].cache not in digests


def test_detectors_that_come_with_mot_are_known_by_its_weights(filmed, tmp_path, monkeypatch):
    monkeypatch.setattr("mot.benchmark.plan.SHIPPED", tmp_path)
    digests = set()
    for weights in ("one", "two", "one"):
        (tmp_path / "person.onnx").write_text(weights)
        (stream, _) = make_plan(filmed, BenchmarkConfig(("sort",), {}, detector="person")).sequences
        digests.add(stream.cache)
    assert len(digests) == 2


def test_every_setting_of_a_detector_tells_its_detections_apart(filmed, inline):
    words = ("benchmark", filmed, "--detector", "motion", "--tracker", "sort", "-q", "-o", "out")
    for flags in ((), ("--set", "detector.history=9"), ()):
        assert mot(*words, *flags, "--overwrite") == 0
    assert len(list(Path("home/detections").iterdir())) == 4


def test_a_network_that_is_read_in_part_is_another(filmed, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    cfg = tmp_path / "net.cfg"
    cfg.write_text(NETWORK)
    cfg.with_suffix(".weights").write_bytes(struct.pack("<3iQ24f", 0, 2, 5, 0, *range(24)))
    digests = set()
    for changes in ({}, {"nms": "diou"}, {"partial": True}, {}):
        told = {"runtime": "torch", "device": "cpu", **changes}
        wanted = BenchmarkConfig(("sort",), {}, detector=str(cfg), detector_settings=told)
        digests.add(make_plan(filmed, wanted).sequences[0].cache)
    assert len(digests) == 3


def test_home_is_where_it_is_told(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "home"
    monkeypatch.delenv("MOT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache/mot"
