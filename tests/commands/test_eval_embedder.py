"""`mot eval-embedder`: Market-1501 folders, rendered sequences, and bad input.

The embedder returns the mean color of a crop, so that expected scores need no network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from support.embedders import MEAN, STD, mean_color
from support.retrieval import by_camera, by_frame, one_by_one

from mot.cli import main
from mot.datasets.market import read_crop_folder
from mot.motfile import read_mot_rows
from mot.reid.embedder import OnnxEmbedder
from mot.reid.evaluation.crops import CropFiles, FrameCrops, embed_crops, read_crops
from mot.reid.evaluation.galleries import read_galleries
from mot.reid.evaluation.retrieval import IdentityEmbeddings
from mot.reid.open import open_embedder

RNG = np.random.default_rng(0)


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(["eval-embedder", *map(str, words)])
    return end.value.code


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one-line error of a command that must fail."""
    capsys.readouterr()
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# A Market-1501 folder of images of one color each.


def write_image(path: Path, color: np.ndarray, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, height // 2, 3), color, np.uint8))


def fake_market(folder: Path, ids: int = 12) -> Path:
    """Each id from three cameras, between which colors differ, with junk and distractors."""
    colors = RNG.integers(20, 236, (ids, 3))
    for part, count in (("query", 1), ("bounding_box_test", 2)):
        for person, color in enumerate(colors, 1):
            for camera in (1, 2, 3):
                for number in range(1, count + 1):
                    shade = np.clip(color + RNG.integers(-45, 46, 3), 0, 255)
                    name = f"{person:04}_c{camera}s1_{number:06}_01.png"
                    write_image(folder / part / name, shade, int(RNG.integers(12, 80)))
    for number in range(20):
        for person in ("0000", "-1"):
            name = f"{person}_c{number % 6 + 1}s2_{number:06}_02.png"
            write_image(folder / "bounding_box_test" / name, RNG.integers(0, 256, 3))
    (folder / "query/Thumbs.db").write_bytes(b"\0")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return mean_color(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    return fake_market(tmp_path_factory.mktemp("data") / "Market")


@pytest.fixture
def own_market(market, tmp_path) -> Path:
    """A copy to modify."""
    return Path(shutil.copytree(market, tmp_path / "Own"))


def expected_embeddings(folder: Path) -> IdentityEmbeddings:
    """The embeddings of the images of a folder."""
    vectors, ids, cameras = [], [], []
    for path in sorted(folder.glob("*.png")):
        person, camera = path.name.split("_")[:2]
        vectors.append((cv2.imread(str(path))[0, 0, ::-1] / 255 - MEAN) / STD)
        ids.append(int(person))
        cameras.append(int(camera[1]))
    return IdentityEmbeddings(np.array(vectors, np.float32), np.array(ids), np.array(cameras))


def scores_in(path: Path, name: str) -> dict[str, float]:
    return json.loads(path.read_text())["data"][name]


def expected(queries: IdentityEmbeddings, gallery: IdentityEmbeddings, rule) -> dict[str, float]:
    precisions, ranks = map(np.array, zip(*one_by_one(queries, gallery, rule), strict=True))
    answered = ranks[ranks > 0]
    rates = {f"rank-{count}": (answered <= count).mean() for count in (1, 5, 10)}
    return {"queries": len(answered), "mAP": np.nanmean(precisions), **rates}


def test_market_equals_a_loop(market, network, tmp_path, capsys) -> None:
    assert run(network, market, "--json", tmp_path / "s.json") == 0
    output = capsys.readouterr()
    assert output.err == ""  # Thumbs.db is ignored silently
    found = scores_in(tmp_path / "s.json", "Market")
    wanted = expected(
        *(expected_embeddings(market / part) for part in ("query", "bounding_box_test")), by_camera
    )
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert (found["queries"], found["gallery"], found["ids"]) == (36, 12 * 3 * 2 + 20, 12)
    assert 0.2 < found["mAP"] < 0.99  # neither trivial nor impossible
    header, _, row = output.out.splitlines()
    assert header.split() == [
        *("color", "queries", "gallery", "ids", "rank-1", "rank-5", "rank-10", "mAP", "crops/s")
    ]
    assert row.split()[:4] == ["Market", "36", "92", "12"]
    assert row.split()[4] == f"{100 * found['rank-1']:.1f}"


def test_batched_crop_files_equal_single_ones(market, network) -> None:
    """Several files are embedded as one image, which changes nothing."""
    (gallery,) = read_galleries(market)
    counts: list[int] = []
    embedded = embed_crops(gallery.crops, OnnxEmbedder(network), counts.append)
    assert sum(counts) == len(gallery.crops) == len(gallery.ids)
    assert len(counts) == gallery.crops.batch_count > 1
    assert isinstance(gallery.crops, CropFiles)
    for row in (0, 63, 64, len(gallery.ids) - 1):
        image = cv2.imread(str(gallery.crops.paths[row]))
        box = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        np.testing.assert_array_equal(embedded.vectors[row], OnnxEmbedder(network)(image, box)[0])
        np.testing.assert_array_equal(read_crops(gallery.crops, np.array([row]))[row], image)


def test_file_names_contain_id_and_camera(tmp_path) -> None:
    names = (
        *("0002_c1s1_000451_03.jpg", "1501_c6s4_001877_02.JPG", "0007_c12_f0046985.png"),
        *("-1_c3s2_000001_00.jpg", "0000_c4s1_000151_01.jpg"),
        *("note.txt", "0002.jpg", "c1s1_000451.jpg", ".DS_Store", "Thumbs.db"),
    )
    for name in names:
        (tmp_path / name).touch()
    found = read_crop_folder(tmp_path)
    assert found.ids.tolist() == [0, 2, 7, 1501]
    assert found.cameras.tolist() == [4, 1, 12, 6]
    assert found.unnamed == ("0002.jpg", "c1s1_000451.jpg", "note.txt")


def test_id_0_may_be_an_identity(own_market) -> None:
    """If a query has id 0, it is no distractor."""
    for path in own_market.glob("*/0000_*"):
        path.unlink()
    (before,) = read_galleries(own_market)
    for path in own_market.glob("*/0001_*"):
        path.rename(path.with_name(path.name.replace("0001_", "0000_", 1)))
    (after,) = read_galleries(own_market)
    assert after.ids.min() == 1
    assert len(np.unique(after.ids)) == len(np.unique(before.ids))


def test_other_files_are_reported(own_market, network, capsys) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (own_market / "query" / name).touch()
    assert run(network, own_market) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"{own_market}/query: left out 4 files without an id in their name "
        "(a.txt, b.txt, c.txt, ...)"
    )
    assert run(network, own_market, "-q") == 0
    assert capsys.readouterr().err == ""


def test_unreadable_images_are_left_out(own_market, network, tmp_path, capsys) -> None:
    (own_market / "query/0001_c1s1_000001_01.png").write_bytes(b"")
    path = own_market / "bounding_box_test/0002_c1s1_000001_01.png"
    path.write_bytes(path.read_bytes()[:-20])
    assert run(network, own_market, "--json", tmp_path / "s.json") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "Own: left out: 2 crops whose images are missing or cannot be read "
        "(query/0001_c1s1_000001_01.png)"
    )
    found = scores_in(tmp_path / "s.json", "Own")
    assert (found["queries"], found["gallery"]) == (35, 91)


