"""`mot eval-embedder`: folders as Market-1501's, rendered sequences, and what is wrong with them.

The embedder gives the mean colour of a crop, so that what is right is known without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from support.embedders import MEAN, STD, mean_colour
from support.retrieval import by_camera, by_frame, one_by_one

from mot.cli import main
from mot.motfile import read_rows_of
from mot.reid.embedder import OnnxEmbedder
from mot.reid.evaluation.crops import Frames, Pictures, cut, look
from mot.reid.evaluation.galleries import read_galleries, read_names
from mot.reid.evaluation.retrieval import Looks
from mot.reid.open import open_embedder

RNG = np.random.default_rng(0)


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(["eval-embedder", *map(str, words)])
    return end.value.code


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of what must fail."""
    capsys.readouterr()
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# A folder as Market-1501's, of pictures of one colour each.


def write_picture(path: Path, colour: np.ndarray, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, height // 2, 3), colour, np.uint8))


def fake_market(folder: Path, people: int = 12) -> Path:
    """Each of them before three cameras, by which colours differ; junk and distractors too."""
    colours = RNG.integers(20, 236, (people, 3))
    for part, count in (("query", 1), ("bounding_box_test", 2)):
        for person, colour in enumerate(colours, 1):
            for camera in (1, 2, 3):
                for number in range(1, count + 1):
                    shade = np.clip(colour + RNG.integers(-45, 46, 3), 0, 255)
                    name = f"{person:04}_c{camera}s1_{number:06}_01.png"
                    write_picture(folder / part / name, shade, int(RNG.integers(12, 80)))
    for number in range(20):
        for person in ("0000", "-1"):
            name = f"{person}_c{number % 6 + 1}s2_{number:06}_02.png"
            write_picture(folder / "bounding_box_test" / name, RNG.integers(0, 256, 3))
    (folder / "query/Thumbs.db").write_bytes(b"\0")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return mean_colour(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    return fake_market(tmp_path_factory.mktemp("data") / "Market")


@pytest.fixture
def own_market(market, tmp_path) -> Path:
    """To be spoiled."""
    return Path(shutil.copytree(market, tmp_path / "Own"))


def plain_looks(folder: Path) -> Looks:
    """What the embedder makes of a folder's pictures."""
    vectors, ids, cameras = [], [], []
    for path in sorted(folder.glob("*.png")):
        person, camera = path.name.split("_")[:2]
        vectors.append((cv2.imread(str(path))[0, 0, ::-1] / 255 - MEAN) / STD)
        ids.append(int(person))
        cameras.append(int(camera[1]))
    return Looks(np.array(vectors, np.float32), np.array(ids), np.array(cameras))


def scores_in(path: Path, name: str) -> dict[str, float]:
    return json.loads(path.read_text())["data"][name]


def expected(queries: Looks, gallery: Looks, rule) -> dict[str, float]:
    precisions, ranks = map(np.array, zip(*one_by_one(queries, gallery, rule), strict=True))
    answered = ranks[ranks > 0]
    shares = {f"rank-{count}": (answered <= count).mean() for count in (1, 5, 10)}
    return {"queries": len(answered), "mAP": np.nanmean(precisions), **shares}


def test_market_as_by_hand(market, network, tmp_path, capsys) -> None:
    assert run(network, market, "--json", tmp_path / "s.json") == 0
    output = capsys.readouterr()
    assert output.err == ""  # Thumbs.db is not worth a word
    found = scores_in(tmp_path / "s.json", "Market")
    wanted = expected(
        *(plain_looks(market / part) for part in ("query", "bounding_box_test")), by_camera
    )
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert (found["queries"], found["gallery"], found["people"]) == (36, 12 * 3 * 2 + 20, 12)
    assert 0.2 < found["mAP"] < 0.99  # it is neither trivial nor hopeless
    header, _, row = output.out.splitlines()
    assert header.split() == [
        *("colour", "queries", "gallery", "people", "rank-1", "rank-5", "rank-10", "mAP", "crops/s")
    ]
    assert row.split()[:4] == ["Market", "36", "92", "12"]
    assert row.split()[4] == f"{100 * found['rank-1']:.1f}"


def test_whole_pictures_are_cut_as_if_alone(market, network) -> None:
    """Several go through the network as one picture, which changes nothing."""
    (gallery,) = read_galleries(market)
    counts: list[int] = []
    looked = look(gallery.crops, OnnxEmbedder(network), counts.append)
    assert sum(counts) == len(gallery.crops) == len(gallery.ids)
    assert len(counts) == gallery.crops.shot_count > 1
    assert isinstance(gallery.crops, Pictures)
    for row in (0, 63, 64, len(gallery.ids) - 1):
        image = cv2.imread(str(gallery.crops.paths[row]))
        box = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        np.testing.assert_array_equal(looked.vectors[row], OnnxEmbedder(network)(image, box)[0])
        np.testing.assert_array_equal(cut(gallery.crops, np.array([row]))[row], image)


def test_names_tell_who_and_where(tmp_path) -> None:
    names = (
        *("0002_c1s1_000451_03.jpg", "1501_c6s4_001877_02.JPG", "0007_c12_f0046985.png"),
        *("-1_c3s2_000001_00.jpg", "0000_c4s1_000151_01.jpg"),
        *("note.txt", "0002.jpg", "c1s1_000451.jpg", ".DS_Store", "Thumbs.db"),
    )
    for name in names:
        (tmp_path / name).touch()
    found = read_names(tmp_path)
    assert found.ids.tolist() == [0, 2, 7, 1501]
    assert found.cameras.tolist() == [4, 1, 12, 6]
    assert found.strangers == ("0002.jpg", "c1s1_000451.jpg", "note.txt")


def test_people_may_begin_at_0(own_market) -> None:
    """Where a query looks for 0, that is no distractor."""
    for path in own_market.glob("*/0000_*"):
        path.unlink()
    (before,) = read_galleries(own_market)
    for path in own_market.glob("*/0001_*"):
        path.rename(path.with_name(path.name.replace("0001_", "0000_", 1)))
    (after,) = read_galleries(own_market)
    assert after.ids.min() == 1
    assert len(np.unique(after.ids)) == len(np.unique(before.ids))


def test_other_files_are_counted_and_named(own_market, network, capsys) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (own_market / "query" / name).touch()
    assert run(network, own_market) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"{own_market}/query: passed over, since their names tell nobody: "
        "4 files (a.txt, b.txt, c.txt, ...)"
    )
    assert run(network, own_market, "-q") == 0
    assert capsys.readouterr().err == ""


def test_pictures_that_cannot_be_read_are_left_out(own_market, network, tmp_path, capsys) -> None:
    (own_market / "query/0001_c1s1_000001_01.png").write_bytes(b"")
    path = own_market / "bounding_box_test/0002_c1s1_000001_01.png"
    path.write_bytes(path.read_bytes()[:-20])
    assert run(network, own_market, "--json", tmp_path / "s.json") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "Own: left out: 2 crops whose pictures are missing or cannot be read "
        "(query/0001_c1s1_000001_01.png)"
    )
    found = scores_in(tmp_path / "s.json", "Own")
    assert (found["queries"], found["gallery"]) == (35, 91)


