"""`mot synth`: a rendered world as a MOTChallenge sequence or as a video."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from mot.errors import MotError, as_user_error
from mot.files import atomic_writer
from mot.motfile import Sequence, format_mot_rows, write_seqinfo
from mot.opencv import cv2
from mot.synthetic import Moment, World
from mot.video.writers import VideoWriter

Write = Callable[[Moment], None]
_JPEG_QUALITY = 92


def parse_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not found or not all(32 <= int(number) <= 8192 for number in found.groups()):
        raise MotError(f"--size {text}: write it as 640x360, with 32 to 8192 pixels each")
    width, height = int(found[1]), int(found[2])
    if not 1 / 3 <= width / height <= 4:
        raise MotError(f"--size {text}: a street needs a width of 1/3 to 4 times the height")
    return width, height


def outputs(out: Path) -> list[Path]:
    """The files that will be written, or the folder."""
    return [out, *_beside(out)] if out.suffix else [out]


def _beside(video: Path) -> list[Path]:
    """The truth and the detections of a video."""
    return [video.with_suffix(".gt.txt"), video.with_suffix(".det.txt")]


def writer_for(out: Path, name: str, world: World, frames: int) -> AbstractContextManager[Write]:
    """A video for a name with a suffix, else a sequence folder; `name` goes into seqinfo.ini."""
    if out.suffix:
        return _video(out, world)
    out = Path(os.path.abspath(out))
    return _sequence(out, Sequence(name, out, world.fps, frames, world.size, None, None))


@contextmanager
def _video(path: Path, world: World) -> Iterator[Write]:
    """The video, and `NAME.gt.txt` and `NAME.det.txt` beside it."""
    with ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(path, world.fps))
        truth, detections = (stack.enter_context(atomic_writer(file)) for file in _beside(path))

        def write(moment: Moment) -> None:
            writer.write(moment.frame)
            _write_rows(moment, truth, detections)

        yield write


@contextmanager
def _sequence(folder: Path, sequence: Sequence) -> Iterator[Write]:
    """img1/, gt/gt.txt, det/det.txt, det/embeddings.npy and seqinfo.ini, in place when complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    _refuse_foreign(folder)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for part in ("img1", "gt", "det"):
            (partial / part).mkdir(parents=True)
        with _sequence_files(partial) as write:
            yield write
        write_seqinfo(partial / "seqinfo.ini", sequence)
        _replace(partial, folder)
    except Exception as error:
        raise as_user_error(error, folder) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _sequence_files(folder: Path) -> Iterator[Write]:
    embeddings = [np.zeros((0, 64), np.float32)]
    with (
        (folder / "gt/gt.txt").open("w", newline="\n") as truth,
        (folder / "det/det.txt").open("w", newline="\n") as detections,
    ):

        def write(moment: Moment) -> None:
            _write_image(folder / "img1" / f"{moment.frame.index:06d}.jpg", moment)
            _write_rows(moment, truth, detections)
            if moment.detections.embeddings is not None:
                embeddings.append(moment.detections.embeddings)

        yield write
    np.save(folder / "det/embeddings.npy", np.concatenate(embeddings))


def _write_image(path: Path, moment: Moment) -> None:
    _, data = cv2.imencode(".jpg", moment.frame.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.write_bytes(data)


def _write_rows(moment: Moment, truth: TextIO, detections: TextIO) -> None:
    frame, seen = moment.frame.index, moment.detections
    for number, box, visibility in zip(
        moment.ids.tolist(), moment.boxes, moment.visibility.tolist(), strict=True
    ):
        truth.write(format_mot_rows(frame, [number], box[None], [1], f"1,{visibility:.4f}"))
    unknown = [-1] * len(seen)
    detections.write(format_mot_rows(frame, unknown, seen.boxes, seen.scores.tolist()))


def _refuse_foreign(folder: Path) -> None:
    """Only an earlier sequence or an empty folder is replaced."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "seqinfo.ini").is_file():
        raise MotError(f"{folder}: is not a sequence, and is not replaced: choose another folder")


def _replace(partial: Path, folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    os.replace(partial, folder)
