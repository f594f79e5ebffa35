"""MOTChallenge files and folders: reading and writing.

A row is `frame,id,left,top,width,height,conf,class,visibility,...`. In detections and results, -1
stands for unknown values; in ground truth, the seventh column is 1 if the row is evaluated.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot import boxes
from mot.errors import MotError
from mot.image_size import IMAGE_SUFFIXES, image_size
from mot.rowreader import Table, line_of_row, read_rows
from mot.types import FARTHEST, Detections, FloatArray, IntArray, Tracks

MIN_COLUMNS = 6
# Defaults of missing columns: frame, id, left, top, width, height, conf, class, visibility, unused.
DEFAULTS = (0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0, -1.0, -1.0)
MAX_INTEGER = 1e15  # exact in float64
DEFAULT_FPS = 30.0
VIDEO_SUFFIXES = frozenset(".mp4 .avi .mkv .mov .webm .m4v .mpg .mpeg .ts .wmv .flv".split())
_SPLITS = ("train", "val", "test")
_DETECTIONS = re.compile("(?<=.)-(DPM|FRCNN|SDP)$")  # suffix of MOT17 sequence names


@dataclass(frozen=True, slots=True, eq=False)
class MotRows:
    """The rows of one file, in file order. A missing column has its default value."""

    frames: IntArray  # (N,) from 1
    ids: IntArray  # (N,) -1: unknown
    xywh: Table  # (N, 4) float64
    scores: Table  # (N,) confidence; in ground truth the "evaluate this row" flag; default 1
    classes: IntArray  # (N,) default -1
    visibility: Table  # (N,) default -1

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def last_frame(self) -> int:
        return int(self.frames.max(initial=0))

    def by_frame(self) -> Iterator[tuple[int, IntArray]]:
        """(frame, row numbers in file order) for each frame that has rows."""
        if not len(self):
            return
        order = np.argsort(self.frames, kind="stable")
        frames, starts = np.unique(self.frames[order], return_index=True)
        yield from zip(frames.tolist(), np.split(order, starts[1:]), strict=True)


def read_mot_rows(path: str | Path) -> MotRows:
    """Read and validate a det, gt or result file: 6 to 10 columns, comma or space separated."""
    path = Path(path)
    table = read_rows(path, MIN_COLUMNS, DEFAULTS)
    _check_rows(table, lambda row: f"{path}:{line_of_row(path, row)}")
    return _from_table(table)


def mot_rows_from_array(array: npt.ArrayLike, name: str = "array") -> MotRows:
    """Validate an (N, 6) to (N, 10) array of MOT rows; `name` names it in errors."""
    table: Table = np.asarray(array, np.float64)
    if table.size == 0:
        table = np.zeros((0, MIN_COLUMNS))
    if table.ndim != 2 or not MIN_COLUMNS <= table.shape[1] <= len(DEFAULTS):
        raise MotError(
            f"{name}: MOT rows (frame, id, left, top, width, height, ...) must have the shape "
            f"(N, {MIN_COLUMNS}) to (N, {len(DEFAULTS)}), not {table.shape}"
        )
    _check_rows(table, lambda row: f"{name}: row {row}")
    return _from_table(table)


def _from_table(table: Table) -> MotRows:
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


def _check_rows(table: Table, locate: Callable[[int], str]) -> None:
    """Reject impossible values, naming the first bad line."""
    frames, ids, width, height = table[:, 0], table[:, 1], table[:, 4], table[:, 5]
    checks: tuple[tuple[Any, str], ...] = (
        (frames < 1, "frames count from 1"),
        (frames != np.floor(frames), "the frame is not an integer"),
        (ids != np.floor(ids), "the id is not an integer"),
        ((width < 0) | (height < 0), "the width or height is negative"),
    )
    if not (table.min(initial=0) >= -FARTHEST and table.max(initial=0) <= FARTHEST):
        far = np.abs(table[:, 2:6]).max(axis=1) > FARTHEST / 2
        checks = (
            (~np.isfinite(table).all(axis=1), "a number is not finite"),
            (np.abs(table).max(axis=1) > MAX_INTEGER, "a number is too large"),
            (far, f"the box is farther than {FARTHEST / 2:g} pixels away"),
            *checks,
        )
    for bad, fault in checks:
        if bad.any():
            row = int(bad.argmax())
            shown = ",".join(f"{value:g}" for value in table[row, :7])
            raise MotError(f"{locate(row)}: {fault} ({shown})")


def read_detections(path: str | Path) -> dict[int, Detections]:
    """Detections by frame, from 1; frames without any are left out.

    A confidence of -1 in every row means "not given" and is read as 1. Column 8 is the class label
    if it is at least 1 in every row; otherwise all labels are 0.
    """
    return detections_by_frame(read_mot_rows(path))


def detections_by_frame(
    rows: MotRows, embeddings: FloatArray | None = None
) -> dict[int, Detections]:
    """Detections by frame, from 1. `embeddings`: (N, D), one per row of the file."""
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
    """Tracks by frame, from 1, of a result or ground-truth file; empty frames are left out."""
    rows = read_mot_rows(path)
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


def format_mot_rows(
    frame: int,
    ids: Iterable[int],
    xyxy: npt.NDArray[np.floating],
    scores: Iterable[float],
    tail: str = "-1,-1,-1",
) -> str:
    """The rows of one frame as MOT text. `xyxy`: (N, 4); `tail`: the columns after the score."""
    xywh = boxes.xyxy_to_xywh(xyxy).tolist()
    return "".join(
        f"{frame},{number},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4g},{tail}\n"
        for number, (x, y, w, h), score in zip(ids, xywh, scores, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence folder: its files, and its metadata from `seqinfo.ini` or from the files."""

    name: str
    folder: Path
    fps: float
    length: int  # frames
    size: tuple[int, int] | None  # width, height
    images: Path | None
    ground_truth: Path | None
    detections: dict[str, Path] = field(default_factory=dict)  # by file name: "det", "FRCNN", ...
    video: Path | None = None  # a video with the name of the sequence, if there are no images

    @property
    def base_name(self) -> str:
        return base_name(self.name)