def test_market_without_what_it_needs(own_market, network, capsys) -> None:
    for path in (own_market / "bounding_box_test").iterdir():
        path.write_bytes(b"no picture")
    assert refusal(capsys, network, own_market, "-q") == (
        "mot: Own: no crop of the gallery can be seen"
    )
    for path in (own_market / "bounding_box_test").iterdir():
        path.unlink()
    assert "bounding_box_test: holds no picture called as 0001_c1s1" in refusal(
        capsys, network, own_market
    )
    (own_market / "bounding_box_test/cat.jpg").touch()
    assert refusal(capsys, network, own_market).endswith("is (but cat.jpg)")
    write_picture(own_market / "bounding_box_test/0099_c1s1_000001_01.png", np.zeros(3))
    assert refusal(capsys, network, own_market, "-q") == (
        "mot: Own: none of its 36 queries is in the gallery"
    )
    shutil.rmtree(own_market / "bounding_box_test")
    assert refusal(capsys, network, own_market).endswith("bounding_box_test: no such folder")


# Sequences.

GAP = 8


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """Rendered, 24 frames of 320x180."""
    folder = tmp_path_factory.mktemp("street") / "street"
    words = ["synth", "--scene", "crowd", "--size", "320x180", "--frames", "24", "-o", str(folder)]
    with pytest.raises(SystemExit) as end:
        main([*words, "--seed", "3"])
    assert end.value.code == 0
    return folder