def test_incomplete_market_folders(own_market, network, capsys) -> None:
    for path in (own_market / "bounding_box_test").iterdir():
        path.write_bytes(b"no image")
    assert refusal(capsys, network, own_market, "-q") == (
        "mot: Own: no crop of the gallery is usable"
    )
    for path in (own_market / "bounding_box_test").iterdir():
        path.unlink()
    assert "bounding_box_test: has no image named like 0001_c1s1" in refusal(
        capsys, network, own_market
    )
    (own_market / "bounding_box_test/cat.jpg").touch()
    assert refusal(capsys, network, own_market).endswith(".jpg (but cat.jpg)")
    write_image(own_market / "bounding_box_test/0099_c1s1_000001_01.png", np.zeros(3))
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


def rewrite_gt(folder: Path, change) -> Path:
    """Change each row of the ground truth, a list of texts; None drops it."""
    path = folder / "gt/gt.txt"
    rows = [change(line.split(",")) for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(row) + "\n" for row in rows if row))
    return folder


def test_a_sequence_equals_a_loop(street, network, tmp_path, capsys) -> None:
    words = [network, street, "--gap", GAP, "--every", 2, "--json", tmp_path / "s.json"]
    assert run(*words) == 0
    found = scores_in(tmp_path / "s.json", "street")
    rows, embedder = read_mot_rows(street / "gt/gt.txt"), OnnxEmbedder(network)
    used = (rows.visibility >= 0.3) & (rows.frames % 2 == 1)
    vectors, ids, frames = [], [], []
    for frame in np.unique(rows.frames[used]).tolist():
        image = cv2.imread(str(street / f"img1/{frame:06}.jpg"))
        here = used & (rows.frames == frame)
        xyxy = rows.xywh[here] + np.pad(rows.xywh[here, :2], ((0, 0), (2, 0)))
        vectors += [*embedder(image, xyxy.astype(np.float32))]
        ids += rows.ids[here].tolist()
        frames += [frame] * int(here.sum())
    objects = IdentityEmbeddings(np.array(vectors), np.array(ids), np.array(frames))
    wanted = expected(objects, objects, by_frame(GAP))
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-3)
    assert found["queries"] + found["unanswerable"] == found["gallery"] == len(ids)
    assert f"left out: {found['unanswerable']} of {len(ids)} queries" in capsys.readouterr().err


