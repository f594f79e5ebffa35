"""`mot eval`: pairing by name, splits, output files, comparisons, and bad input."""

from __future__ import annotations

import csv
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.cli import complaint as complaint_of
from support.cli import mot as run_mot

import mot
from mot.errors import MotError
from mot.evaluation.api import match_classes
from mot.evaluation.breakdown import by_block_and_track, by_frame, compute_metrics
from mot.evaluation.compare import compare
from mot.evaluation.entries import pair_results
from mot.evaluation.loading import load_sequence, split_frames
from mot.evaluation.protocols import PROTOCOLS, apply_protocol, infer_protocol
from mot.evaluation.score import count_matches, match_boxes
from mot.motfile import read_mot_rows

TRACKS = 3


@pytest.fixture
def run(capsys):
    """Run a command that must succeed and return its output."""

    def run(*words: object):
        capsys.readouterr()
        assert run_mot(*words) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def complaint(capsys):
    return partial(complaint_of, capsys)


def rows(frames: int, shift: float = 0.0, swap_at: int | None = None, tail: str = "1,1,1") -> str:
    """Tracks that move to the right, one below the other; two may swap their ids."""
    lines = []
    for frame in range(1, frames + 1):
        ids = list(range(1, TRACKS + 1))
        if swap_at and frame >= swap_at:
            ids[0], ids[1] = ids[1], ids[0]
        lines += [
            f"{frame},{ids[k]},{10 + 2 * frame + shift},{100 * k},40,90,{tail}"
            for k in range(TRACKS)
        ]
    return "\n".join(lines) + "\n"


def dataset(root: Path, *names: str, frames: int = 20) -> Path:
    for name in names:
        (root / name / "gt").mkdir(parents=True)
        (root / name / "gt/gt.txt").write_text(rows(frames))
        (root / name / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nseqLength={frames}\nframeRate=10\nimWidth=640\nimHeight=480\n"
        )
    return root


