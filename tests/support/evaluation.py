"""Sequences and results to evaluate."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from support.oracles import (
    World,
    as_rows,
    as_table,
)

from mot.config import build_tracker
from mot.motfile import MotRows, read_detections, read_mot_rows, read_sequence
from mot.types import Detections, Frame


def world(gt: object, result: object, length: int) -> World:
    """From rows of frame, id, left, top, width, height and, for gt, optional flag and class."""
    tables = [[(*row, *(1, 1)[len(row) - 6 :]) for row in rows] for rows in (gt, result)]
    return World(as_rows(tables[0]), as_rows(tables[1]), length)


TRACKERS = ["sort", "bytetrack", "best"]


@cache
def tracked(folder: Path, detector: str, tracker_name: str, length: int) -> MotRows:
    tracker = build_tracker(tracker_name)
    detections = read_detections(folder / f"det/{detector}.txt")
    rows = [np.zeros((0, 8))]
    for number in range(1, length + 1):
        tracks = tracker.update(
            detections.get(number, Detections.empty()), Frame(None, number, number / 30)
        )
        left_top, right_bottom = np.split(tracks.boxes.astype(np.float64).round(2), 2, axis=1)
        frame, rest = np.full(len(tracks), number), np.ones((len(tracks), 2))
        rows.append(np.column_stack([frame, tracks.ids, left_top, right_bottom - left_top, rest]))
    return as_rows(np.concatenate(rows))


def first_frames(rows: MotRows, length: int) -> MotRows:
    table = as_table(rows)
    return as_rows(table[table[:, 0] <= length])


def real(folder: Path, length: int | None = None) -> tuple[MotRows, int]:
    """Ground truth and length of a sequence or of its first `length` frames."""
    sequence = read_sequence(folder)
    length = min(length or sequence.length, sequence.length)
    assert sequence.ground_truth
    return first_frames(read_mot_rows(sequence.ground_truth), length), length


def noisy(gt: MotRows) -> MotRows:
    """Boxes shifted by some pixels, 10 % missing, 2 % with a new id."""
    rng = np.random.default_rng(0)
    table = as_table(gt)
    table[:, 2:6] += rng.normal(0, 4, (len(table), 4)).round(1)
    table[:, 4:6] = np.maximum(table[:, 4:6], 1)
    new = rng.random(len(table)) < 0.02
    table[new, 1] = 1000 + np.arange(new.sum())
    return as_rows(table[rng.random(len(table)) < 0.9])


def shifted(gt: MotRows) -> MotRows:
    return as_rows(as_table(gt) + [0, 0, 20, 0, 0, 0, 0, 0])


MADE_RESULTS = {
    "ground truth": lambda gt: gt,
    "noise": noisy,
    "shifted": shifted,
    "nothing": lambda gt: as_rows([]),
}
