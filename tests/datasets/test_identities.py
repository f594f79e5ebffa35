"""Numbers of people over several datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mot.datasets.dataset import Annotations, DataSet, ImageRecord
from mot.datasets.identities import numbered


def data_of(*pictures: list[int], ignored: tuple[int, ...] = ()) -> DataSet:
    """Pictures of people with these identities."""
    return DataSet(
        ["person"],
        [
            ImageRecord(
                Path("image.png"),
                "picture",
                number,
                (100, 100),
                Annotations.of(
                    [[0, 0, 9, 9]] * len(ids), ids=ids, ignored=[each in ignored for each in ids]
                ),
            )
            for number, ids in enumerate(pictures)
        ],
    )


def test_people_of_several_data_sets_are_numbered_without_gaps() -> None:
    one, other = data_of([7, 3], [7]), data_of([3], [-1, 5])
    (first, second), count = numbered([one, other], ["annotated", "annotated"])
    assert first.annotations.ids.tolist() == [1, 0, 1]
    assert second.annotations.ids.tolist() == [2, -1, 3]
    assert count == 4
    assert one.annotations.ids.tolist() == [7, 3, 7], "the dataset itself stays as it was"


def test_each_box_may_be_someone_else_and_the_ignored_are_nobody() -> None:
    (boxes, nobody), count = numbered(
        [data_of([-1, 9], [-1, -1], ignored=(9,)), data_of([1, 2])], ["boxes", "none"]
    )
    assert boxes.annotations.ids.tolist() == [0, -1, 1, 2]
    assert nobody.annotations.ids.tolist() == [-1, -1]
    assert count == 3


def test_a_picture_has_the_new_numbers_and_they_cannot_be_edited() -> None:
    (data,), _ = numbered([data_of([4], [6, 4])], ["annotated"])
    assert data[1].annotations.ids.tolist() == [1, 0]
    assert not data.annotations.ids.flags.writeable


def test_no_people_at_all() -> None:
    (data,), count = numbered([data_of([])], ["boxes"])
    assert count == 0
    assert data.annotations.ids.dtype == np.int64
