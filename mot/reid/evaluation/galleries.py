"""People to be told apart: Market-1501's folders, and sequences with ground truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.errors import MotError
from mot.evaluation.entries import Truth
from mot.formats.model import PEDESTRIAN, UNKNOWN, chosen
from mot.formats.mottext import read_truth
from mot.motfile import MotRows, Sequence, find_sequences
from mot.reid.evaluation.crops import Crops, Frames, Looked, Pictures
from mot.reid.evaluation.retrieval import (
    JUNK,
    OTHER,
    LeftOut,
    Looks,
    Retrieval,
    retrieve,
    same_camera,
    sooner_than,
)
from mot.types import IntArray
from mot.video.footage import find_footage

QUERIES, GALLERY = "query", "bounding_box_test"  # of Market-1501
DEFAULT_GAP = 50  # frames
_FRAMES = 150  # of a sequence that are looked at, or up to twice as many
_LEAST_VISIBILITY = 0.3
_NAME = re.compile(r"(-1|\d+)_c(\d+)(s\d+)?_\w+\.(jpe?g|png|bmp)", re.IGNORECASE)
_LITTER = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """N crops of people, and which of them are looked for among which."""

    name: str
    crops: Crops
    ids: IntArray  # (N,) who
    places: IntArray  # (N,) the camera, or the frame of a sequence
    queries: IntArray  # (Q,) rows
    gallery: IntArray  # (G,) rows
    left_out: LeftOut
    notes: tuple[str, ...] = ()


class Searched(NamedTuple):
    queries: IntArray  # (Q,) rows of the crops that could be seen
    gallery: IntArray  # (G,)
    found: Retrieval


def search(gallery: Gallery, looked: Looked) -> Searched:
    """Each query among the others, of those who could be seen."""
    looks = Looks(looked.vectors, gallery.ids, gallery.places)
    queries, others = (rows[looked.seen[rows]] for rows in (gallery.queries, gallery.gallery))
    found = retrieve(looks[queries], looks[others], gallery.left_out)
    return Searched(queries, others, found)


def read_galleries(
    source: str | Path, gap: int = DEFAULT_GAP, every: int | None = None
) -> list[Gallery]:
    """Of a folder as Market-1501's, of a sequence, or of each one in a data set.

    In sequences a person of one frame is looked for in the frames that come `gap` or more later;
    only `every`-th frames are used.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        raise MotError(f"{path}: {'not a folder' if path.exists() else 'no such folder'}")
    if any((path / part).is_dir() for part in (QUERIES, GALLERY)):
        return [read_market(path)]
    if not any(any(path.glob(f"{above}gt/gt.txt")) for above in ("", "*/", "*/*/")):
        raise MotError(
            f"{path}: holds neither {QUERIES}/ and {GALLERY}/, as Market-1501 does, nor a sequence "
            "with gt/gt.txt"
        )
    sequences: dict[str, Sequence] = {}  # of those that differ in their detections alone, one
    for sequence in find_sequences(path):
        if sequence.ground_truth:
            sequences.setdefault(sequence.base_name, sequence)
    return _usable(list(sequences.values()), gap, every)


def _usable(sequences: list[Sequence], gap: int, every: int | None) -> list[Gallery]:
    """Of those in which somebody can be found again; the first tells of the others."""
    galleries, unusable = [], []
    for sequence in sequences:
        try:
            galleries.append(read_sequence_gallery(sequence, gap, every))
        except MotError as error:
            unusable.append(error)
    if not galleries:
        raise unusable[0]
    notes = tuple(f"left out: {error}" for error in unusable)
    galleries[0] = replace(galleries[0], notes=notes)
    return galleries


class Named(NamedTuple):
    """The pictures of people in one of Market-1501's folders, and what their names say."""

    paths: tuple[Path, ...]
    ids: IntArray
    cameras: IntArray
    strangers: tuple[str, ...]  # files with other names


