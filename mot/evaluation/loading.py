"""The files of an entry, read, checked and cut to a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mot.errors import MotError
from mot.evaluation.entries import Entry
from mot.evaluation.protocols import Protocol, guess_protocol
from mot.evaluation.scene import Mask
from mot.motfile import MotRows, read_rows_of
from mot.rowreader import line_of_row

SPLITS = ("all", "train-half", "val-half")
_EMPTY = np.zeros((0, 10))


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A sequence in memory; a split's frames are numbered from 1."""

    entry: Entry
    protocol: Protocol
    truth: MotRows
    result: MotRows
    length: int
    first: int  # the frame of the whole sequence that is frame 1 here
    is_cut: bool = False  # the result was of the whole sequence, and is cut to the split


def load(
    entry: Entry, protocol: Protocol | None = None, split: str = "all", length: int | None = None
) -> Loaded:
    """Read both files; `length` is that of the whole sequence, where nothing else tells it."""
    truth = read_rows_of(entry.truth.path)
    result = read_rows_of(entry.result) if entry.result else no_rows()
    protocol = protocol or guess_protocol(entry.truth.name, truth)
    _check_truth(entry.truth.path, truth, protocol)
    whole = length or entry.truth.length or truth.last_frame or result.last_frame
    first, last = split_frames(whole, split)
    _check_length(entry.truth.path, truth, whole, "")
    is_whole = False
    if entry.result:
        _check_result(entry.result, result, protocol)
        hint = "" if length or entry.truth.length else ": if it goes on, give --length"
        is_whole = result.last_frame > last - first + 1
        if is_whole:
            _check_length(entry.result, result, whole, hint)
            result = cut(result, first, last)
    truth = cut(truth, first, last)
    return Loaded(entry, protocol, truth, result, last - first + 1, first, is_whole)


def no_rows() -> MotRows:
    whole = _EMPTY.astype(np.int64)
    return MotRows(whole[:, 0], whole[:, 1], _EMPTY[:, :4], _EMPTY[:, 4], whole[:, 2], _EMPTY[:, 5])


def split_frames(length: int, split: str) -> tuple[int, int]:
    """The first and last frame, from 1. Of frames counted from 0, `train-half` has those up to
    `length // 2` and `val-half` those after it, as CenterTrack and ByteTrack split MOT17."""
    middle = length // 2 + 1
    return {"all": (1, length), "train-half": (1, middle), "val-half": (middle + 1, length)}[split]


def cut(rows: MotRows, first: int, last: int) -> MotRows:
    """The rows from the first to the last frame, renumbered from 1."""
    kept = (rows.frames >= first) & (rows.frames <= last)
    if first == 1 and kept.all():
        return rows
    return MotRows(
        rows.frames[kept] - (first - 1),
        rows.ids[kept],
        rows.xywh[kept],
        rows.scores[kept],
        rows.classes[kept],
        rows.visibility[kept],
    )


def _check_length(path: Path, rows: MotRows, length: int, hint: str) -> None:
    _refuse(path, rows.frames > length, rows, f"beyond the sequence's last frame, {length}{hint}")


def _check_truth(path: Path, truth: MotRows, protocol: Protocol) -> None:
    check_unique(path, truth, protocol)
    if protocol.known:
        least, most = protocol.known[0], protocol.known[-1]
        unknown = (truth.classes < least) | (truth.classes > most)
        _refuse(path, unknown, truth, f"class {{}} is not one of {protocol.name}", truth.classes)


def _check_result(path: Path, result: MotRows, protocol: Protocol) -> None:
    if len(result) > 1 and (result.ids == -1).all():
        raise MotError(f"{path}: every id is -1: these are detections, not tracks")
    check_unique(path, result, protocol)
    if protocol.says_pedestrians:
        fault = f"class {{}}: {protocol.name} scores pedestrians alone (1 or -1); or use plain"
        _refuse(path, result.classes > 1, result, fault, result.classes)


def check_unique(path: Path, rows: MotRows, protocol: Protocol) -> None:
    """An id stands once in a frame; in one of several classes, for each is scored alone."""
    classes = rows.classes if protocol.is_multi_class else np.zeros(len(rows), np.int64)
    order = np.lexsort((classes, rows.ids, rows.frames))
    same = [np.diff(key[order]) == 0 for key in (rows.frames, rows.ids, classes)]
    again = same[0] & same[1] & same[2]
    repeated = np.zeros(len(rows), np.bool_)
    repeated[order[1:][again]] = True
    _refuse(path, repeated, rows, "the id {} stands twice in this frame", rows.ids)


def _refuse(
    path: Path, bad: Mask, rows: MotRows, fault: str, values: np.ndarray | None = None
) -> None:
    if bad.any():
        row = int(bad.argmax())
        shown = fault if values is None else fault.format(values[row])
        raise MotError(f"{path}:{line_of_row(path, row)}: frame {rows.frames[row]}: {shown}")
