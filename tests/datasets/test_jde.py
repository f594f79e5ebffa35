"""Data sets as JDE and FairMOT have them: images, and beside them who is where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.data_sets import boxes_of, read, write_image

from mot.datasets.build import MISSING
from mot.datasets.load import DataSettings, guess, load
from mot.errors import MotError


def write_labels(folder: Path, **pictures: str) -> None:
    for name, text in pictures.items():
        path = folder / f"labels_with_ids/train/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def prw(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo/PRW"
    for name in ("a", "b", "nobody"):
        write_image(folder / f"images/train/{name}.jpg")  # 64x48
    write_labels(
        folder,
        a="0 7 0.5 0.5 0.25 0.5\n\n0 -1 0.125 0.25 0.25 0.5\n",
        b="0 7 0.5 0.5 0.5 0.5\n0 3.0 0.5 0.5 0.25 0.5",
    )
    return folder


def ids_of(picture: Any) -> list[int]:
    found: list[int] = picture.annotations.ids.tolist()
    return found


def test_boxes_and_who_they_are(prw: Path) -> None:
    data = read(prw)
    assert [each.name for each in data] == [
        f"images/train/{name}.jpg" for name in ("a", "b", "nobody")
    ]
    assert boxes_of(data[0]) == [[24, 12, 40, 36], [0, 0, 16, 24]]
    assert [ids_of(each) for each in data] == [[0, -1], [0, 1], []]
    assert data[0].size == (64, 48) and data.names == ("person",)
    assert len(read(prw, split="train")) == 3
    assert [each.path for each in read(prw.parent)] == [each.path for each in data]


def test_a_list_names_its_pictures(prw: Path) -> None:
    listed = prw.parent / "prw.train"
    listed.write_text("PRW/images/train/b.jpg\n\nPRW/images/train/gone.jpg\n")
    assert guess(listed) == "jde"
    data, problems = load(DataSettings(str(listed)))
    assert [each.name for each in data] == ["PRW/images/train/b.jpg"]
    assert ids_of(data[0]) == [0, 1]
    assert problems.counts == {MISSING: 1}
    elsewhere = prw.parent.parent / "prw.train"
    listed.rename(elsewhere)
    assert len(load(DataSettings(str(elsewhere), str(prw.parent))).data) == 1


def test_a_number_is_somebody_else_in_another_data_set(prw: Path) -> None:
    write_image(prw.parent / "MOT17/images/train/a.jpg")
    write_labels(prw.parent / "MOT17", a="0 7 0.5 0.5 0.25 0.5")
    both = read(prw.parent)
    assert [ids_of(each) for each in both] == [[0], [1, -1], [1, 2], []]


def test_the_format_is_guessed(prw: Path) -> None:
    assert guess(prw) == guess(prw.parent) == guess(prw.parent.parent) == "jde"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0 1 0.5 0.5 1", "5 numbers, where class identity x y width height"),
        ("0 1.5 0.5 0.5 1 1", "identity '1.5' is not an integer"),
        ("0 -2 0.5 0.5 1 1", "identity '-2'"),
        ("0 nan 0.5 0.5 1 1", "identity 'nan'"),
        ("3 1 0.5 0.5 1 1", "class 3 has no name"),
        ("0 1 x 0.5 1 1", "are not four numbers"),
    ],
)
def test_a_bad_line_is_named(prw: Path, line: str, fault: str) -> None:
    write_labels(prw, b=f"0 1 0.5 0.5 1 1\n{line}\n")
    with pytest.raises(MotError, match=rf"b\.txt:2: .*{fault}"):
        read(prw)


def test_a_list_of_something_else(prw: Path) -> None:
    listed = prw.parent / "prw.train"
    listed.write_text("PRW/frames/b.jpg\n")
    with pytest.raises(MotError, match=r"prw\.train:1: 'PRW/frames/b.jpg' is no image below"):
        read(listed)
    with pytest.raises(MotError, match="no labels_with_ids in it"):
        read(prw / "images", format="jde")