def read_names(folder: Path) -> Named:
    """Such as `0001_c1s1_000151_01.jpg`: of person 1, by camera 1; in a gallery, person 0 is
    somebody whom no query looks for. Those of -1 show nobody, and are passed over."""
    if not folder.is_dir():
        raise MotError(f"{folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if not _is_litter(path))
    told = [(path, _NAME.fullmatch(path.name)) for path in files]
    people = [(path, int(match[1]), int(match[2])) for path, match in told if match]
    people = [person for person in people if person[1] != JUNK]
    strangers = tuple(path.name for path, match in told if not match)
    if not people:
        seen = f" (but {strangers[0]})" if strangers else ""
        raise MotError(f"{folder}: holds no picture called as 0001_c1s1_000151_01.jpg is{seen}")
    paths, ids, cameras = zip(*people, strict=True)
    return Named(paths, np.array(ids, np.int64), np.array(cameras, np.int64), strangers)


def _is_litter(path: Path) -> bool:
    """What systems leave behind."""
    return path.name.startswith(".") or path.name.lower() in _LITTER


def read_market(folder: Path) -> Gallery:
    parts = {name: read_names(folder / name) for name in (QUERIES, GALLERY)}
    queries, gallery = parts.values()
    rows = np.arange(len(queries.paths) + len(gallery.paths))
    ids = np.concatenate([queries.ids, gallery.ids])
    if (queries.ids == OTHER).any():  # whom a query looks for is a person, where people begin at 0
        ids += 1
    return Gallery(
        folder.absolute().name,
        Pictures(queries.paths + gallery.paths),
        ids,
        np.concatenate([queries.cameras, gallery.cameras]),
        rows[: len(queries.paths)],
        rows[len(queries.paths) :],
        same_camera,
        tuple(
            _note(folder / name, part.strangers) for name, part in parts.items() if part.strangers
        ),
    )


def _note(folder: Path, strangers: tuple[str, ...]) -> str:
    names = ", ".join([*strangers[:3], *["..."][: len(strangers) > 3]])
    return f"{folder}: passed over, since their names tell nobody: {len(strangers)} files ({names})"


def read_sequence_gallery(sequence: Sequence, gap: int, every: int | None) -> Gallery:
    """Of a sequence with ground truth; the last frame is that of what pictures there are."""
    assert sequence.ground_truth is not None
    footage = find_footage(Truth(sequence.name, sequence.ground_truth, sequence=sequence))
    if footage is None:
        raise MotError(f"{sequence.folder}: has no pictures to look at: no img1/, and no video")
    truth = read_truth(sequence).rows
    last = min(truth.last_frame, footage.last or truth.last_frame)
    step = every or max(1, last // _FRAMES)
    used = _counts(truth) & (truth.frames <= last) & ((truth.frames - 1) % step == 0)
    people = chosen(truth, np.flatnonzero(used))
    _check_gap(sequence, people, gap)
    xyxy = boxes.xywh_to_xyxy(people.xywh).astype(np.float32)
    rows = np.arange(len(people))
    return Gallery(
        sequence.name,
        Frames(footage, people.frames, xyxy, sequence.size),
        np.where(people.ids == OTHER, people.ids.max() + 1, people.ids),
        people.frames,
        rows,
        rows,
        sooner_than(gap),
    )


def _counts(truth: MotRows) -> npt.NDArray[np.bool_]:
    """(N,) people who can be told apart: known, flagged to count, and not hidden."""
    known = (truth.ids >= 0) & np.isin(truth.classes, (PEDESTRIAN, UNKNOWN)) & (truth.scores != 0)
    seen = (truth.visibility == UNKNOWN) | (truth.visibility >= _LEAST_VISIBILITY)
    counts: npt.NDArray[np.bool_] = known & seen
    return counts


def _check_gap(sequence: Sequence, people: MotRows, gap: int) -> None:
    """That somebody is to be found again."""
    if not len(people):
        raise MotError(f"{sequence.ground_truth}: nobody who counts is in its frames with pictures")
    spans = [np.ptp(people.frames[people.ids == number]) for number in np.unique(people.ids)]
    longest = int(max(spans))
    if longest < gap:
        smaller = f"a gap of {max(1, longest // 2)}" if longest else "a smaller --every"
        raise MotError(
            f"{sequence.folder}: nobody is seen again {gap} frames later, the longest for "
            f"{longest} (where there are pictures): give {smaller}"
        )
