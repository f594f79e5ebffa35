"""What a user named, as the streams to track: each with its frames and its detections."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from mot.errors import MotError, suggest
from mot.image_size import IMAGE_SUFFIXES
from mot.motfile import Sequence, file_names, find_sequences, is_sequence, list_images, list_videos
from mot.types import Frame
from mot.video.sources import FrameRange, FrameSource, open_source


@dataclass(frozen=True, slots=True)
class StreamSource:
    """One stream; `open` takes whether its images are wanted."""

    name: str
    open: Callable[[bool], FrameSource]
    sequence: Sequence | None = None
    can_be_read_again: bool = True

    @property
    def folder(self) -> Path | None:
        """Of the sequence, if it is one."""
        return self.sequence.folder if self.sequence else None

    @property
    def has_images(self) -> bool:
        return self.sequence is None or bool(self.sequence.images or self.sequence.video)


class SequenceSource(FrameSource):
    """Every frame of a sequence, those without a image too."""

    def __init__(self, sequence: Sequence, window: FrameRange, frames: bool) -> None:
        self.name = sequence.name
        self.fps = sequence.fps
        self.size = sequence.size
        self.is_live = False
        self.has_exact_length = True
        self.warnings: list[str] = []
        self.range = window
        shown = sequence.folder if sequence.images else sequence.video
        self._images = (
            open_source(shown, start=window.start, end=window.end, every=window.every)
            if frames and shown
            else None
        )
        self._length = sequence.length  # 0: as long as its video
        seen = self._images.frame_count if self._images else None
        self.frame_count: int | None = sequence.length or seen

    @property
    def expected(self) -> int:
        return self.range.expected(self.frame_count or 0, self.fps)

    def __iter__(self) -> Iterator[Frame]:
        last = 0
        for frame in self._images or ():
            if 0 < self._length < frame.index:  # a video may go on
                break
            yield from self._blank(last + 1, frame.index)
            yield frame
            last = frame.index
        yield from self._blank(last + 1, self._length + 1)
        if self._images:
            self.warnings += self._images.warnings

    def _blank(self, first: int, end: int) -> Iterator[Frame]:
        for index in range(first, end):
            time = (index - 1) / self.fps
            if self.range.wants(index, time) and not self.range.is_past(time):
                yield Frame(None, index, time)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._images:
            self._images.close()


def image_files(sequence: Sequence) -> list[Path]:
    """The image files of a sequence, else its video; empty if it has neither."""
    if sequence.images:
        return list_images(sequence.images)
    return [sequence.video] if sequence.video else []


def sequence_frames(sequence: Sequence, with_images: bool) -> Iterator[Frame]:
    """Each frame up to the sequence's length, those without an image too."""
    with SequenceSource(sequence, FrameRange(), with_images) as frames:
        yield from frames


def find_streams(sources: tuple[str, ...], window: FrameRange) -> list[StreamSource]:
    """One for a file, stream, camera or folder of images; many for a dataset or videos."""
    jobs = [job for source in sources for job in _jobs_of(source, window)]
    names = [job.name for job in jobs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise MotError(f"two sources are called {twice!r}, and so would be their results")
    return jobs


def _jobs_of(source: str, window: FrameRange) -> list[StreamSource]:
    if not source:
        raise MotError("an empty SOURCE: name a video, a folder, a URL or a camera's number")
    path = Path(source).expanduser()
    if path.is_dir():
        return _jobs_of_folder(path, window)
    matches = sorted(glob.glob(str(path), recursive=True))
    if not path.exists() and glob.has_magic(source) and not matches and "://" not in source:
        raise MotError(f"{source}: matches nothing: check the pattern")
    if not path.exists() and matches and not _all_pictures(matches):
        return [job for match in matches for job in _jobs_of(match, window)]
    return [_video_job(source, window)]


def _jobs_of_folder(folder: Path, window: FrameRange) -> list[StreamSource]:
    if not is_sequence(folder):
        if list_images(folder):
            return [_video_job(str(folder), window)]
        if videos := list_videos(folder):
            return [_video_job(str(video), window) for video in videos]
    return [_sequence_job(sequence, window) for sequence in find_sequences(folder)]


def _all_pictures(paths: list[str]) -> bool:
    return all(Path(path).suffix.lower() in IMAGE_SUFFIXES for path in paths)


def _video_job(source: str, window: FrameRange) -> StreamSource:
    def open_it(frames: bool) -> FrameSource:
        return open_source(source, start=window.start, end=window.end, every=window.every)

    once = source == "-" or source.isdigit() or "://" in source
    return StreamSource(_name_of(source), open_it, can_be_read_again=not once)


def _name_of(source: str) -> str:
    """For files and folders of results."""
    path = Path(os.path.abspath(Path(source).expanduser()))
    if path.exists():
        return path.name if path.is_dir() else path.stem
    if source == "-":
        return "stdin"
    if source.isdigit():
        return f"camera{source}"
    if "://" in source:
        return _name_of_url(source)
    return path.stem if not glob.has_magic(path.name) else path.parent.name


def _name_of_url(url: str) -> str:
    """Its last part, else its host; never what stands before an @, which may be a password."""
    parts = urlsplit(url)
    return PurePosixPath(parts.path).stem or parts.hostname or "stream"


def _sequence_job(sequence: Sequence, window: FrameRange) -> StreamSource:
    return StreamSource(
        sequence.name, lambda frames: SequenceSource(sequence, window, frames), sequence
    )


def detections_file(job: StreamSource, wanted: str | None) -> Path | None:
    """The file to read detections from: as wanted (a file, a folder, a name), else the sequence's
    own; None where there is none and a detector must look at the images."""
    own = job.sequence.detections if job.sequence else {}
    if wanted is None:
        return _only_file(job, own)
    path = Path(wanted).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return _file_in(path, job)
    if wanted in own:
        return own[wanted]
    hint = f"; in {job.name}/det: {suggest(wanted, own)}" if own else ""
    raise MotError(f"{wanted}: no such detections file or folder{hint}")


def _only_file(job: StreamSource, own: dict[str, Path]) -> Path | None:
    if "det" in own or len(own) == 1:
        return own.get("det", next(iter(own.values())))
    if own:
        raise MotError(f"{job.name}: choose with --detections one of {', '.join(sorted(own))}")
    return None


def _file_in(folder: Path, job: StreamSource) -> Path:
    for name in file_names(job.name):
        if (folder / f"{name}.txt").is_file():
            return folder / f"{name}.txt"
    raise MotError(f"{folder}: no {job.name}.txt in it, the detections of {job.name}")