def test_a_gap_without_matches_is_rejected(street, network, capsys) -> None:
    line = refusal(capsys, network, street)
    assert line.startswith(f"mot: {street}: no object appears 50 frames later, the longest 23")
    assert line.endswith("give a gap of 11")
    assert run(network, street, "--gap", 11, "-q") == 0


def test_a_short_sequence_does_not_stop_the_others(own_street, street, network, capsys) -> None:
    short = own_street.parent / "both" / "short"
    shutil.copytree(street, short)
    rewrite_gt(short, lambda row: row if int(row[0]) < 5 else None)
    (short.parent / "full").symlink_to(street)
    assert run(network, short.parent, "--gap", GAP) == 0
    output = capsys.readouterr()
    assert [row.split()[0] for row in output.out.splitlines()[2:]] == ["full"]
    assert f"left out: {short}: no object appears {GAP} frames later" in output.err


def test_rows_that_do_not_count(own_street, street) -> None:
    """Other classes, flags of 0, low visibility, id -1; all count without these columns."""
    full = read_galleries(street, GAP)[0]
    kept, *others = np.unique(full.ids)[:5].astype(str).tolist()
    changes = [(7, "7"), (6, "0"), (8, "0.29"), (1, "-1")]
    changed = {kept: (8, "0.3"), **dict(zip(others, changes, strict=True))}

    def change(row: list[str]) -> list[str]:
        column, text = changed.get(row[1], (8, row[8]))
        return [*row[:column], text, *row[column + 1 :]]

    ids = read_galleries(rewrite_gt(own_street, change), GAP)[0].ids
    assert set(np.unique(full.ids)) - set(ids) == set(map(int, others))
    rewrite_gt(own_street, lambda row: [*row[:7], "-4.15", "-7.3", "0"])  # world coordinates
    rows = read_mot_rows(own_street / "gt/gt.txt")
    counted = (rows.scores == 1) & (rows.ids > 0)
    assert len(read_galleries(own_street, GAP)[0].ids) == counted.sum() > len(ids)


def test_id_0_of_a_sequence_is_an_identity(own_street, street) -> None:
    """Not a distractor, as in Market-1501."""
    rewrite_gt(own_street, lambda row: [row[0], "0" if row[1] == "1" else row[1], *row[2:]])
    (before,), (after,) = (read_galleries(each, GAP) for each in (street, own_street))
    assert 0 not in after.ids
    assert len(np.unique(after.ids)) == len(np.unique(before.ids))


