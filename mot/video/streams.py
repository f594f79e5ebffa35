"""The streams to track: found from the names that a user gives, with frames and detections."""

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
    """A stream that can be opened."""

    name: str
    open: Callable[[bool], FrameSource]  # takes whether images are needed
    sequence: Sequence | None = None
    can_be_read_again: bool = True

    @property
    def folder(self) -> Path | None:
        """The folder of the sequence, if it is one."""
        return self.sequence.folder if self.sequence else None

    @property
    def has_images(self) -> bool:
        return self.sequence is None or bool(self.sequence.images or self.sequence.video)


class SequenceSource(FrameSource):
    """Every frame of a sequence, those without an image too."""

    def __init__(self, sequence: Sequence, frame_range: FrameRange, with_images: bool) -> None:
        self.name = sequence.name
        self.fps = sequence.fps
        self.size = sequence.size
        self.is_live = False
        self.has_exact_length = True
        self.warnings: list[str] = []
        self.range = frame_range
        path = sequence.folder if sequence.images else sequence.video
        self._images = (
            open_source(path, start=frame_range.start, end=frame_range.end, every=frame_range.every)
            if with_images and path
            else None
        )
        self._length = sequence.length  # 0: as long as its video
        count = self._images.frame_count if self._images else None
        self.frame_count: int | None = sequence.length or count

    @property
    def expected(self) -> int:
        return self.range.expected(self.frame_count or 0, self.fps)

    def __iter__(self) -> Iterator[Frame]:
        last = 0
        for frame in self._images or ():
            if 0 < self._length < frame.index:  # a video may be longer
                break
            yield from self._without_images(last + 1, frame.index)
            yield frame
            last = frame.index
        yield from self._without_images(last + 1, self._length + 1)
        if self._images:
            self.warnings += self._images.warnings

    def _without_images(self, first: int, end: int) -> Iterator[Frame]:
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


def find_streams(sources: tuple[str, ...], frame_range: FrameRange) -> list[StreamSource]:
    """One for a file, URL, camera or folder of images; several for a dataset or a folder of videos.

    Raises a `MotError` for two streams of one name: their results would have one name too.
    """
    streams = [stream for source in sources for stream in _find_in(source, frame_range)]
    names = [stream.name for stream in streams]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise MotError(f"two sources are called {duplicate!r}, and so would be their results")
    return streams


def _find_in(source: str, frame_range: FrameRange) -> list[StreamSource]:
    if not source:
        raise MotError("an empty SOURCE: name a video, a folder, a URL or a camera's number")
    path = Path(source).expanduser()
    if path.is_dir():
        return _find_in_folder(path, frame_range)
    matches = sorted(glob.glob(str(path), recursive=True))
    if not path.exists() and glob.has_magic(source) and not matches and "://" not in source:
        raise MotError(f"{source}: matches nothing: check the pattern")
    if not path.exists() and matches and not _are_images(matches):
        return [stream for match in matches for stream in _find_in(match, frame_range)]
    return [_video_stream(source, frame_range)]


def _find_in_folder(folder: Path, frame_range: FrameRange) -> list[StreamSource]:
    if not is_sequence(folder):
        if list_images(folder):
            return [_video_stream(str(folder), frame_range)]
        if videos := list_videos(folder):
            return [_video_stream(str(video), frame_range) for video in videos]
    return [_sequence_stream(sequence, frame_range) for sequence in find_sequences(folder)]


def _are_images(paths: list[str]) -> bool:
    return all(Path(path).suffix.lower() in IMAGE_SUFFIXES for path in paths)


def _video_stream(source: str, frame_range: FrameRange) -> StreamSource:
    def open_video(with_images: bool) -> FrameSource:
        return open_source(
            source, start=frame_range.start, end=frame_range.end, every=frame_range.every
        )

    once = source == "-" or source.isdigit() or "://" in source
    return StreamSource(_stream_name(source), open_video, can_be_read_again=not once)


def _stream_name(source: str) -> str:
    """The name of result files and folders."""
    path = Path(os.path.abspath(Path(source).expanduser()))
    if path.exists():
        return path.name if path.is_dir() else path.stem
    if source == "-":
        return "stdin"
    if source.isdigit():
        return f"camera{source}"
    if "://" in source:  # the last part or the host, never the user part, which holds passwords
        parts = urlsplit(source)
        return PurePosixPath(parts.path).stem or parts.hostname or "stream"
    return path.stem if not glob.has_magic(path.name) else path.parent.name


def _sequence_stream(sequence: Sequence, frame_range: FrameRange) -> StreamSource:
    return StreamSource(
        sequence.name,
        lambda with_images: SequenceSource(sequence, frame_range, with_images),
        sequence,
    )


def detections_file(stream: StreamSource, wanted: str | None) -> Path | None:
    """The detections file of a stream; None if there is none, and a detector is needed.

    `wanted` is a file, a folder, or the name of a file in the sequence's `det`; None: the
    sequence's own file.
    """
    own = stream.sequence.detections if stream.sequence else {}
    if wanted is None:
        return _own_detections(stream, own)
    path = Path(wanted).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        for name in file_names(stream.name):
            if (path / f"{name}.txt").is_file():
                return path / f"{name}.txt"
        raise MotError(f"{path}: no {stream.name}.txt in it, the detections of {stream.name}")
    if wanted in own:
        return own[wanted]
    hint = f"; in {stream.name}/det: {suggest(wanted, own)}" if own else ""
    raise MotError(f"{wanted}: no such detections file or folder{hint}")


def _own_detections(stream: StreamSource, own: dict[str, Path]) -> Path | None:
    if "det" in own or len(own) == 1:
        return own.get("det", next(iter(own.values())))
    if own:
        raise MotError(f"{stream.name}: choose with --detections one of {', '.join(sorted(own))}")
    return None