def results(folder: Path, *names: str, **how: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.txt").write_text(rows(**{"frames": 20, "tail": "0.9,-1,-1,-1"} | how))
    return folder


def names(results: Path, gt: Path) -> list[tuple[str, str, bool]]:
    return [(e.name, e.gt.name, e.result is not None) for e in pair_results(results, gt)]


class TestPairing:
    def test_a_file_and_a_file_of_any_names(self, tmp_path):
        (tmp_path / "a.txt").write_text(rows(5))
        (tmp_path / "gt.txt").write_text(rows(5))
        assert names(tmp_path / "a.txt", tmp_path / "gt.txt") == [("gt", "gt", True)]

    def test_a_gt_file_has_the_name_of_its_sequence(self, tmp_path):
        root = dataset(tmp_path / "gt", "MOT17-02")
        result = results(tmp_path / "r", "x") / "x.txt"
        (entry,) = pair_results(result, root / "MOT17-02/gt/gt.txt")
        assert entry.name == "MOT17-02" and entry.gt.length == 20 and entry.gt.fps == 10

    def test_a_folder_and_a_dataset_with_train(self, tmp_path):
        dataset(tmp_path / "MOT17/train", "MOT17-02", "MOT17-04")
        found = names(results(tmp_path / "r", "MOT17-02", "MOT17-04"), tmp_path / "MOT17")
        assert found == [("MOT17-02", "MOT17-02", True), ("MOT17-04", "MOT17-04", True)]

    def test_a_folder_and_a_folder_of_files(self, tmp_path):
        gt = results(tmp_path / "gt", "a", "b")
        assert len(names(results(tmp_path / "r", "a", "b"), gt)) == 2

    def test_trackeval_layout_and_other_files_in_the_folder(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01")
        results(tmp_path / "r/data", "S-01")
        (tmp_path / "r/data/pedestrian_summary.txt").write_text("HOTA\n1\n")
        (tmp_path / "r/data/S-02.partial.txt").write_text("")
        assert names(tmp_path / "r", gt) == [("S-01", "S-01", True)]

    @pytest.mark.parametrize("result", ["MOT17-02", "MOT17-02-FRCNN"])
    def test_one_result_covers_all_detectors_of_its_sequence(self, tmp_path, result):
        gt = dataset(tmp_path / "gt", "MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-02-SDP")
        ((name, _, is_there),) = names(results(tmp_path / "r", result), gt)
        assert name == result and is_there

    def test_results_of_three_detectors_share_ground_truth(self, tmp_path):
        gt = dataset(tmp_path / "gt", "MOT17-02")
        three = ["MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-02-SDP"]
        assert [found[0] for found in names(results(tmp_path / "r", *three), gt)] == three

    def test_ground_truth_without_a_result_is_an_entry(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        found = names(results(tmp_path / "r", "S-01"), gt)
        assert found == [("S-01", "S-01", True), ("S-02", "S-02", False)]

    def test_a_single_file_covers_only_its_sequence(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        result = results(tmp_path / "r", "S-01") / "S-01.txt"
        assert names(result, gt) == [("S-01", "S-01", True)]

    def test_a_result_of_an_unknown_sequence(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01")
        with pytest.raises(MotError, match=r"S-1\.txt: .* no ground truth of S-1: .*'S-01'"):
            pair_results(results(tmp_path / "r", "S-1"), gt)


@pytest.mark.parametrize("length", [1, 2, 3, 10, 11, 600, 837])
def test_halves_are_those_of_centertrack(length):
    """Counted from 0: train [0, N // 2], val [N // 2 + 1, N - 1]."""
    train, val = split_frames(length, "train-half"), split_frames(length, "val-half")
    assert [n - 1 for n in train] == [0, length // 2]
    assert [n - 1 for n in val] == [length // 2 + 1, length - 1]


@pytest.mark.parametrize("split", ["train-half", "val-half"])
def test_a_split_of_a_full_result_and_a_result_of_the_split(tmp_path, split):
    gt = dataset(tmp_path / "gt", "S-01")
    full = results(tmp_path / "full", "S-01", swap_at=15)
    first, last = split_frames(20, split)
    text = [line.split(",", 1) for line in (full / "S-01.txt").read_text().splitlines()]
    (tmp_path / "half").mkdir()
    (tmp_path / "half/S-01.txt").write_text(
        "".join(f"{int(f) - first + 1},{rest}\n" for f, rest in text if first <= int(f) <= last)
    )
    scores = []
    for folder in (full, tmp_path / "half"):
        loaded = load_sequence(pair_results(folder, gt)[0], split=split)
        assert loaded.length == last - first + 1
        matches = match_classes(loaded)["pedestrian"]
        scores.append(count_matches(matches).of_sequence())
    assert scores[0] == scores[1]
    assert scores[0]["IDSW"] == (2 if split == "val-half" else 0)


def test_protocols_are_inferred_from_name_or_classes(tmp_path):
    (tmp_path / "with.txt").write_text(rows(2))
    (tmp_path / "without.txt").write_text(rows(2, tail="1,-4.1,2.5,0"))
    rows_with, without = (read_mot_rows(tmp_path / f"{n}.txt") for n in ("with", "without"))
    expected = {"MOT16-02": "mot16", "MOT20-01": "mot20", "dancetrack0001": "dancetrack"}
    expected |= {"v_abc_c001": "sportsmot", "mine": "mot17"}
    for name, protocol in expected.items():
        assert infer_protocol(name, rows_with).name == protocol
    assert infer_protocol("PETS09-S2L1", without).name == "mot15"


class TestCommand:
    def test_files_equal_the_table(self, tmp_path, run):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        found = results(tmp_path / "r", "S-01", "S-02", swap_at=11)
        output = run(
            *("eval", found, "--gt", gt, "--json", tmp_path / "s.json"),
            *("--csv", tmp_path / "s.csv", "--columns", "hota,mota,IDSW,FAF"),
        )
        assert "COMBINED" in output.out and "IDSW" in output.out and "MT" not in output.out
        scores = json.loads((tmp_path / "s.json").read_text())
        assert set(scores["sequences"]) == {"S-01", "S-02"}
        combined = scores["combined"]
        assert combined["IDSW"] == 4 and isinstance(combined["IDSW"], int)
        assert combined["MOTA"] == (120 - 4) / 120
        assert np.mean(scores["curves"]["COMBINED"]["HOTA"]) == pytest.approx(combined["HOTA"])
        table = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
        assert [row["sequence"] for row in table] == ["S-01", "S-02", "COMBINED"]
        assert float(table[2]["MOTA"]) == combined["MOTA"] and table[2]["IDSW"] == "4"

    def test_existing_files_are_not_replaced(self, tmp_path, run, complaint):
        gt = dataset(tmp_path / "gt", "S-01")
        (tmp_path / "s.json").write_text("mine")
        arguments = ("eval", results(tmp_path / "r", "S-01"), "--gt", gt, "--json")
        assert "--overwrite" in complaint(*arguments, tmp_path / "s.json")
        assert (tmp_path / "s.json").read_text() == "mine"
        run(*arguments, tmp_path / "s.json", "--overwrite")

    def test_missing_results_are_reported_and_count_as_missed(self, tmp_path, run):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        output = run("eval", results(tmp_path / "r", "S-01"), "--gt", gt, "--json", tmp_path / "s")
        assert "S-02: no result" in output.err
        scores = json.loads((tmp_path / "s").read_text())
        assert scores["sequences"]["S-02"]["FN"] == 60 and scores["combined"]["recall"] == 0.5

    def test_files_of_several_sequences_are_one_result(self, tmp_path, run):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        folder = results(tmp_path / "r", "S-01", "S-02")
        output = run("eval", folder / "S-01.txt", folder / "S-02.txt", "--gt", gt)
        assert "COMBINED" in output.out and "against" not in output.out

    def test_equal_and_different_trackers(self, tmp_path, run):
        gt = dataset(tmp_path / "gt", "S-01", frames=400)
        good = results(tmp_path / "good", "S-01", frames=400)
        same = results(tmp_path / "same", "S-01", frames=400)
        off = results(tmp_path / "off", "S-01", frames=400, shift=12.0)
        output = run("eval", good, same, off, "--gt", gt, "--json", tmp_path / "s.json")
        same_part, off_part = output.out.split("off against good")
        assert same_part.count("no difference at all") == 5
        assert "HOTA" in off_part and "worse, significantly" in off_part
        differences = json.loads((tmp_path / "s.json").read_text())["comparison"]["differences"]
        assert differences["same"]["HOTA"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert differences["off"]["DetA"]["high"] < 0

    def test_folders_of_one_name_are_distinguished(self, tmp_path, run):
        gt = dataset(tmp_path / "gt", "S-01")
        one, two = (results(tmp_path / name / "data", "S-01") for name in ("one", "two"))
        assert "two/data against one/data" in run("eval", one, two, "--gt", gt).out


BOX = "0,0,10,10,1,-1,-1,-1"
BAD = {
    f"1,1,{BOX}\n1,1,{BOX}\n": r"res\.txt:2: frame 1: the id 1 occurs twice",
    f"1,1,{BOX}\n21,1,{BOX}\n": r"res\.txt:2: frame 21: beyond the last frame of the sequence, 20",
    "1,1,0,0,nan,10,1,-1,-1,-1\n": r"res\.txt:1: .*not finite",
    "1,1,0,0,-4,10,1,-1,-1,-1\n": r"res\.txt:1: .*negative",
    "1,1,0,0\n": r"res\.txt:1: 4 columns",
    "\x00\x01\x02\x7fELF": r"res\.txt:1: ",
    "1,1,0,0,10,10,1,3,-1,-1\n": r"res\.txt:1: frame 1: class 3: mot17 scores only pedestrians",
    "1,-1,0,0,10,10,1\n2,-1,0,0,10,10,1\n": r"res\.txt: every id is -1",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_results(tmp_path, text, complaint):
    gt = dataset(tmp_path / "gt", "S-01")
    (tmp_path / "res.txt").write_text(text)
    line = complaint("eval", tmp_path / "res.txt", "--gt", gt)
    assert re.search(BAD[text], line), line


def test_bad_ground_truth(tmp_path, complaint):
    gt = dataset(tmp_path / "gt", "MOT17-02")
    (gt / "MOT17-02/gt/gt.txt").write_text("1,1,0,0,9,9,1,99,1\n")
    found = results(tmp_path / "r", "MOT17-02")
    assert "gt.txt:1: frame 1: class 99" in complaint("eval", found, "--gt", gt)
    (gt / "MOT17-02/gt/gt.txt").write_text("1,1,0,0,9,9,1,1,1\n1,1,0,0,9,9,1,1,1\n")
    assert "gt.txt:2: frame 1: the id 1 occurs twice" in complaint("eval", found, "--gt", gt)


def test_frames_after_ground_truth_of_unknown_length(tmp_path, run, complaint):
    (tmp_path / "gt.txt").write_text(rows(5))
    (tmp_path / "res.txt").write_text(rows(8))
    line = complaint("eval", tmp_path / "res.txt", "--gt", tmp_path / "gt.txt")
    assert "frame 6" in line and "--length" in line
    run("eval", tmp_path / "res.txt", "--gt", tmp_path / "gt.txt", "--length", "8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gt", "nowhere"), "nowhere: no such file"),
        ((), "--gt"),
        (("--gt", ".", "--no-gt"), "--no-gt"),
        (("--gt", "empty"), "no sequence"),
        (("--gt", "gt", "--protocol", "mot71"), "did you mean 'mot17'"),
        (("--gt", "gt", "--columns", "HOTTA"), "did you mean 'HOTA'"),
    ],
)
def test_bad_flags(tmp_path, monkeypatch, arguments, message, complaint):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "gt", "S-01")
    (tmp_path / "empty").mkdir()
    assert message in complaint("eval", results(tmp_path / "r", "S-01"), *arguments)


def test_an_empty_folder_of_results(tmp_path, complaint):
    gt = dataset(tmp_path / "gt", "S-01")
    (tmp_path / "r").mkdir()
    assert "no results in it" in complaint("eval", tmp_path / "r", "--gt", gt)


def matches_of(tmp_path: Path, **how: object):
    (tmp_path / "gt.txt").write_text(rows(60))
    (tmp_path / "res.txt").write_text(rows(60, **how))
    both = read_mot_rows(tmp_path / "gt.txt"), read_mot_rows(tmp_path / "res.txt")
    return match_boxes(apply_protocol(*both, 60, PROTOCOLS["mot17"])["pedestrian"])


@pytest.mark.parametrize("how", [{}, {"swap_at": 20}, {"shift": 9.0, "swap_at": 41}])
def test_parts_add_up_to_the_full_score(tmp_path, how):
    matches = matches_of(tmp_path, **how)
    expected = count_matches(matches).of_sequence()
    for sums in (by_frame(matches).sum(0), by_block_and_track(matches, 7).sum((0, 1))):
        for name, value in compute_metrics(sums).items():
            assert value == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize("split", ["all", "val-half"])
def test_the_python_api_equals_the_command(tmp_path, run, split):
    gt = dataset(tmp_path / "gt", "S-01", "S-02")
    found = results(tmp_path / "r", "S-01", "S-02", swap_at=15)
    run("eval", found, "--gt", gt, "--split", split, "--json", tmp_path / "s.json")
    expected = json.loads((tmp_path / "s.json").read_text())
    summary = mot.evaluate(found, gt, split=split)
    assert json.loads(json.dumps(summary.as_dict())) == expected
    assert summary["IDSW"] == expected["combined"]["IDSW"] == 4
    assert (summary.hota, summary.mota, summary.idf1) == tuple(
        expected["combined"][name] for name in ("HOTA", "MOTA", "IDF1")
    )
    assert mot.evaluate(str(found / "S-01.txt"), gt, split=split).sequences.keys() == {"S-01"}


def test_arrays_equal_files(tmp_path):
    gt = dataset(tmp_path / "gt", "S-01")
    found = results(tmp_path / "r", "S-01", swap_at=15) / "S-01.txt"
    expected = mot.evaluate(found, gt).combined
    arrays = [np.loadtxt(path, delimiter=",") for path in (found, gt / "S-01/gt/gt.txt")]
    assert mot.evaluate(*arrays).combined == expected
    assert mot.evaluate(arrays[0].tolist(), gt / "S-01/gt/gt.txt").combined == expected
    assert mot.evaluate(found, arrays[1]).combined == expected
    assert mot.evaluate([], arrays[1])["FN"] == len(arrays[1])


GT_ROWS = [[1, 1, 0, 0, 10, 10, 1, 1], [2, 1, 0, 0, 10, 10, 1, 1]]


@pytest.mark.parametrize(
    ("results", "options", "fault"),
    [
        ([[1, 1, 0, 0, 10, 10]] * 2, {}, "results: row 1: frame 1: the id 1 occurs twice"),
        ([[3, 1, 0, 0, 10, 10]], {}, "results: row 0: frame 3: beyond the last frame .* 2"),
        ([[1, -1, 0, 0, 10, 10], [2, -1, 0, 0, 10, 10]], {}, "results: every id is -1"),
        ([[1, 1, 0, 0]], {}, r"results: MOT rows .* not \(1, 4\)"),
        ([], {"split": "val_half"}, "unknown split 'val_half': did you mean 'val-half'"),
        ([], {"protocol": "mot71"}, "unknown protocol 'mot71': did you mean 'mot17'"),
    ],
)
def test_bad_arrays(results, options, fault):
    with pytest.raises(MotError, match=fault):
        mot.evaluate(results, GT_ROWS, **options)


def test_a_small_difference_is_not_significant(tmp_path):
    """Two trackers that each fail in equally many, but different blocks."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, shift in (("a", 0), ("b", 1)):
        table = by_block_and_track(matches_of(tmp_path), 5)
        lost = np.roll(rng.permutation(12) < 3, shift)
        table[lost] *= 0.5
        parts[name] = {"s": table}
    intervals = compare(parts).differences["b"]
    assert not intervals["HOTA"].excludes_zero
    assert intervals["HOTA"].low <= intervals["HOTA"].value <= intervals["HOTA"].high
