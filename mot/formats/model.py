"""The tracks of one video: what every format is read into and written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.motfile import DEFAULT_FPS, LARGEST, MotRows
from mot.types import FARTHEST, IntArray

MOT_CLASSES = {
    1: "pedestrian",
    2: "person_on_vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non_mot_vehicle",
    7: "static_person",
    8: "distractor",
    9: "occluder",
    10: "occluder_on_ground",
    11: "occluder_full",
    12: "reflection",
    13: "crowd",
}
PEDESTRIAN, CROWD, UNKNOWN = 1, 13, -1
MOST_FRAMES = 10_000_000  # four days at 30 a second: a larger number is a mistake in the file
_OTHER_NAMES = {"person": PEDESTRIAN, "people": PEDESTRIAN, "motorcycle": 5}
_CLASS_OF_NAME = {**{name: number for number, name in MOT_CLASSES.items()}, **_OTHER_NAMES}


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracks:
    """Everybody followed in one video. Rows without a track have the id -1, of any number."""

    name: str
    rows: MotRows
    length: int  # frames
    fps: float = DEFAULT_FPS
    size: tuple[int, int] | None = None  # width, height
    images: tuple[str, ...] | None = None  # of each frame, "" where it has none
    class_names: Mapping[int, str] = field(default_factory=dict)  # where not MOTChallenge's

    def __post_init__(self) -> None:
        _check_rows(self.rows)
        if self.length > MOST_FRAMES:
            raise ValueError(f"{self.length} frames are more than {MOST_FRAMES}, the most there is")
        if self.length < self.rows.last_frame:
            raise ValueError(f"frame {self.rows.last_frame}: is past the end, {self.length}")
        if self.images is not None and len(self.images) != self.length:
            raise ValueError(f"{len(self.images)} images for {self.length} frames")

    @property
    def track_count(self) -> int:
        return len(np.unique(self.rows.ids[self.rows.ids >= 0]))

    def label(self, number: int) -> str:
        """The name of a class; one that is not known is a pedestrian."""
        if number < PEDESTRIAN:
            number = PEDESTRIAN
        return self.class_names.get(number) or MOT_CLASSES.get(number) or f"class_{number}"


def chosen(rows: MotRows, index: IntArray) -> MotRows:
    return MotRows(*(getattr(rows, column.name)[index] for column in fields(rows)))


def class_of_label(label: str) -> int | None:
    """The number that MOTChallenge gives this class, if it has one."""
    return _CLASS_OF_NAME.get("_".join(label.lower().replace("-", " ").split()))


def number_labels(labels: Mapping[int, str]) -> dict[int, int]:
    """MOTChallenge's number for each class of another system; where it has none, its own number,
    unless that then means another class."""
    known = {number: class_of_label(label) for number, label in labels.items()}
    numbers = {number: mot for number, mot in known.items() if mot is not None}
    taken = set(numbers.values())
    free = count(1 + max([CROWD, *labels]))
    for number in labels.keys() - numbers.keys():
        numbers[number] = next(free) if number in taken or number < PEDESTRIAN else number
    return numbers


def plain(values: npt.NDArray[Any]) -> list[int | float]:
    """Numbers whose text is the shortest that is exact: 12, not 12.0."""
    numbers = values.tolist()
    return [int(number) if float(number).is_integer() else number for number in numbers]


def _check_rows(rows: MotRows) -> None:
    """Refuse what no video can hold, naming the first row that does."""
    numbers = np.column_stack([rows.xywh, rows.scores, rows.visibility])
    width, height = rows.xywh[:, 2], rows.xywh[:, 3]
    with np.errstate(invalid="ignore"):
        far = np.abs(rows.xywh).max(axis=1, initial=0) > FARTHEST / 2
    for bad, fault in (
        (~np.isfinite(numbers).all(axis=1), "a number is not finite"),
        (rows.frames < 1, "frames count from 1"),
        (rows.frames > MOST_FRAMES, f"the frame is past {MOST_FRAMES}, the last that can be"),
        (np.abs(rows.ids) > LARGEST, "the id is too large"),
        ((width < 0) | (height < 0), "the width or height is negative"),
        (far, f"the box is farther than {FARTHEST / 2:g} pixels away"),
        (_comes_twice(rows), "this id comes twice in this frame"),
    ):
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(f"frame {rows.frames[row]}, id {rows.ids[row]}: {fault}")


def _comes_twice(rows: MotRows) -> npt.NDArray[np.bool_]:
    """(N,) rows whose track has been in their frame before."""
    order = np.lexsort((rows.frames, rows.ids))
    pairs = np.stack([rows.frames, rows.ids], axis=1)[order]
    twice = np.zeros(len(rows), np.bool_)
    twice[order[1:]] = (pairs[1:] == pairs[:-1]).all(axis=1) & (pairs[1:, 1] >= 0)
    return twice
