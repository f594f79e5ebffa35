"""MOTChallenge files and folders, read and written.

A row is `frame,id,left,top,width,height,conf,class,visibility,...`: detections and results have
-1 for what they do not know; in ground truth the seventh column is 1 where the row counts.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.errors import MotError
from mot.imagesize import IMAGE_SUFFIXES, image_size
from mot.rowreader import Table, line_of_row, read_rows
from mot.types import FARTHEST, Detections, FloatArray, IntArray, Tracks

LEAST_COLUMNS = 6
# Of frame, id, left, top, width, height, conf, class, visibility, unused: where there is no column.
DEFAULTS = (0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0, -1.0, -1.0)
LARGEST = 1e15  # a whole number that a float64 still holds exactly
DEFAULT_FPS = 30.0
VIDEO_SUFFIXES = frozenset(".mp4 .avi .mkv .mov .webm .m4v .mpg .mpeg .ts .wmv .flv".split())
_SPLITS = ("train", "val", "test")
_DETECTIONS = re.compile("(?<=.)-(DPM|FRCNN|SDP)$")  # after the name of a sequence


@dataclass(frozen=True, slots=True, eq=False)
class MotRows:
    """The rows of one file, in its order. Files without a column have its default."""

    frames: IntArray  # (N,) from 1
    ids: IntArray  # (N,) -1: unknown
    xywh: Table  # (N, 4) float64
    scores: Table  # (N,) confidence; in ground truth the flag "this row counts"; default 1
    classes: IntArray  # (N,) default -1
    visibility: Table  # (N,) default -1

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def last_frame(self) -> int:
        return int(self.frames.max(initial=0))

    def by_frame(self) -> Iterator[tuple[int, IntArray]]:
        """(frame, its row numbers in the file's order), for each frame that has rows."""
        if not len(self):
            return
        order = np.argsort(self.frames, kind="stable")
        frames, starts = np.unique(self.frames[order], return_index=True)
        yield from zip(frames.tolist(), np.split(order, starts[1:]), strict=True)


def read_rows_of(path: str | Path) -> MotRows:
    """Read and check a det, gt or result file: 6 to 10 columns, comma or white space, any order."""
    path = Path(path)
    table = read_rows(path, LEAST_COLUMNS, DEFAULTS)
    _check_rows(path, table)
    return MotRows(
        frames=table[:, 0].astype(np.int64),
        ids=table[:, 1].astype(np.int64),
        xywh=np.ascontiguousarray(table[:, 2:6]),
        scores=_column(table, 6),
        classes=_column(table, 7).astype(np.int64),
        visibility=_column(table, 8),
    )


def _column(table: Table, index: int) -> Table:
    if index < table.shape[1]:
        return table[:, index].copy()
    return np.full(len(table), DEFAULTS[index])


def _check_rows(path: Path, table: Table) -> None:
    """Refuse what no sequence can hold, naming the first line that does."""
    frames, ids, width, height = table[:, 0], table[:, 1], table[:, 4], table[:, 5]
    checks: tuple[tuple[Any, str], ...] = (
        (frames < 1, "frames count from 1"),
        (frames != np.floor(frames), "the frame is not a whole number"),
        (ids != np.floor(ids), "the id is not a whole number"),
        ((width < 0) | (height < 0), "the width or height is negative"),
    )
    if not (table.min(initial=0) >= -FARTHEST and table.max(initial=0) <= FARTHEST):
        far = np.abs(table[:, 2:6]).max(axis=1) > FARTHEST / 2
        checks = (
            (~np.isfinite(table).all(axis=1), "a number is not finite"),
            (np.abs(table).max(axis=1) > LARGEST, "a number is too large"),
            (far, f"the box is farther than {FARTHEST / 2:g} pixels away"),
            *checks,
        )
    for bad, fault in checks:
        if bad.any():
            row = int(bad.argmax())
            shown = ",".join(f"{value:g}" for value in table[row, :7])
            raise MotError(f"{path}:{line_of_row(path, row)}: {fault} ({shown})")


def read_detections(path: str | Path) -> dict[int, Detections]:
    """The detections of each frame that has any.

    A confidence of -1 in every row means that none was written, and is read as 1. Column 8 is the
    class where every row has a whole number from 1 in it; else all are of class 0.
    """
    return detections_by_frame(read_rows_of(path))


def detections_by_frame(
    rows: MotRows, embeddings: FloatArray | None = None
) -> dict[int, Detections]:
    """`embeddings` has a row for each row of the file."""
    scores = np.ones(len(rows)) if (rows.scores == -1).all() else rows.scores
    labels = rows.classes if (rows.classes >= 1).all() else np.zeros(len(rows), np.int64)
    xyxy = boxes.xywh_to_xyxy(rows.xywh).astype(np.float32)
    return {
        frame: Detections.from_boxes(
            xyxy[index],
            scores[index],
            labels[index],
            None if embeddings is None else embeddings[index],
        )
        for frame, index in rows.by_frame()
    }


def read_tracks(path: str | Path) -> dict[int, Tracks]:
    """The tracks of each frame that has any, of a result file or of ground truth."""
    rows = read_rows_of(path)
    xyxy = boxes.xywh_to_xyxy(rows.xywh).astype(np.float32)
    return {
        frame: Tracks(
            rows.ids[index],
            xyxy[index],
            rows.scores[index].astype(np.float32),
            np.maximum(rows.classes[index], 0),
            np.zeros(len(index), np.int64),
        )
        for frame, index in rows.by_frame()
    }


def mot_lines(
    frame: int,
    ids: Iterable[int],
    xyxy: npt.NDArray[np.floating],
    scores: Iterable[float],
    tail: str = "-1,-1,-1",
) -> str:
    """The rows of one frame as MOT text."""
    xywh = boxes.xyxy_to_xywh(xyxy).tolist()
    return "".join(
        f"{frame},{number},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4g},{tail}\n"
        for number, (x, y, w, h), score in zip(ids, xywh, scores, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence folder: where its parts are and what `seqinfo.ini` says, or what they show."""

    name: str
    folder: Path
    fps: float
    length: int
    size: tuple[int, int] | None  # width, height
    images: Path | None
    ground_truth: Path | None
    detections: dict[str, Path] = field(default_factory=dict)  # by name: "det", "FRCNN", ...
    video: Path | None = None  # of its name, in place of images

    @property
    def base_name(self) -> str:
        return base_name(self.name)


def base_name(sequence: str) -> str:
    """`MOT17-02-FRCNN` is the sequence `MOT17-02` with the detections `FRCNN`."""
    return _DETECTIONS.sub("", sequence)


def names_of(sequence: str) -> tuple[str, str]:
    """That its files may have: MOT17-02.mp4 is MOT17-02-FRCNN's too."""
    return sequence, base_name(sequence)


def is_sequence(folder: Path) -> bool:
    """A folder with a seqinfo.ini, or with the parts of a sequence."""
    if not folder.is_dir():
        return False
    parts = ("seqinfo.ini", "gt/gt.txt", "det", "img1")
    return any((folder / part).exists() for part in parts)


def find_sequences(root: str | Path) -> list[Sequence]:
    """The sequences of a dataset folder (MOT15/16/17/20, DanceTrack), with or without `train/`."""
    root = Path(root)
    if not root.is_dir():
        raise MotError(f"{root}: no such folder")
    if is_sequence(root):
        return [read_sequence(root)]
    folders = _sequences_in(root)
    for split in _SPLITS:
        if not is_sequence(root / split):
            folders += _sequences_in(root / split)
    if not folders:
        raise MotError(f"{root}: no sequence in it (a folder with seqinfo.ini, gt/, det/ or img1/)")
    return [read_sequence(folder) for folder in folders]


def _sequences_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [child for child in sorted(folder.iterdir()) if is_sequence(child)]


def read_sequence(folder: str | Path) -> Sequence:
    """What `seqinfo.ini` says; what it leaves out is worked out from the files."""
    folder = Path(folder)
    info = _read_seqinfo(folder / "seqinfo.ini")
    images = _image_folder(folder, info.get("imdir", "img1"))
    ground_truth = folder / "gt" / "gt.txt"
    detections = {path.stem: path for path in sorted((folder / "det").glob("*.txt"))}
    known = [ground_truth] if ground_truth.is_file() else list(detections.values())[:1]
    name = Path(os.path.abspath(folder)).name  # a link keeps its own name
    return Sequence(
        name=name,
        folder=folder,
        fps=_number(folder, info, "frameRate") or DEFAULT_FPS,
        length=int(_number(folder, info, "seqLength") or _count_frames(images, known)),
        size=_size(folder, info, images),
        images=images,
        ground_truth=ground_truth if ground_truth.is_file() else None,
        detections=detections,
        video=None if images else video_called(folder, name),
    )


def _read_seqinfo(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8-sig"))
        return dict(parser["Sequence"])
    except configparser.MissingSectionHeaderError as error:
        raise MotError(f"{path}:{error.lineno}: the first line must be [Sequence]") from None
    except configparser.ParsingError as error:
        raise MotError(f"{path}:{error.errors[0][0]}: not a line of the form name=value") from None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise MotError(f"{path}: not a seqinfo.ini (a [Sequence] with name=value lines)") from None


def _number(folder: Path, info: dict[str, str], key: str) -> float | None:
    text = info.get(key.lower())  # as configparser keeps its keys
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise MotError(f"{folder / 'seqinfo.ini'}: {key}={text} is not a positive number")
    return value


def _size(folder: Path, info: dict[str, str], images: Path | None) -> tuple[int, int] | None:
    width, height = _number(folder, info, "imWidth"), _number(folder, info, "imHeight")
    if width and height:
        return int(width), int(height)
    first = next(iter(list_images(images)), None) if images else None
    return image_size(first) if first else None


def _image_folder(folder: Path, named: str) -> Path | None:
    """The named folder, or the sequence folder itself where the pictures lie loose in it."""
    return next((path for path in (folder / named, folder) if list_images(path)), None)


def list_images(folder: Path) -> list[Path]:
    """In natural order: 2.jpg before 10.jpg."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(found, key=lambda path: natural_key(path.name))


def list_videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)


def video_called(folder: Path, sequence: str) -> Path | None:
    """That of a sequence in its folder."""
    return _called(sequence, list_videos(folder))


def any_video(folder: Path, sequence: str) -> Path | None:
    """That of the sequence, else the only one, which may show a part of it."""
    videos = list_videos(folder)
    return _called(sequence, videos) or (videos[0] if len(videos) == 1 else None)


def _called(sequence: str, videos: list[Path]) -> Path | None:
    return next((path for path in videos if path.stem in names_of(sequence)), None)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _count_frames(images: Path | None, row_files: list[Path]) -> int:
    """The last number that a picture or a row has; pictures may count from 0."""
    rows = max((read_rows_of(path).last_frame for path in row_files), default=0)
    pictures = list_images(images) if images else []
    numbers = [int(path.stem) for path in pictures if path.stem.isdecimal()]
    last = max(numbers) + (min(numbers) == 0) if numbers else len(pictures)
    return max(rows, last)


def write_seqinfo(path: Path, sequence: Sequence, extension: str = ".jpg") -> None:
    """What is not known is left out."""
    lines = ["[Sequence]", f"name={sequence.name}", "imDir=img1", f"frameRate={sequence.fps:g}"]
    if sequence.length:
        lines.append(f"seqLength={sequence.length}")
    if sequence.size:
        lines += [f"imWidth={sequence.size[0]}", f"imHeight={sequence.size[1]}"]
    path.write_text("\n".join([*lines, f"imExt={extension}\n"]))