def test_unusable_crops_are_reported(own_street, network, tmp_path, capsys) -> None:
    """Outside of the image, without an area, or of a missing image."""
    extra = ("3,90,-50,5,20,40,1,1,1", "3,91,400,5,20,40,1,1,1", "4,92,50,50,0,40,1,1,1")
    with (own_street / "gt/gt.txt").open("a") as file:
        file.writelines(f"{line}\n" for line in extra)
    (own_street / "img1/000007.jpg").unlink()
    words = [network, own_street, "--gap", GAP, "--json", tmp_path / "s.json"]
    assert run(*words) == 0
    lines = capsys.readouterr().err.splitlines()
    lost = int((read_galleries(own_street, GAP)[0].views == 7).sum())
    assert lines[:2] == [
        f"own: left out: {lost} crops whose images are missing or cannot be read (frame 7)",
        "own: left out: 3 crops without pixels inside their images (frame 3)",
    ]
    total = len(read_galleries(own_street, GAP)[0].ids)
    assert scores_in(tmp_path / "s.json", "own")["gallery"] == total - lost - 3


def test_a_smaller_copy_of_the_video(own_street, street, network, tmp_path) -> None:
    """Boxes are in pixels of seqinfo.ini; frames missing in the video are not used."""
    from mot.types import Frame
    from mot.video import VideoWriter

    with VideoWriter(own_street / "first.mp4", 25.0) as writer:
        for number in range(1, 21):
            image = cv2.imread(str(own_street / f"img1/{number:06}.jpg"))
            small = cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA)
            writer.write(Frame(small, number, (number - 1) / 25))
    shutil.rmtree(own_street / "img1")
    (large,), (small,) = (read_galleries(each, GAP) for each in (street, own_street))
    assert small.views.max() == 20
    assert isinstance(small.crops, FrameCrops)
    there = large.views <= 20
    embedded = [
        embed_crops(each.crops, OnnxEmbedder(network), lambda _: None) for each in (large, small)
    ]
    similarity = (embedded[0].vectors[there] * embedded[1].vectors).sum(axis=1)
    assert np.median(similarity) > 0.98
    assert run(network, own_street, "--gap", GAP, "-q") == 0


def test_long_sequences_are_sampled(tmp_path, own_street) -> None:
    """By default, every fifth frame of 800."""
    lines = [f"{frame},1,5,5,20,40,1,1,1" for frame in range(1, 801)]
    (own_street / "gt/gt.txt").write_text("\n".join(lines))
    for number in (24, 800):
        shutil.copy(own_street / "img1/000001.jpg", own_street / f"img1/{number:06}.jpg")
    assert read_galleries(own_street)[0].views.tolist() == [*range(1, 801, 5)]
    assert read_galleries(own_street, every=100)[0].views.tolist() == [*range(1, 801, 100)]


def test_sequences_of_one_base_name_count_once(street, tmp_path) -> None:
    for name in ("MOT17-02-DPM", "MOT17-02-SDP", "MOT17-04-SDP"):
        (tmp_path / name).symlink_to(street)
    names = [gallery.name for gallery in read_galleries(tmp_path, GAP)]
    assert names == ["MOT17-02-DPM", "MOT17-04-SDP"]


def test_several_datasets_are_shown_together(street, market, network, tmp_path, capsys) -> None:
    assert run(network, market, street, "--gap", GAP, "--plot", tmp_path / "plots") == 0
    output = capsys.readouterr()
    assert [row.split()[0] for row in output.out.splitlines()[2:]] == ["Market", "street"]
    for name in ("Market", "street"):
        for plot in ("distances.png", "confusions.png"):
            assert cv2.imread(str(tmp_path / "plots" / name / plot)).std() > 10


def test_plots_show_confusions(market, network, tmp_path) -> None:
    folder = tmp_path / "plots"
    assert run(network, market, "--plot", folder, "-q") == 0
    sheet = cv2.imread(str(folder / "confusions.png"))
    for color in ((200, 200, 200), (0, 120, 255), (80, 200, 0)):
        assert (sheet == color).all(axis=2).sum() > 1000
    assert run(network, market, "--plot", folder, "-q") == 2
    assert run(network, market, "--plot", folder, "-q", "--overwrite") == 0


