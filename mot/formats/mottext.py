"""MOTChallenge text: one file a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

from mot import motfile
from mot.errors import MotError
from mot.formats.model import UNKNOWN, VideoTracks, plain


def read(path: Path) -> list[VideoTracks]:
    """A file in a sequence folder (gt/gt.txt, det/NAME.txt) is of that sequence."""
    folder = path.absolute().parent.parent
    if path.absolute().parent.name in ("gt", "det") and motfile.is_sequence(folder):
        return [_of_sequence(motfile.read_sequence(folder), path)]
    rows = _read_rows(path)
    return [VideoTracks(path.stem, rows, rows.last_frame)]


def read_truth(sequence: motfile.Sequence) -> VideoTracks:
    """Of a sequence that has ground truth."""
    assert sequence.ground_truth is not None
    try:
        return _of_sequence(sequence, sequence.ground_truth)
    except ValueError as error:
        raise MotError(f"{sequence.ground_truth}: {error}") from error


def _of_sequence(sequence: motfile.Sequence, path: Path) -> VideoTracks:
    rows = _read_rows(path)
    length = max(sequence.length, rows.last_frame)
    images = _image_names(sequence, length)
    return VideoTracks(sequence.name, rows, length, sequence.fps, sequence.size, images)


def _read_rows(path: Path) -> motfile.MotRows:
    """Columns 8 to 10 of MOT15 are a place in the world, which is left out."""
    rows = motfile.read_rows_of(path)
    is_share = (rows.visibility >= 0) & (rows.visibility <= 1)
    if (is_share | (rows.visibility == UNKNOWN)).all():
        return rows
    unknown = np.full(len(rows), UNKNOWN)
    return replace(rows, classes=unknown, visibility=unknown.astype(np.float64))


def _image_names(sequence: motfile.Sequence, length: int) -> tuple[str, ...] | None:
    """As seen from the data set's folder; None unless every frame has its image there."""
    if sequence.images is None or not sequence.images.is_relative_to(sequence.folder):
        return None
    paths = motfile.list_images(sequence.images)
    numbers = [int(path.stem) for path in paths if path.stem.isdecimal()]
    complete = len(numbers) == len(paths) == length
    if not complete or sorted(numbers) not in ([*range(length)], [*range(1, length + 1)]):
        return None
    inside = sequence.images.relative_to(sequence.folder)
    return tuple((sequence.name / inside / path.name).as_posix() for path in paths)


def lines(videos: Sequence[VideoTracks]) -> Iterator[str]:
    """Results, of which neither class nor visibility is known, end in -1,-1,-1."""
    (video,) = videos
    rows = video.rows
    columns = [rows.frames.tolist(), rows.ids.tolist(), *map(plain, rows.xywh.T)]
    columns.append(plain(rows.scores))
    if (rows.classes == UNKNOWN).all() and (rows.visibility == UNKNOWN).all():
        columns += [repeat(UNKNOWN)] * 3
    else:
        columns += [rows.classes.tolist(), plain(rows.visibility)]
    for row in zip(*columns, strict=False):
        yield ",".join(map(str, row)) + "\n"
