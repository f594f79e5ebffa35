"""`VideoTracks`: the tracks of one video, which every format is read into and written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.motfile import DEFAULT_FPS, MAX_INTEGER, MotRows
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
MAX_FRAMES = 10_000_000  # four days at 30 fps: larger numbers are errors in the file
_OTHER_NAMES = {"person": PEDESTRIAN, "people": PEDESTRIAN, "motorcycle": 5}
_CLASS_OF_NAME = {**{name: number for number, name in MOT_CLASSES.items()}, **_OTHER_NAMES}


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracks:
    """The tracks of one video. Rows without a track have the id -1, in any number."""

    name: str
    rows: MotRows
    length: int  # frames
    fps: float = DEFAULT_FPS
    size: tuple[int, int] | None = None  # width, height
    images: tuple[str, ...] | None = None  # file name of each frame, "" if it has none
    class_names: Mapping[int, str] = field(default_factory=dict)  # other than MOTChallenge's

    def __post_init__(self) -> None:
        _check_rows(self.rows)
        if self.length > MAX_FRAMES:
            raise ValueError(f"{self.length} frames: more than the maximum, {MAX_FRAMES}")
        if self.length < self.rows.last_frame:
            raise ValueError(f"frame {self.rows.last_frame}: beyond the last frame, {self.length}")
        if self.images is not None and len(self.images) != self.length:
            raise ValueError(f"{len(self.images)} images for {self.length} frames")

    @property
    def num_tracks(self) -> int:
        return len(np.unique(self.rows.ids[self.rows.ids >= 0]))

    def class_name(self, number: int) -> str:
        """The name of a class; unknown classes (below 1) are pedestrians."""
        if number < PEDESTRIAN:
            number = PEDESTRIAN
        return self.class_names.get(number) or MOT_CLASSES.get(number) or f"class_{number}"


def select_rows(rows: MotRows, index: IntArray) -> MotRows:
    """The rows of these numbers, in this order."""
    return MotRows(*(getattr(rows, column.name)[index] for column in fields(rows)))


def find_class(name: str) -> int | None:
    """MOTChallenge's number of a class name; None if it has none."""
    return _CLASS_OF_NAME.get("_".join(name.lower().replace("-", " ").split()))


def assign_class_numbers(names: Mapping[int, str]) -> dict[int, int]:
    """Map the class numbers of another system, given with their names, to MOTChallenge's.

    A class that MOTChallenge lacks keeps its number, or gets a free one if that is taken.
    """
    known = {number: find_class(name) for number, name in names.items()}
    numbers = {number: mot for number, mot in known.items() if mot is not None}
    taken = set(numbers.values())
    free = count(1 + max([CROWD, *names]))
    for number in names.keys() - numbers.keys():
        numbers[number] = next(free) if number in taken or number < PEDESTRIAN else number
    return numbers


def shortest_numbers(values: npt.NDArray[Any]) -> list[int | float]:
    """Integers if exact, so that the text is short: 12, not 12.0."""
    numbers = values.tolist()
    return [int(number) if float(number).is_integer() else number for number in numbers]


def _check_rows(rows: MotRows) -> None:
    """Reject impossible values, naming the first bad row."""
    numbers = np.column_stack([rows.xywh, rows.scores, rows.visibility])
    width, height = rows.xywh[:, 2], rows.xywh[:, 3]
    with np.errstate(invalid="ignore"):
        far = np.abs(rows.xywh).max(axis=1, initial=0) > FARTHEST / 2
    for bad, fault in (
        (~np.isfinite(numbers).all(axis=1), "a number is not finite"),
        (rows.frames < 1, "frames count from 1"),
        (rows.frames > MAX_FRAMES, f"the frame is beyond {MAX_FRAMES}, the maximum"),
        (np.abs(rows.ids) > MAX_INTEGER, "the id is too large"),
        ((width < 0) | (height < 0), "the width or height is negative"),
        (far, f"the box is farther than {FARTHEST / 2:g} pixels away"),
        (_is_repeated(rows), "this id occurs twice in this frame"),
    ):
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(f"frame {rows.frames[row]}, id {rows.ids[row]}: {fault}")


def _is_repeated(rows: MotRows) -> npt.NDArray[np.bool_]:
    """(N,) rows whose id occurs earlier in the same frame."""
    order = np.lexsort((rows.frames, rows.ids))
    pairs = np.stack([rows.frames, rows.ids], axis=1)[order]
    repeated = np.zeros(len(rows), np.bool_)
    repeated[order[1:]] = (pairs[1:] == pairs[:-1]).all(axis=1) & (pairs[1:, 1] >= 0)
    return repeated
