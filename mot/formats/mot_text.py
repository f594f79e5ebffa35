"""Reading and writing MOTChallenge text, one video per file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

from mot import motfile
from mot.errors import MotError
from mot.formats.video_tracks import UNKNOWN, VideoTracks, shortest_numbers


def read(path: Path) -> list[VideoTracks]:
    """With the metadata of the sequence if the file is its gt/gt.txt or det/NAME.txt."""
    folder = path.absolute().parent.parent
    if path.absolute().parent.name in ("gt", "det") and motfile.is_sequence(folder):
        return [_read_sequence_file(motfile.read_sequence(folder), path)]
    rows = _read_rows(path)
    return [VideoTracks(path.stem, rows, rows.last_frame)]


def read_ground_truth(sequence: motfile.Sequence) -> VideoTracks:
    """The ground truth of a sequence that has one."""
    assert sequence.ground_truth is not None
    try:
        return _read_sequence_file(sequence, sequence.ground_truth)
    except ValueError as error:
        raise MotError(f"{sequence.ground_truth}: {error}") from error


def _read_sequence_file(sequence: motfile.Sequence, path: Path) -> VideoTracks:
    rows = _read_rows(path)
    length = max(sequence.length, rows.last_frame)
    images = _image_names(sequence, length)
    return VideoTracks(sequence.name, rows, length, sequence.fps, sequence.size, images)


def _read_rows(path: Path) -> motfile.MotRows:
    """Columns 8 to 10 of MOT15 are world coordinates, which are dropped."""
    rows = motfile.read_mot_rows(path)
    is_fraction = (rows.visibility >= 0) & (rows.visibility <= 1)
    if (is_fraction | (rows.visibility == UNKNOWN)).all():
        return rows
    unknown = np.full(len(rows), UNKNOWN)
    return replace(rows, classes=unknown, visibility=unknown.astype(np.float64))


def _image_names(sequence: motfile.Sequence, length: int) -> tuple[str, ...] | None:
    """Relative to the dataset folder; None unless every frame has an image."""
    if sequence.images is None or not sequence.images.is_relative_to(sequence.folder):
        return None
    paths = motfile.list_images(sequence.images)
    numbers = [int(path.stem) for path in paths if path.stem.isdecimal()]
    is_complete = len(numbers) == len(paths) == length
    if not is_complete or sorted(numbers) not in ([*range(length)], [*range(1, length + 1)]):
        return None
    inside = sequence.images.relative_to(sequence.folder)
    return tuple((sequence.name / inside / path.name).as_posix() for path in paths)


def format_lines(videos: Sequence[VideoTracks]) -> Iterator[str]:
    """Rows end in -1,-1,-1 if neither class nor visibility is known."""
    (video,) = videos
    rows = video.rows
    columns = [rows.frames.tolist(), rows.ids.tolist(), *map(shortest_numbers, rows.xywh.T)]
    columns.append(shortest_numbers(rows.scores))
    if (rows.classes == UNKNOWN).all() and (rows.visibility == UNKNOWN).all():
        columns += [repeat(UNKNOWN)] * 3
    else:
        columns += [rows.classes.tolist(), shortest_numbers(rows.visibility)]
    for row in zip(*columns, strict=False):
        yield ",".join(map(str, row)) + "\n"