@pytest.fixture
def own_street(street, tmp_path) -> Path:
    return Path(shutil.copytree(street, tmp_path / "own"))


def rewritten(folder: Path, change) -> Path:
    """Each row of the ground truth changed: a list of texts; None drops it."""
    path = folder / "gt/gt.txt"
    rows = [change(line.split(",")) for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(row) + "\n" for row in rows if row))
    return folder


def test_a_sequence_as_by_hand(street, network, tmp_path, capsys) -> None:
    words = [network, street, "--gap", GAP, "--every", 2, "--json", tmp_path / "s.json"]
    assert run(*words) == 0
    found = scores_in(tmp_path / "s.json", "street")
    rows, embedder = read_rows_of(street / "gt/gt.txt"), OnnxEmbedder(network)
    used = (rows.visibility >= 0.3) & (rows.frames % 2 == 1)
    vectors, ids, frames = [], [], []
    for frame in np.unique(rows.frames[used]).tolist():
        image = cv2.imread(str(street / f"img1/{frame:06}.jpg"))
        here = used & (rows.frames == frame)
        xyxy = rows.xywh[here] + np.pad(rows.xywh[here, :2], ((0, 0), (2, 0)))
        vectors += [*embedder(image, xyxy.astype(np.float32))]
        ids += rows.ids[here].tolist()
        frames += [frame] * int(here.sum())
    people = Looks(np.array(vectors), np.array(ids), np.array(frames))
    wanted = expected(people, people, by_frame(GAP))
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-3)
    assert found["queries"] + found["unanswerable"] == found["gallery"] == len(ids)
    assert f"left out: {found['unanswerable']} of {len(ids)} queries" in capsys.readouterr().err


def test_a_gap_that_leaves_nobody_is_named(street, network, capsys) -> None:
    line = refusal(capsys, network, street)
    assert line.startswith(
        f"mot: {street}: nobody is seen again 50 frames later, the longest for 23"
    )
    assert line.endswith("give a gap of 11")
    assert run(network, street, "--gap", 11, "-q") == 0


def test_one_that_is_too_short_does_not_stop_the_others(
    own_street, street, network, capsys
) -> None:
    short = own_street.parent / "both" / "short"
    shutil.copytree(street, short)
    rewritten(short, lambda row: row if int(row[0]) < 5 else None)
    (short.parent / "whole").symlink_to(street)
    assert run(network, short.parent, "--gap", GAP) == 0
    output = capsys.readouterr()
    assert [row.split()[0] for row in output.out.splitlines()[2:]] == ["whole"]
    assert f"left out: {short}: nobody is seen again {GAP} frames later" in output.err


def test_who_does_not_count(own_street, street) -> None:
    """Other classes, flags of 0, the hidden and the nameless; all count where nothing is told."""
    whole = read_galleries(street, GAP)[0]
    kept, *others = np.unique(whole.ids)[:5].astype(str).tolist()
    changes = [(7, "7"), (6, "0"), (8, "0.29"), (1, "-1")]
    changed = {kept: (8, "0.3"), **dict(zip(others, changes, strict=True))}

    def change(row: list[str]) -> list[str]:
        column, text = changed.get(row[1], (8, row[8]))
        return [*row[:column], text, *row[column + 1 :]]

    ids = read_galleries(rewritten(own_street, change), GAP)[0].ids
    assert set(np.unique(whole.ids)) - set(ids) == set(map(int, others))
    rewritten(own_street, lambda row: [*row[:7], "-4.15", "-7.3", "0"])  # places in the world
    rows = read_rows_of(own_street / "gt/gt.txt")
    counted = (rows.scores == 1) & (rows.ids > 0)
    assert len(read_galleries(own_street, GAP)[0].ids) == counted.sum() > len(ids)


def test_somebody_may_be_number_0(own_street, street) -> None:
    """Which is no distractor here."""
    rewritten(own_street, lambda row: [row[0], "0" if row[1] == "1" else row[1], *row[2:]])
    (before,), (after,) = (read_galleries(each, GAP) for each in (street, own_street))
    assert 0 not in after.ids
    assert len(np.unique(after.ids)) == len(np.unique(before.ids))