def test_a_perfect_embedder_has_no_confusions(tmp_path, network) -> None:
    """With a single identity, nothing can be confused."""
    folder = tmp_path / "Few"
    for camera, part in ((1, "query"), (2, "bounding_box_test")):
        write_image(folder / part / f"0001_c{camera}s1_000001_01.png", np.array([9, 90, 200]))
    assert run(network, folder, "--plot", tmp_path / "plots", "--json", tmp_path / "s.json") == 0
    assert scores_in(tmp_path / "s.json", "Few")["equal_error"] == {"distance": None, "rate": None}
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["distances.png"]


# Bad input.


@pytest.mark.parametrize("scale", [np.nan, 0.0])
def test_zero_embeddings_are_rejected(market, tmp_path, capsys, scale) -> None:
    path = mean_color(tmp_path, scale=scale)
    assert refusal(capsys, path, market) == (
        f"mot: {path}: all of its embeddings are zero or not finite"
    )


def test_embeddings_that_are_not_finite_are_rejected(market, network, monkeypatch, capsys) -> None:
    from mot.commands import eval_embedder as work

    def broken(image, xyxy) -> np.ndarray:
        vectors = np.ones((len(xyxy), 3), np.float32)
        vectors[0] = np.nan
        return vectors

    monkeypatch.setattr(work, "open_embedder", lambda name, device: broken)
    assert refusal(capsys, network, market).endswith("of its embeddings are not finite")
    monkeypatch.setattr(work, "open_embedder", lambda name, device: half_zero)
    assert run(network, market) == 0
    assert "embeddings are zero and match nothing" in capsys.readouterr().err


def half_zero(image, xyxy) -> np.ndarray:
    vectors = np.ones((len(xyxy), 3), np.float32)
    vectors[::2] = 0
    return vectors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["net.onnx"], "net.onnx: not a folder"),
        (["empty"], "contains neither query/ and bounding_box_test/, as Market-1501, nor"),
        (["blind", "--gap", "1"], "blind: has no images: no img1/ and no video"),
        (["market", "market"], "two datasets are named 'market'"),
        (["market", "--json", "net.onnx", "--overwrite"], "net.onnx: is an input too"),
        (["market", "--json", "old.json"], "old.json: exists: give --overwrite"),
        (["market", "--device", "tpu"], "--device tpu: give cpu, cuda, cuda:1 or auto"),
        (["market", "--gap", "0"], "0 is not in the range"),
        ([], "Missing argument"),
    ],
)
def test_bad_arguments_are_reported_in_one_line(here, capsys, words, message) -> None:
    assert message in refusal(capsys, "net.onnx", *words)


@pytest.fixture
def here(market, network, tmp_path, monkeypatch) -> None:
    """The current folder, with these files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market").symlink_to(market)
    (tmp_path / "net.onnx").symlink_to(network)
    (tmp_path / "old.json").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "blind/gt").mkdir(parents=True)
    (tmp_path / "blind/gt/gt.txt").write_text("1,1,5,5,20,40,1,1,1\n2,1,5,5,20,40,1,1,1\n")


def test_a_missing_embedder(market, capsys) -> None:
    assert refusal(capsys, "gone.onnx", market) == "mot: gone.onnx: no such file"
    line = refusal(capsys, "osnet_x0_25_msmt17", market)
    assert line.endswith("no such file: mot models get osnet_x0_25_msmt17")


def test_devices(network) -> None:
    image, box = np.zeros((9, 9, 3), np.uint8), np.array([[0, 0, 9, 9]], np.float32)
    for device in ("auto", "cpu"):
        assert open_embedder(str(network), 1, device)(image, box).shape == (1, 3)


# A real network.


def test_osnet_scores_of_a_real_sequence(shared, tmp_path) -> None:
    """Frames 1, 11 and 21 of a clip of a static camera."""
    network = shared / "data/weights/osnet_x0_25_msmt17.onnx"
    words = ["--gap", 20, "--every", 10, "--json", tmp_path / "s.json", "-q"]
    assert run(network, shared / "data/mot17/MOT17-02", *words) == 0
    found = scores_in(tmp_path / "s.json", "MOT17-02")
    assert found["rank-1"] > 0.9 and found["mAP"] > 0.9
