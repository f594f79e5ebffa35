"""Track text is read back unchanged, and files are written atomically."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mot.commands.run_record import write_run
from mot.errors import MotError
from mot.files import atomic_writer, partial_path, write_text
from mot.formats.track_text import FORMATS
from mot.motfile import read_tracks
from mot.types import Frame, Tracks

FRAME = Frame(None, 7, 0.2)
TRACKS = Tracks(
    ids=np.array([3, 12, 100_000]),
    boxes=np.array([[1.5, 2.25, 30, 40], [-3, -4, 0, 0], [10, 10, 10, 10]], np.float32),
    scores=np.array([0.875, 1, 0.123456], np.float32),
    labels=np.array([0, 2, 0]),
    detections=np.array([1, -1, 0]),
)
NONE = Tracks.empty()


def lines(name: str, tracks: Tracks = TRACKS, frame: Frame = FRAME) -> str:
    return FORMATS[name].header + FORMATS[name].lines(frame, tracks)


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_mot_is_read_back(tmp_path) -> None:
    path = tmp_path / "street.txt"
    path.write_text(lines("mot"))
    found = read_tracks(path)[7]
    assert found.ids.tolist() == TRACKS.ids.tolist()
    np.testing.assert_allclose(found.boxes, TRACKS.boxes, atol=0.011)
    np.testing.assert_allclose(found.scores, TRACKS.scores, rtol=1e-3)
    assert all(line.endswith(",-1,-1,-1") for line in path.read_text().splitlines())


def test_csv_is_read_back() -> None:
    rows = csv_rows(lines("csv"))
    assert [int(row["id"]) for row in rows] == TRACKS.ids.tolist()
    assert [int(row["label"]) for row in rows] == TRACKS.labels.tolist()
    assert {row["frame"] for row in rows} == {"7"}
    xywh = [[float(row[n]) for n in ("left", "top", "width", "height")] for row in rows]
    corners = np.array(xywh) + [[0, 0, x, y] for x, y, _, _ in xywh]
    np.testing.assert_allclose(corners, TRACKS.boxes, atol=0.011)
    np.testing.assert_allclose([float(row["score"]) for row in rows], TRACKS.scores, rtol=1e-3)


def test_jsonl_is_read_back() -> None:
    (line,) = lines("jsonl").splitlines()
    found = json.loads(line)
    assert (found["frame"], found["time"]) == (7, 0.2)
    entries = found["tracks"]
    assert [entry["id"] for entry in entries] == TRACKS.ids.tolist()
    assert [entry["label"] for entry in entries] == TRACKS.labels.tolist()
    np.testing.assert_allclose([entry["box"] for entry in entries], TRACKS.boxes, atol=0.011)
    np.testing.assert_allclose([entry["score"] for entry in entries], TRACKS.scores, atol=1e-3)


@pytest.mark.parametrize("time", [0.0, 1 / 30, 1234.567, 36000.04, 1_000_000.04])
def test_times_stay_exact_to_the_millisecond(time) -> None:
    frame = Frame(None, 1, time)
    written = {
        "csv": csv_rows(lines("csv", frame=frame))[0]["time"],
        "jsonl": json.loads(lines("jsonl", frame=frame))["time"],
    }
    assert {name: float(value) for name, value in written.items()} == {
        name: pytest.approx(time, abs=1e-3) for name in written
    }


def test_a_frame_without_tracks() -> None:
    assert FORMATS["mot"].lines(FRAME, NONE) == FORMATS["csv"].lines(FRAME, NONE) == ""
    assert json.loads(lines("jsonl", NONE)) == {"frame": 7, "time": 0.2, "tracks": []}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_its_lines(name) -> None:
    assert FORMATS[name].lines(FRAME, TRACKS).endswith("\n")
    assert FORMATS[name].suffix in {".txt", ".csv", ".jsonl"}


# Files


def test_a_file_appears_when_it_is_complete(tmp_path) -> None:
    path = tmp_path / "new" / "demo.txt"
    with atomic_writer(path) as file:
        file.write("a\n")
        assert not path.exists()
    assert path.read_bytes() == b"a\n"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_keeps_the_old_file_and_removes_the_partial_one(tmp_path) -> None:
    path = tmp_path / "demo.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="broke"), atomic_writer(path) as file:
        file.write("half")
        raise RuntimeError("broke")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_keeps_the_partial_text_file(tmp_path) -> None:
    path = tmp_path / "demo.txt"
    with pytest.raises(KeyboardInterrupt), atomic_writer(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert not path.exists()
    assert partial_path(path).read_text() == "half"


def test_an_interruption_removes_partial_files_of_write_text(tmp_path, monkeypatch) -> None:
    """And does not mention them."""

    def interrupted(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        write_text(tmp_path / "demo.txt", "full")
    assert not hasattr(caught.value, "__notes__")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_reported(tmp_path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "demo.txt"
    with pytest.raises(MotError, match=r"demo\.txt: cannot be written"):
        write_text(path, "text")


def record(*names: str) -> dict:
    return {"sources": [{"name": name} for name in names], "settings": {"min_hits": 3}}


def test_run_json_keeps_records_of_other_results(tmp_path) -> None:
    for names in (["a"], ["b", "c"], ["a"], ["d"]):
        path = write_run(tmp_path, record(*names))
    found = json.loads(path.read_text())
    all_runs = [found, *found["earlier"]]
    assert [[s["name"] for s in r["sources"]] for r in all_runs if "versions" in r] == [
        [s["name"] for s in r["sources"]] for r in all_runs
    ]
    assert sorted(s["name"] for r in all_runs for s in r["sources"]) == ["a", "b", "c", "d"]
    assert found["sources"] == [{"name": "d"}]
    assert found["settings"] == {"min_hits": 3}
    assert "numpy" in found["versions"]


@pytest.mark.parametrize(
    "old", ["", "{", "[1]", "5", "null", '{"earlier": null}', '{"sources": 5}', "\x00"]
)
def test_a_broken_run_json_is_replaced(tmp_path, old) -> None:
    Path(tmp_path / "run.json").write_text(old)
    found = json.loads(write_run(tmp_path, record("a")).read_text())
    assert found["sources"] == [{"name": "a"}]