def test_crops_that_show_nothing_are_counted(own_street, network, tmp_path, capsys) -> None:
    """Outside of the picture, without an area; and a picture that is not there."""
    extra = ("3,90,-50,5,20,40,1,1,1", "3,91,400,5,20,40,1,1,1", "4,92,50,50,0,40,1,1,1")
    with (own_street / "gt/gt.txt").open("a") as file:
        file.writelines(f"{line}\n" for line in extra)
    (own_street / "img1/000007.jpg").unlink()
    words = [network, own_street, "--gap", GAP, "--json", tmp_path / "s.json"]
    assert run(*words) == 0
    lines = capsys.readouterr().err.splitlines()
    lost = int((read_galleries(own_street, GAP)[0].places == 7).sum())
    assert lines[:2] == [
        f"own: left out: {lost} crops whose pictures are missing or cannot be read (frame 7)",
        "own: left out: 3 crops without an area within their picture (frame 3)",
    ]
    total = len(read_galleries(own_street, GAP)[0].ids)
    assert scores_in(tmp_path / "s.json", "own")["gallery"] == total - lost - 3


def test_a_smaller_video_beside_the_truth(own_street, street, network, tmp_path) -> None:
    """Boxes are told in pixels of seqinfo.ini; frames that the video lacks are not used."""
    from mot.types import Frame
    from mot.video import VideoWriter

    with VideoWriter(own_street / "first.mp4", 25.0) as writer:
        for number in range(1, 21):
            image = cv2.imread(str(own_street / f"img1/{number:06}.jpg"))
            small = cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA)
            writer.write(Frame(small, number, (number - 1) / 25))
    shutil.rmtree(own_street / "img1")
    (large,), (small,) = (read_galleries(each, GAP) for each in (street, own_street))
    assert small.places.max() == 20
    assert isinstance(small.crops, Frames)
    there = large.places <= 20
    looked = [look(each.crops, OnnxEmbedder(network), lambda _: None) for each in (large, small)]
    likeness = (looked[0].vectors[there] * looked[1].vectors).sum(axis=1)
    assert np.median(likeness) > 0.98
    assert run(network, own_street, "--gap", GAP, "-q") == 0


def test_only_some_frames_of_a_long_sequence(tmp_path, own_street) -> None:
    """By itself every fifth of 800."""
    lines = [f"{frame},1,5,5,20,40,1,1,1" for frame in range(1, 801)]
    (own_street / "gt/gt.txt").write_text("\n".join(lines))
    for number in (24, 800):
        shutil.copy(own_street / "img1/000001.jpg", own_street / f"img1/{number:06}.jpg")
    assert read_galleries(own_street)[0].places.tolist() == [*range(1, 801, 5)]
    assert read_galleries(own_street, every=100)[0].places.tolist() == [*range(1, 801, 100)]


def test_sequences_of_one_base_are_one(street, tmp_path) -> None:
    for name in ("MOT17-02-DPM", "MOT17-02-SDP", "MOT17-04-SDP"):
        (tmp_path / name).symlink_to(street)
    names = [gallery.name for gallery in read_galleries(tmp_path, GAP)]
    assert names == ["MOT17-02-DPM", "MOT17-04-SDP"]


def test_several_are_shown_side_by_side(street, market, network, tmp_path, capsys) -> None:
    assert run(network, market, street, "--gap", GAP, "--plot", tmp_path / "plots") == 0
    output = capsys.readouterr()
    assert [row.split()[0] for row in output.out.splitlines()[2:]] == ["Market", "street"]
    for name in ("Market", "street"):
        for plot in ("distances.png", "confusions.png"):
            assert cv2.imread(str(tmp_path / "plots" / name / plot)).std() > 10


def test_plots_show_the_worst(market, network, tmp_path) -> None:
    folder = tmp_path / "plots"
    assert run(network, market, "--plot", folder, "-q") == 0
    sheet = cv2.imread(str(folder / "confusions.png"))
    for colour in ((200, 200, 200), (0, 120, 255), (80, 200, 0)):
        assert (sheet == colour).all(axis=2).sum() > 1000
    assert run(network, market, "--plot", folder, "-q") == 2
    assert run(network, market, "--plot", folder, "-q", "--overwrite") == 0


