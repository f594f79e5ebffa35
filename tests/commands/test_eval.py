"""`mot eval`: pairing by name, splits, files written, comparisons, and bad input."""

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

from mot.errors import MotError
from mot.evaluation.compare import compare
from mot.evaluation.entries import pair_up
from mot.evaluation.loading import load, split_frames
from mot.evaluation.protocols import PROTOCOLS, guess_protocol, prepare
from mot.evaluation.score import count, match
from mot.evaluation.series import by_block_and_person, by_frame, metrics_of
from mot.motfile import read_rows_of

PEOPLE = 3


@pytest.fixture
def mot(capsys):
    """Run a command that succeeds: what it prints."""

    def run(*words: object):
        capsys.readouterr()
        assert run_mot(*words) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def complaint(capsys):
    return partial(complaint_of, capsys)


def rows(frames: int, shift: float = 0.0, swap_at: int | None = None, tail: str = "1,1,1") -> str:
    """People who walk to the right, one below the other; two of them may swap their ids."""
    lines = []
    for frame in range(1, frames + 1):
        ids = list(range(1, PEOPLE + 1))
        if swap_at and frame >= swap_at:
            ids[0], ids[1] = ids[1], ids[0]
        lines += [
            f"{frame},{ids[k]},{10 + 2 * frame + shift},{100 * k},40,90,{tail}"
            for k in range(PEOPLE)
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
    return [(e.name, e.truth.name, e.result is not None) for e in pair_up(results, gt)]


class TestPairing:
    def test_file_against_file_whatever_they_are_called(self, tmp_path):
        (tmp_path / "a.txt").write_text(rows(5))
        (tmp_path / "truth.txt").write_text(rows(5))
        assert names(tmp_path / "a.txt", tmp_path / "truth.txt") == [("truth", "truth", True)]

    def test_a_gt_file_in_its_sequence_is_called_after_it(self, tmp_path):
        root = dataset(tmp_path / "gt", "MOT17-02")
        result = results(tmp_path / "r", "x") / "x.txt"
        (entry,) = pair_up(result, root / "MOT17-02/gt/gt.txt")
        assert entry.name == "MOT17-02" and entry.truth.length == 20 and entry.truth.fps == 10

    def test_folder_against_data_set_with_train_in_it(self, tmp_path):
        dataset(tmp_path / "MOT17/train", "MOT17-02", "MOT17-04")
        found = names(results(tmp_path / "r", "MOT17-02", "MOT17-04"), tmp_path / "MOT17")
        assert found == [("MOT17-02", "MOT17-02", True), ("MOT17-04", "MOT17-04", True)]

    def test_folder_against_folder_of_files(self, tmp_path):
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

    def test_three_detectors_against_one_truth(self, tmp_path):
        gt = dataset(tmp_path / "gt", "MOT17-02")
        three = ["MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-02-SDP"]
        assert [found[0] for found in names(results(tmp_path / "r", *three), gt)] == three

    def test_a_truth_without_result_is_an_entry(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        found = names(results(tmp_path / "r", "S-01"), gt)
        assert found == [("S-01", "S-01", True), ("S-02", "S-02", False)]

    def test_a_single_file_is_about_its_sequence_alone(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        result = results(tmp_path / "r", "S-01") / "S-01.txt"
        assert names(result, gt) == [("S-01", "S-01", True)]

    def test_a_result_of_an_unknown_sequence(self, tmp_path):
        gt = dataset(tmp_path / "gt", "S-01")
        with pytest.raises(MotError, match=r"S-1\.txt: .* no ground truth of S-1: .*'S-01'"):
            pair_up(results(tmp_path / "r", "S-1"), gt)


@pytest.mark.parametrize("length", [1, 2, 3, 10, 11, 600, 837])
def test_the_halves_are_those_of_the_field(length):
    """Counted from 0: train [0, N // 2], val [N // 2 + 1, N - 1]."""
    train, val = split_frames(length, "train-half"), split_frames(length, "val-half")
    assert [n - 1 for n in train] == [0, length // 2]
    assert [n - 1 for n in val] == [length // 2 + 1, length - 1]


@pytest.mark.parametrize("split", ["train-half", "val-half"])
def test_a_split_of_a_whole_result_and_of_one_that_was_made_for_it(tmp_path, split):
    gt = dataset(tmp_path / "gt", "S-01")
    whole = results(tmp_path / "whole", "S-01", swap_at=15)
    first, last = split_frames(20, split)
    text = [line.split(",", 1) for line in (whole / "S-01.txt").read_text().splitlines()]
    (tmp_path / "half").mkdir()
    (tmp_path / "half/S-01.txt").write_text(
        "".join(f"{int(f) - first + 1},{rest}\n" for f, rest in text if first <= int(f) <= last)
    )
    scores = []
    for folder in (whole, tmp_path / "half"):
        loaded = load(pair_up(folder, gt)[0], split=split)
        assert loaded.length == last - first + 1
        scene = prepare(loaded.truth, loaded.result, loaded.length, loaded.protocol)["pedestrian"]
        scores.append(count(match(scene)).of_sequence())
    assert scores[0] == scores[1]
    assert scores[0]["IDSW"] == (2 if split == "val-half" else 0)


def test_the_protocol_is_known_by_name_or_by_the_classes(tmp_path):
    (tmp_path / "with.txt").write_text(rows(2))
    (tmp_path / "without.txt").write_text(rows(2, tail="1,-4.1,2.5,0"))
    rows_with, without = (read_rows_of(tmp_path / f"{n}.txt") for n in ("with", "without"))
    expected = {"MOT16-02": "mot16", "MOT20-01": "mot20", "dancetrack0001": "dancetrack"}
    expected |= {"v_abc_c001": "sportsmot", "mine": "mot17"}
    for name, protocol in expected.items():
        assert guess_protocol(name, rows_with).name == protocol
    assert guess_protocol("PETS09-S2L1", without).name == "mot15"


class TestCommand:
    def test_files_hold_what_the_table_shows(self, tmp_path, mot):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        found = results(tmp_path / "r", "S-01", "S-02", swap_at=11)
        run = mot(
            *("eval", found, "--gt", gt, "--json", tmp_path / "s.json"),
            *("--csv", tmp_path / "s.csv", "--columns", "hota,mota,IDSW,FAF"),
        )
        assert "COMBINED" in run.out and "IDSW" in run.out and "MT" not in run.out
        scores = json.loads((tmp_path / "s.json").read_text())
        assert set(scores["sequences"]) == {"S-01", "S-02"}
        combined = scores["combined"]
        assert combined["IDSW"] == 4 and isinstance(combined["IDSW"], int)
        assert combined["MOTA"] == (120 - 4) / 120
        assert np.mean(scores["curves"]["COMBINED"]["HOTA"]) == pytest.approx(combined["HOTA"])
        table = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
        assert [row["sequence"] for row in table] == ["S-01", "S-02", "COMBINED"]
        assert float(table[2]["MOTA"]) == combined["MOTA"] and table[2]["IDSW"] == "4"

    def test_existing_files_are_kept(self, tmp_path, mot, complaint):
        gt = dataset(tmp_path / "gt", "S-01")
        (tmp_path / "s.json").write_text("mine")
        arguments = ("eval", results(tmp_path / "r", "S-01"), "--gt", gt, "--json")
        assert "--overwrite" in complaint(*arguments, tmp_path / "s.json")
        assert (tmp_path / "s.json").read_text() == "mine"
        mot(*arguments, tmp_path / "s.json", "--overwrite")

    def test_missing_results_are_said_and_count_as_missed(self, tmp_path, mot):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        run = mot("eval", results(tmp_path / "r", "S-01"), "--gt", gt, "--json", tmp_path / "s")
        assert "S-02: no result" in run.err
        scores = json.loads((tmp_path / "s").read_text())
        assert scores["sequences"]["S-02"]["FN"] == 60 and scores["combined"]["recall"] == 0.5

    def test_several_files_called_after_sequences_are_one_result(self, tmp_path, mot):
        gt = dataset(tmp_path / "gt", "S-01", "S-02")
        folder = results(tmp_path / "r", "S-01", "S-02")
        run = mot("eval", folder / "S-01.txt", folder / "S-02.txt", "--gt", gt)
        assert "COMBINED" in run.out and "against" not in run.out

    def test_equal_and_different_trackers(self, tmp_path, mot):
        gt = dataset(tmp_path / "gt", "S-01", frames=400)
        good = results(tmp_path / "good", "S-01", frames=400)
        same = results(tmp_path / "same", "S-01", frames=400)
        off = results(tmp_path / "off", "S-01", frames=400, shift=12.0)
        run = mot("eval", good, same, off, "--gt", gt, "--json", tmp_path / "s.json")
        same_part, off_part = run.out.split("off against good")
        assert same_part.count("no difference at all") == 5
        assert "HOTA" in off_part and "worse, significantly" in off_part
        differences = json.loads((tmp_path / "s.json").read_text())["comparison"]["differences"]
        assert differences["same"]["HOTA"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert differences["off"]["DetA"]["high"] < 0

    def test_folders_of_one_name_are_told_apart(self, tmp_path, mot):
        gt = dataset(tmp_path / "gt", "S-01")
        one, two = (results(tmp_path / name / "data", "S-01") for name in ("one", "two"))
        assert "two/data against one/data" in mot("eval", one, two, "--gt", gt).out


BOX = "0,0,10,10,1,-1,-1,-1"
BAD = {
    f"1,1,{BOX}\n1,1,{BOX}\n": r"res\.txt:2: frame 1: the id 1 stands twice",
    f"1,1,{BOX}\n21,1,{BOX}\n": r"res\.txt:2: frame 21: beyond .* 20",
    "1,1,0,0,nan,10,1,-1,-1,-1\n": r"res\.txt:1: .*not finite",
    "1,1,0,0,-4,10,1,-1,-1,-1\n": r"res\.txt:1: .*negative",
    "1,1,0,0\n": r"res\.txt:1: 4 columns",
    "\x00\x01\x02\x7fELF": r"res\.txt:1: ",
    "1,1,0,0,10,10,1,3,-1,-1\n": r"res\.txt:1: frame 1: class 3: mot17 scores pedestrians",
    "1,-1,0,0,10,10,1\n2,-1,0,0,10,10,1\n": r"res\.txt: every id is -1",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_results(tmp_path, text, complaint):
    gt = dataset(tmp_path / "gt", "S-01")
    (tmp_path / "res.txt").write_text(text)
    line = complaint("eval", tmp_path / "res.txt", "--gt", gt)
    assert re.search(BAD[text], line), line


def test_bad_truth(tmp_path, complaint):
    gt = dataset(tmp_path / "gt", "MOT17-02")
    (gt / "MOT17-02/gt/gt.txt").write_text("1,1,0,0,9,9,1,99,1\n")
    found = results(tmp_path / "r", "MOT17-02")
    assert "gt.txt:1: frame 1: class 99" in complaint("eval", found, "--gt", gt)
    (gt / "MOT17-02/gt/gt.txt").write_text("1,1,0,0,9,9,1,1,1\n1,1,0,0,9,9,1,1,1\n")
    assert "gt.txt:2: frame 1: the id 1 stands twice" in complaint("eval", found, "--gt", gt)


def test_frames_after_a_truth_of_unknown_length(tmp_path, mot, complaint):
    (tmp_path / "gt.txt").write_text(rows(5))
    (tmp_path / "res.txt").write_text(rows(8))
    line = complaint("eval", tmp_path / "res.txt", "--gt", tmp_path / "gt.txt")
    assert "frame 6" in line and "--length" in line
    mot("eval", tmp_path / "res.txt", "--gt", tmp_path / "gt.txt", "--length", "8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gt", "nowhere"), "nowhere: no such file"),
        ((), "--gt"),
        (("--gt", ".", "--no-gt"), "--no-gt"),
        (("--gt", "empty"), "no sequence"),
        (("--gt", "gt", "--protocol", "mot71"), "did you mean 'mot17'"),
        (("--gt", "gt", "--columns", "HOTTA"), "did you mean 'HOTA'"),
    ],
)
def test_wrong_flags(tmp_path, monkeypatch, arguments, said, complaint):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "gt", "S-01")
    (tmp_path / "empty").mkdir()
    assert said in complaint("eval", results(tmp_path / "r", "S-01"), *arguments)


def test_an_empty_folder_of_results(tmp_path, complaint):
    gt = dataset(tmp_path / "gt", "S-01")
    (tmp_path / "r").mkdir()
    assert "no results in it" in complaint("eval", tmp_path / "r", "--gt", gt)


def scene_of(tmp_path: Path, **how: object):
    (tmp_path / "gt.txt").write_text(rows(60))
    (tmp_path / "res.txt").write_text(rows(60, **how))
    both = read_rows_of(tmp_path / "gt.txt"), read_rows_of(tmp_path / "res.txt")
    return match(prepare(*both, 60, PROTOCOLS["mot17"])["pedestrian"])


@pytest.mark.parametrize("how", [{}, {"swap_at": 20}, {"shift": 9.0, "swap_at": 41}])
def test_what_frames_and_people_add_is_the_whole(tmp_path, how):
    matches = scene_of(tmp_path, **how)
    whole = count(matches).of_sequence()
    for sums in (by_frame(matches).sum(0), by_block_and_person(matches, 7).sum((0, 1))):
        for name, value in metrics_of(sums).items():
            assert value == pytest.approx(whole[name], abs=1e-12)


def test_a_small_difference_is_not_significant(tmp_path):
    """A tracker that fails in one short stretch, and one that fails as much in another."""
    chance = np.random.default_rng(0)
    parts = {}
    for name, shift in (("a", 0), ("b", 1)):
        table = by_block_and_person(scene_of(tmp_path), 5)
        lost = np.roll(chance.permutation(12) < 3, shift)
        table[lost] *= 0.5
        parts[name] = {"s": table}
    intervals = compare(parts).differences["b"]
    assert not intervals["HOTA"].excludes_zero
    assert intervals["HOTA"].low <= intervals["HOTA"].value <= intervals["HOTA"].high
