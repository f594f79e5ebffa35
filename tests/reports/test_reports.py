"""Sheets of tracking errors, and plots."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mot.errors import MotError
from mot.evaluation.breakdown import by_frame
from mot.evaluation.diagnosis.with_gt.diagnosis import TrackingError, diagnose
from mot.evaluation.entries import pair_results
from mot.evaluation.hota import ALPHAS
from mot.evaluation.loading import LoadedSequence, load_sequence
from mot.evaluation.protocols import PROTOCOLS, apply_protocol
from mot.evaluation.score import Matches, count_matches, match_boxes
from mot.evaluation.summary import summarize
from mot.files import write_bytes
from mot.image_size import image_size
from mot.render import color_of
from mot.reports.canvas import BLACK, BLUE, ORANGE
from mot.reports.error_sheets import draw_errors
from mot.reports.plots import _COUNTS, plot_hota, plot_over_time, plot_timeline, plot_track_lengths
from mot.types import Frame
from mot.video import open_writer

GREY = 90
SIZE, LENGTH = (640, 480), 40
GT_BOXES = {7: (100, 100, 40, 100), 8: (400, 200, 30, 90)}


def matches_of(loaded: LoadedSequence) -> Matches:
    classes = apply_protocol(loaded.gt, loaded.result, loaded.length, loaded.protocol)
    return match_boxes(next(iter(classes.values())))


def sequence(
    root: Path, images: range = range(1, LENGTH + 1), size: tuple[int, int] = SIZE
) -> tuple[Path, Path]:
    """Gt 7 is id 70, from frame 21 on id 71, missed in 11 to 13; id 90 is a false positive."""
    folder = root / "seq"
    (folder / "gt").mkdir(parents=True)
    gt = [(f, i, *box) for f in range(1, LENGTH + 1) for i, box in GT_BOXES.items()]
    result = [
        (f, number + (f > 20) if (number := 10 * i) == 70 else number, *box)
        for f, i, *box in gt
        if not (i == 7 and 11 <= f <= 13)
    ]
    result += [(f, 90, 250, 50, 60, 120) for f in range(25, 31)]
    for path, rows in ((folder / "gt/gt.txt", gt), (root / "seq.txt", result)):
        path.write_text("".join(",".join(map(str, row)) + ",1,1,1\n" for row in rows))
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=seq\nframeRate=10\nseqLength={LENGTH}\n"
        f"imWidth={SIZE[0]}\nimHeight={SIZE[1]}\nimDir=img1\n"
    )
    (folder / "img1").mkdir()
    for number in images:
        cv2.imwrite(str(folder / f"img1/{number:06}.png"), blank(*size))
    return folder, root / "seq.txt"


def blank(width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def video(path: Path, frames: int, size: tuple[int, int] = SIZE) -> None:
    with open_writer(path, 10.0) as writer:
        for index in range(1, frames + 1):
            writer.write(Frame(blank(*size), index, index / 10))


def drawn(
    folder: Path, result: Path, out: Path, frames: Path | None = None, max_per_kind: int = 20
) -> dict[str, npt.NDArray[np.uint8]]:
    loaded = load_sequence(pair_results(result, folder)[0], PROTOCOLS["plain"])
    errors = diagnose(loaded, matches_of(loaded))
    paths = draw_errors(loaded, errors, out, frames, max_per_kind)
    assert paths == sorted(out.glob("*")) if out.exists() else not paths
    return {path.stem: cv2.imread(str(path)) for path in paths}


ALL = {
    "seq-switch-000021-id7",
    "seq-fragment-000014-id7",
    "seq-miss-000011-id7",
    "seq-false-positive-000025-id90",
}


def has(image: npt.NDArray[np.uint8], color: tuple[int, int, int]) -> int:
    return int((image == color).all(axis=2).sum())


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sheets")
    return drawn(*sequence(root), root / "out")


def test_a_sheet_for_each_error(sheets):
    assert set(sheets) == ALL
    for image in sheets.values():
        height, width = image.shape[:2]
        assert 300 < height < 700 and 480 <= width < 2000


def test_ids_are_drawn_in_their_colors(sheets):
    """Only ids concerned by the error are drawn thick and labeled."""
    switch, false_positive = (
        sheets["seq-switch-000021-id7"],
        sheets["seq-false-positive-000025-id90"],
    )
    assert has(switch, color_of(70)) > 300 and has(switch, color_of(71)) > 300
    left, right = np.array_split(switch, 2, axis=1)  # before and after
    assert has(left, color_of(71)) == has(right, color_of(70)) == 0
    assert (
        has(false_positive, color_of(90))
        > 900
        > has(false_positive, color_of(70)) + has(false_positive, color_of(80))
    )
    assert has(sheets["seq-miss-000011-id7"], color_of(70)) == 0


def test_gt_boxes_are_dashed_in_white(sheets):
    """With a margin of 1.5 heights on each side, the box takes a quarter of the panel."""
    panel = sheets["seq-miss-000011-id7"][-380:, :300]
    rows, columns = np.nonzero((panel == 255).all(axis=2))
    dashes = columns == columns.min()  # the left edge, without the label below
    assert np.ptp(rows[dashes]) == pytest.approx(380 / 4, abs=12)
    assert 20 < dashes.sum() < 80  # not a line


def test_errors_without_images_are_skipped(tmp_path):
    """Runs show their available frames; errors outside of them are skipped."""
    available = drawn(*sequence(tmp_path, images=range(1, 13)), tmp_path / "out")
    assert set(available) == {"seq-miss-000011-id7"}
    none = drawn(tmp_path / "seq", tmp_path / "seq.txt", tmp_path / "none", max_per_kind=0)
    assert none == {}


def test_no_sheets_without_frames(tmp_path):
    folder, result = sequence(tmp_path, images=range(0))
    assert drawn(folder, result, tmp_path / "out") == {}
    assert drawn(folder / "gt/gt.txt", result, tmp_path / "out") == {}
    loose = tmp_path / "seq.gt.txt"
    loose.write_bytes((folder / "gt/gt.txt").read_bytes())
    assert drawn(loose, result, tmp_path / "out") == {}


@pytest.mark.parametrize(
    "location", ["in the folder", "a file", "a folder", "a folder of sequences"]
)
def test_frames_of_a_video(tmp_path, location):
    folder, result = sequence(tmp_path, images=range(0))
    paths = {
        "in the folder": (folder / "first30.mp4", None),
        "a file": (tmp_path / "any.mp4", tmp_path / "any.mp4"),
        "a folder": (tmp_path / "films/one.mp4", tmp_path / "films"),
        "a folder of sequences": (tmp_path / "films/seq/two.mp4", tmp_path / "films"),
    }
    path, given = paths[location]
    path.parent.mkdir(parents=True, exist_ok=True)
    video(path, 22)
    found = drawn(folder, result, tmp_path / "out", given)
    assert set(found) == ALL - {"seq-false-positive-000025-id90"}


def test_of_several_videos_the_one_named_like_the_sequence(tmp_path):
    folder, result = sequence(tmp_path, images=range(0))
    video(folder / "a.mp4", 3)
    video(folder / "b.mp4", 3)
    assert drawn(folder, result, tmp_path / "out") == {}
    video(folder / "seq.mp4", 15)
    assert len(drawn(folder, result, tmp_path / "out")) == 2


def test_a_smaller_copy_of_the_frames(tmp_path):
    folder, result = sequence(tmp_path, size=(320, 240))
    found = drawn(folder, result, tmp_path / "out")
    switch = found["seq-switch-000021-id7"]
    rows, columns = np.nonzero((switch == color_of(71)).all(axis=2))
    panel = switch.shape[1] // 2
    assert 0.2 < np.median(columns - panel) / panel < 0.8  # the object is in the middle
    assert len(rows) > 300


def test_frames_of_a_split_are_numbered_in_the_full_sequence(tmp_path):
    folder, result = sequence(tmp_path)
    loaded = load_sequence(pair_results(result, folder)[0], PROTOCOLS["plain"], "val-half")
    errors = diagnose(loaded, matches_of(loaded))
    paths = draw_errors(loaded, errors, tmp_path / "out")
    assert [error.first_frame for error in errors] == [4]
    assert [path.name for path in paths] == ["seq-false-positive-000025-id90.png"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [("missing.mp4", "not found"), ("empty", "no images"), ("bad.mp4", "bad.mp4")],
)
def test_unusable_frames(tmp_path, given, fault):
    folder, result = sequence(tmp_path, images=range(0))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(MotError, match=fault) as caught:
        drawn(folder, result, tmp_path / "out", tmp_path / given)
    assert "\n" not in str(caught.value)


def test_a_broken_image_is_skipped(tmp_path):
    folder, result = sequence(tmp_path)
    (folder / "img1/000012.png").write_bytes(b"not an image")
    found = drawn(folder, result, tmp_path / "out")
    assert set(found) == ALL - {"seq-miss-000011-id7", "seq-fragment-000014-id7"}


def test_boxes_beyond_the_frame(tmp_path):
    folder, result = sequence(tmp_path)
    for path in (folder / "gt/gt.txt", result):
        far = "".join(f"{frame},55,-4e8,1e8,3e8,2e8,1,1,1\n" for frame in range(1, 20))
        near = "".join(f"{frame},56,600,400,500,0,1,1,1\n" for frame in range(1, 20))
        path.write_text(path.read_text() + (far if path == result else near + far))
    found = drawn(folder, result, tmp_path / "out")
    assert ALL | {"seq-miss-000001-id56"} <= set(found)


def test_real_frames(shared, tmp_path):
    """30 frames of a real sequence, with its ground truth and changed ids as the result."""
    folder = shared / "data/mot17/MOT17-05"
    rows = np.loadtxt(folder / "gt/gt.txt", delimiter=",")
    rows = rows[(rows[:, 7] == 1) & (rows[:, :2].sum(axis=1) % 7 > 1)][:, :7]
    rows[:, 1] += 1000 * (rows[:, 0] > 15)
    np.savetxt(tmp_path / "MOT17-05.txt", rows, fmt="%g", delimiter=",")
    loaded = load_sequence(pair_results(tmp_path / "MOT17-05.txt", folder)[0])
    errors = diagnose(loaded, matches_of(loaded))
    paths = draw_errors(loaded, errors, tmp_path / "out", max_per_kind=3)
    kinds = Counter(path.name.split("-")[2] for path in paths)
    assert kinds == {"switch": 3, "fragment": 3, "miss": 3}
    for path in paths:
        width, height = image_size(path) or (0, 0)
        assert 480 <= width <= 2000 and 300 <= height <= 700


# Plots.


def plotted(path: Path) -> npt.NDArray[np.uint8]:
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [path.name] == [each.name for each in path.parent.iterdir()]
    image = cv2.imread(str(path))
    assert 300 < image.shape[0] < 1500 and 700 < image.shape[1] < 1500
    return image


def count_color(image: npt.NDArray[np.uint8], color: str) -> int:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return has(image, (blue, green, red))


@pytest.fixture(scope="module")
def matches(tmp_path_factory):
    folder, result = sequence(tmp_path_factory.mktemp("plots"), images=range(0))
    return matches_of(load_sequence(pair_results(result, folder)[0], PROTOCOLS["plain"]))


def test_hota_of_one_and_of_several(tmp_path, matches):
    score = {"pedestrian": count_matches(matches)}
    plot_hota(summarize({"only": score}).curves, tmp_path / "one/hota.png")
    one = plotted(tmp_path / "one/hota.png")
    plot_hota(summarize({"a": score, "b": score}).curves, tmp_path / "two/hota.png")
    two = plotted(tmp_path / "two/hota.png")
    assert count_color(one, BLACK) > 200 and count_color(one, BLUE) > 200
    assert two.shape[0] > one.shape[0]


def test_lines_are_at_their_values(tmp_path):
    """0.5 lies halfway between 0.25 and 0.75."""
    rows = {}
    for value in (0.25, 0.5, 0.75):
        curve = np.full(len(ALPHAS), value)
        path = tmp_path / f"{value}/hota.png"
        plot_hota({"a": dict.fromkeys(("HOTA", "DetA", "AssA", "LocA"), curve)}, path)
        image = plotted(path)
        red, green, blue = 0x00, 0x9E, 0x73  # the last line lies on top
        green_rows = np.nonzero((image[:, :600] == (blue, green, red)).all(axis=2))[0]
        rows[value] = np.median(green_rows)
    assert rows[0.5] == pytest.approx((rows[0.25] + rows[0.75]) / 2, abs=2)
    assert rows[0.25] > rows[0.5] + 50


def test_many_names_of_any_script(tmp_path, matches):
    """Without warnings, which are errors in these tests."""
    curves = summarize({"a": {"pedestrian": count_matches(matches)}}).curves["a"]
    names = ["_hidden", "$1$ and $", "\u8857\u9053", "a" * 40, *map(str, range(16))]
    plot_hota(dict.fromkeys(names, curves), tmp_path / "hota.png")
    plotted(tmp_path / "hota.png")
    plot_hota({"$_{": curves}, tmp_path / "hota.png")


def test_over_time(tmp_path, matches):
    plot_over_time(by_frame(matches), 10.0, tmp_path / "time.png")
    image = plotted(tmp_path / "time.png")
    assert (
        count_color(image, BLACK) > 500
        and count_color(image, BLUE) > 200
        and count_color(image, ORANGE) > 200
    )


def test_counts_by_frame(matches):
    gt, result, matched, switches = by_frame(matches)[:, _COUNTS].T
    seq, clear = matches.seq, matches.clear
    assert gt.tolist() == seq.gt.boxes_per_frame.tolist()
    assert result.tolist() == seq.result.boxes_per_frame.tolist()
    assert matched.sum() == len(clear.pairs) and switches.sum() == clear.is_switch.sum() == 1


@pytest.mark.parametrize("frames", [0, 1, 4000])
def test_over_time_without_boxes(tmp_path, matches, frames):
    plot_over_time(np.zeros((frames, by_frame(matches).shape[1])), 10.0, tmp_path / "time.png")
    plotted(tmp_path / "time.png")


@pytest.mark.parametrize(("gt", "result"), [([30, 900], [1, 2, 500]), ([], []), ([10**7], [1])])
def test_track_lengths(tmp_path, gt, result):
    plot_track_lengths(np.array(gt), np.array(result), 30.0, tmp_path / "lengths.png")
    image = plotted(tmp_path / "lengths.png")
    assert count_color(image, ORANGE) > 200


def test_timeline(tmp_path):
    counts = {"switch": np.array([0, 3, 1]), "gap": np.zeros(3, np.int64)}
    plot_timeline(counts, 10.0, tmp_path / "timeline.png")
    path = tmp_path / "timeline.png"
    assert count_color(cv2.imread(str(path)), BLUE) > 1000
    for kinds in ({}, {"a": np.zeros(0, np.int64)}, {"a": np.ones(500, np.int64)}):
        plot_timeline(kinds, 60.0, path)
        assert path.is_file()


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MotError, match="pip install matplotlib"):
        plot_timeline({"a": [1]}, 1.0, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MotError, match=r"file.a\.png"):
        write_bytes(tmp_path / "file/a.png", b"")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(MotError, match=r"b\.png"):
        write_bytes(tmp_path / "b.png", b"")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "b.png"}


def test_the_frame_of_an_error_is_that_of_its_boxes():
    """Of a switch the frame of the new id, of a run the first."""
    error = TrackingError("switch", 3, 9, 5, 1, 2, 4, None, None, "", "")
    assert error.frame == 9
    assert dataclasses.replace(error, kind="miss").frame == 3
