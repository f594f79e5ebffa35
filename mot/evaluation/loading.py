"""Reading, checking and cutting to a split the ground truth and the result of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.errors import MotError, suggest
from mot.evaluation.choices import SPLITS
from mot.evaluation.entries import Entry, GroundTruth
from mot.evaluation.protocols import Protocol, infer_protocol
from mot.evaluation.sequence_pairs import Mask
from mot.motfile import MotRows, mot_rows_from_array, read_mot_rows
from mot.rowreader import line_of_row


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSequence:
    """The rows of a sequence, or of a split of it, whose frames are renumbered from 1."""

    entry: Entry
    protocol: Protocol
    gt: MotRows
    result: MotRows
    length: int  # frames
    first: int  # number of the first frame in the full sequence
    is_cut: bool = False  # the result covered the full sequence and was cut to the split


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Rows and where they come from, for error messages."""

    rows: MotRows
    name: str  # the file, or the name of the argument
    locate: Callable[[int], str]  # row number -> "FILE:LINE" or "NAME: row N"

    def reject(self, bad: Mask, fault: str, values: npt.NDArray[np.int64] | None = None) -> None:
        """Raise for the first bad row; its value replaces `{}` in `fault`."""
        if bad.any():
            row = int(bad.argmax())
            shown = fault if values is None else fault.format(values[row])
            raise MotError(f"{self.locate(row)}: frame {self.rows.frames[row]}: {shown}")


def load_sequence(
    entry: Entry, protocol: Protocol | None = None, split: str = "all", length: int | None = None
) -> LoadedSequence:
    """Read both files of an entry.

    Args:
        protocol: inferred from the name and the ground truth if None.
        length: frames of the full sequence, if neither seqinfo.ini nor the rows show it.
    """
    assert entry.gt.path is not None
    result = _read(entry.result) if entry.result else None
    return _check_and_cut(entry, _read(entry.gt.path), result, protocol, split, length)


def load_arrays(
    results: npt.ArrayLike | Path,
    gt: npt.ArrayLike | Path,
    protocol: Protocol | None = None,
    split: str = "all",
    length: int | None = None,
) -> LoadedSequence:
    """One sequence from MOT rows in arrays; one of the two may be a file."""
    entry = Entry("sequence", GroundTruth("sequence", gt if isinstance(gt, Path) else None), None)
    gt_source = _read(gt) if isinstance(gt, Path) else _from_array(gt, "gt")
    result = _read(results) if isinstance(results, Path) else _from_array(results, "results")
    return _check_and_cut(entry, gt_source, result, protocol, split, length)


def _read(path: Path) -> _Source:
    rows = read_mot_rows(path)
    return _Source(rows, str(path), lambda row: f"{path}:{line_of_row(path, row)}")


def _from_array(rows: npt.ArrayLike, name: str) -> _Source:
    return _Source(mot_rows_from_array(rows, name), name, lambda row: f"{name}: row {row}")


def _check_and_cut(
    entry: Entry,
    gt: _Source,
    result: _Source | None,
    protocol: Protocol | None,
    split: str,
    length: int | None,
) -> LoadedSequence:
    protocol = protocol or infer_protocol(entry.gt.name, gt.rows)
    _check_gt(gt, protocol)
    result_rows = result.rows if result else empty_rows()
    full = length or entry.gt.length or gt.rows.last_frame or result_rows.last_frame
    first, last = split_frames(full, split)
    _check_last_frame(gt, full)
    is_cut = False
    if result:
        _check_result(result, protocol)
        is_cut = result_rows.last_frame > last - first + 1
        if is_cut:
            hint = "" if length or entry.gt.length else ": if it is longer, give --length"
            _check_last_frame(result, full, hint)
            result_rows = cut_frames(result_rows, first, last)
    gt_rows = cut_frames(gt.rows, first, last)
    return LoadedSequence(
        entry, protocol, gt_rows, result_rows, last - first + 1, first, is_cut=is_cut
    )


def empty_rows() -> MotRows:
    return mot_rows_from_array([])


def split_frames(length: int, split: str) -> tuple[int, int]:
    """The first and last frame of a split, from 1.

    Counted from 0, `train-half` has the frames up to `length // 2` and `val-half` those after it,
    as CenterTrack and ByteTrack split MOT17.
    """
    if split not in SPLITS:
        raise MotError(f"unknown split {split!r}: {suggest(split, SPLITS)}")
    middle = length // 2 + 1
    return {"all": (1, length), "train-half": (1, middle), "val-half": (middle + 1, length)}[split]


def cut_frames(rows: MotRows, first: int, last: int) -> MotRows:
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


def _check_last_frame(source: _Source, length: int, hint: str = "") -> None:
    late = source.rows.frames > length
    source.reject(late, f"beyond the last frame of the sequence, {length}{hint}")


def _check_gt(gt: _Source, protocol: Protocol) -> None:
    _check_unique_ids(gt, protocol)
    if protocol.gt_classes:
        classes, known = gt.rows.classes, protocol.gt_classes
        unknown = (classes < known[0]) | (classes > known[-1])
        gt.reject(unknown, f"class {{}} is not one of {protocol.name}", classes)


def _check_result(result: _Source, protocol: Protocol) -> None:
    rows = result.rows
    if len(rows) > 1 and (rows.ids == -1).all():
        raise MotError(f"{result.name}: every id is -1: these are detections, not tracks")
    _check_unique_ids(result, protocol)
    if protocol.pedestrians_only:
        fault = f"class {{}}: {protocol.name} scores only pedestrians (1 or -1); or use plain"
        result.reject(rows.classes > 1, fault, rows.classes)


def _check_unique_ids(source: _Source, protocol: Protocol) -> None:
    """Reject an id that occurs twice in a frame; with several classes, twice in a class."""
    rows = source.rows
    classes = rows.classes if protocol.is_multi_class else np.zeros(len(rows), np.int64)
    order = np.lexsort((classes, rows.ids, rows.frames))
    same = [np.diff(key[order]) == 0 for key in (rows.frames, rows.ids, classes)]
    repeated = np.zeros(len(rows), np.bool_)
    repeated[order[1:][same[0] & same[1] & same[2]]] = True
    source.reject(repeated, "the id {} occurs twice in this frame", rows.ids)