def base_name(sequence: str) -> str:
    """`MOT17-02` for `MOT17-02-FRCNN`: the name without the suffix of a MOT17 detector."""
    return _DETECTIONS.sub("", sequence)


def file_names(sequence: str) -> tuple[str, str]:
    """Possible file names of a sequence: MOT17-02.mp4 belongs to MOT17-02-FRCNN too."""
    return sequence, base_name(sequence)


def is_sequence(folder: Path) -> bool:
    """Whether a folder has a seqinfo.ini, gt/gt.txt, det/ or img1/."""
    if not folder.is_dir():
        return False
    parts = ("seqinfo.ini", "gt/gt.txt", "det", "img1")
    return any((folder / part).exists() for part in parts)


def find_sequences(root: str | Path) -> list[Sequence]:
    """The sequences of a dataset (MOT15/16/17/20, DanceTrack), its split, or a single sequence."""
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
    """Metadata from `seqinfo.ini`; missing values are derived from the files."""
    folder = Path(folder)
    info = _read_seqinfo(folder / "seqinfo.ini")
    # The named subfolder, or the sequence folder itself if it contains the images.
    candidates = (folder / info.get("imdir", "img1"), folder)
    images = next((path for path in candidates if list_images(path)), None)
    ground_truth = folder / "gt" / "gt.txt"
    detections = {path.stem: path for path in sorted((folder / "det").glob("*.txt"))}
    row_files = [ground_truth] if ground_truth.is_file() else list(detections.values())[:1]
    name = Path(os.path.abspath(folder)).name  # the name of a link, not of its target
    return Sequence(
        name=name,
        folder=folder,
        fps=_number(folder, info, "frameRate") or DEFAULT_FPS,
        length=int(_number(folder, info, "seqLength") or _count_frames(images, row_files)),
        size=_size(folder, info, images),
        images=images,
        ground_truth=ground_truth if ground_truth.is_file() else None,
        detections=detections,
        video=None if images else find_video(folder, name),
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


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order: 2.jpg before 10.jpg."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(found, key=lambda path: natural_key(path.name))


def list_videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)


def find_video(folder: Path, sequence: str) -> Path | None:
    """The video in a folder that has the name of the sequence."""
    return _first_named(sequence, list_videos(folder))


def any_video(folder: Path, sequence: str) -> Path | None:
    """The video with the name of the sequence, or the only video in the folder."""
    videos = list_videos(folder)
    return _first_named(sequence, videos) or (videos[0] if len(videos) == 1 else None)


def _first_named(sequence: str, videos: list[Path]) -> Path | None:
    return next((path for path in videos if path.stem in file_names(sequence)), None)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key in which runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _count_frames(images: Path | None, row_files: list[Path]) -> int:
    """The last frame number of an image file or a row; image files may count from 0."""
    rows = max((read_mot_rows(path).last_frame for path in row_files), default=0)
    files = list_images(images) if images else []
    numbers = [int(path.stem) for path in files if path.stem.isdecimal()]
    last = max(numbers) + (min(numbers) == 0) if numbers else len(files)
    return max(rows, last)


def write_seqinfo(path: Path, sequence: Sequence, extension: str = ".jpg") -> None:
    """Write `seqinfo.ini` without the values that are unknown."""
    lines = ["[Sequence]", f"name={sequence.name}", "imDir=img1", f"frameRate={sequence.fps:g}"]
    if sequence.length:
        lines.append(f"seqLength={sequence.length}")
    if sequence.size:
        lines += [f"imWidth={sequence.size[0]}", f"imHeight={sequence.size[1]}"]
    path.write_text("\n".join([*lines, f"imExt={extension}\n"]))