def test_a_perfect_embedder_can_be_drawn(tmp_path, network) -> None:
    """One person alone: there is nobody to be confused with."""
    folder = tmp_path / "Few"
    for camera, part in ((1, "query"), (2, "bounding_box_test")):
        write_picture(folder / part / f"0001_c{camera}s1_000001_01.png", np.array([9, 90, 200]))
    assert run(network, folder, "--plot", tmp_path / "plots", "--json", tmp_path / "s.json") == 0
    assert scores_in(tmp_path / "s.json", "Few")["equal_error"] == {"distance": None, "share": None}
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["distances.png"]


# What is wrong.


@pytest.mark.parametrize("scale", [np.nan, 0.0])
def test_vectors_that_say_nothing_are_refused(market, tmp_path, capsys, scale) -> None:
    path = mean_colour(tmp_path, scale=scale)
    assert refusal(capsys, path, market) == (
        f"mot: {path}: all of its vectors are zero or not finite"
    )


def test_vectors_that_are_not_finite_are_refused(market, network, monkeypatch, capsys) -> None:
    from mot.commands import eval_embedder as work

    def broken(image, xyxy) -> np.ndarray:
        vectors = np.ones((len(xyxy), 3), np.float32)
        vectors[0] = np.nan
        return vectors

    monkeypatch.setattr(work, "open_embedder", lambda name, device: broken)
    assert refusal(capsys, network, market).endswith("of its vectors are not finite")
    monkeypatch.setattr(work, "open_embedder", lambda name, device: half_blind)
    assert run(network, market) == 0
    assert "vectors are zero: they are like nobody" in capsys.readouterr().err


def half_blind(image, xyxy) -> np.ndarray:
    vectors = np.ones((len(xyxy), 3), np.float32)
    vectors[::2] = 0
    return vectors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["net.onnx"], "net.onnx: not a folder"),
        (["empty"], "holds neither query/ and bounding_box_test/, as Market-1501 does, nor"),
        (["blind", "--gap", "1"], "blind: has no pictures to look at: no img1/, and no video"),
        (["market", "market"], "two data sets are called 'market'"),
        (["market", "--json", "net.onnx", "--overwrite"], "net.onnx: is what is read"),
        (["market", "--json", "old.json"], "old.json: exists: give --overwrite"),
        (["market", "--device", "tpu"], "--device tpu: give cpu, cuda, cuda:1 or auto"),
        (["market", "--gap", "0"], "0 is not in the range"),
        ([], "Missing argument"),
    ],
)
def test_wrong_words_are_named_in_one_line(here, capsys, words, says) -> None:
    assert says in refusal(capsys, "net.onnx", *words)


@pytest.fixture
def here(market, network, tmp_path, monkeypatch) -> None:
    """A folder with these things in it, to be in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market").symlink_to(market)
    (tmp_path / "net.onnx").symlink_to(network)
    (tmp_path / "old.json").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "blind/gt").mkdir(parents=True)
    (tmp_path / "blind/gt/gt.txt").write_text("1,1,5,5,20,40,1,1,1\n2,1,5,5,20,40,1,1,1\n")


def test_an_embedder_that_is_not_there(market, capsys) -> None:
    assert refusal(capsys, "gone.onnx", market) == "mot: gone.onnx: no such file"
    line = refusal(capsys, "osnet_x0_25_msmt17", market)
    assert line.endswith("no such file: mot models get osnet_x0_25_msmt17")


def test_a_device_is_taken(network) -> None:
    image, box = np.zeros((9, 9, 3), np.uint8), np.array([[0, 0, 9, 9]], np.float32)
    for device in ("auto", "cpu"):
        assert open_embedder(str(network), 1, device)(image, box).shape == (1, 3)


# The real network.


def test_osnet_tells_people_apart(shared, tmp_path) -> None:
    """Of frames 1, 11 and 21 of a clip from a camera that stands still."""
    network = shared / "data/weights/osnet_x0_25_msmt17.onnx"
    words = ["--gap", 20, "--every", 10, "--json", tmp_path / "s.json", "-q"]
    assert run(network, shared / "data/mot17/MOT17-02", *words) == 0
    found = scores_in(tmp_path / "s.json", "MOT17-02")
    assert found["rank-1"] > 0.9 and found["mAP"] > 0.9
