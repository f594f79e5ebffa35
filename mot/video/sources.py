"""Sources of frames: one call opens a file, stream, camera, folder, sequence or pipe."""

from __future__ import annotations

import math
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mot.errors import MotError
from mot.image_size import IMAGE_SUFFIXES
from mot.types import Frame
from mot.video.background import in_background
from mot.video.reader import RawFrame, Reader

DEPTH = 4  # frames decoded ahead; at 1080p each takes 6 MB


@dataclass(frozen=True, slots=True)
class FrameRange:
    """The frames to read: start <= time < end, and index 1, 1 + every, ..."""

    start: float | None = None  # seconds
    end: float | None = None  # seconds, exclusive
    every: int = 1

    def __post_init__(self) -> None:
        for name, seconds in (("start", self.start), ("end", self.end)):
            if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
                raise MotError(f"{name} = {seconds:g}: give seconds from 0")
        if self.every < 1:
            raise MotError(f"every = {self.every}: give 1 for every frame, 2 for every second one")
        if self.end is not None and self.end <= (self.start or 0.0):
            raise MotError(f"end = {self.end:g} s leaves no frame: it must be after the start")

    def wants(self, index: int, time: float) -> bool:
        early = self.start is not None and time < self.start
        return not early and (index - 1) % self.every == 0

    def is_past(self, time: float) -> bool:
        return self.end is not None and time >= self.end

    def expected(self, count: int, fps: float) -> int:
        """The number of frames in the range, of `count` frames at this rate."""
        first = round((self.start or 0.0) * fps)
        last = count if self.end is None else min(count, round(self.end * fps))
        return max(0, -(-last // self.every) - -(-first // self.every))


class FrameSource(ABC):
    """An opened stream of frames: `with source: for frame in source: ...`."""

    name: str
    fps: float
    size: tuple[int, int] | None  # width, height
    frame_count: int | None  # of the full stream, as its header says
    is_live: bool
    warnings: list[str]  # complete when all frames are read
    range: FrameRange
    has_exact_length: bool = False  # `frame_count` is exact, not an estimate of a header

    @property
    @abstractmethod
    def expected(self) -> int | None:
        """The approximate number of frames in the range; None: unknown."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Source(FrameSource):
    """The frames of an opened source, decoded in their own thread; it can be read once."""

    def __init__(self, reader: Reader, frame_range: FrameRange | None = None) -> None:
        self._reader = reader
        self.range = frame_range or FrameRange()
        # Weak, so that leaving a loop over a temporary source ends its thread at once.
        self._reading: weakref.ref[Generator[Frame, None, None]] | None = None
        info = reader.info
        self.name = info.name
        self.fps = info.fps
        self.size = info.size  # width, height of the first frame
        self.frame_count = info.frame_count  # of the header; may be wrong
        self.is_live = info.is_live
        self.warnings: list[str] = []  # one line each, complete when the reading has ended

    @property
    def expected(self) -> int | None:
        """The approximate number of frames in the range; None: unknown."""
        if self.frame_count is None:
            return None
        return self.range.expected(self.frame_count, self.fps)

    def __iter__(self) -> Iterator[Frame]:
        if self._reading is not None:
            raise RuntimeError(f"{self.name} has been read: open it again to read it again")
        reading = self._ahead()
        self._reading = weakref.ref(reading)
        return reading

    def _ahead(self) -> Generator[Frame, None, None]:
        try:
            with closing(in_background(self._frames(), DEPTH)) as frames:
                try:
                    for frame in frames:  # noqa: UP028 (yield from would close them first)
                        yield frame
                finally:
                    self._reader.stopped.set()
        finally:
            self.warnings += self._reader.warnings()

    def _frames(self) -> Iterator[Frame]:
        with closing(self._reader):
            raw, is_empty = None, True
            for raw in self._reader.frames():
                if self.range.is_past(raw.time):
                    break
                wanted = self.range.wants(raw.index, raw.time)
                image = raw.image() if wanted else None
                if image is not None:
                    is_empty = False
                    yield Frame(image, raw.index, raw.time)
            if raw and is_empty:
                self.warnings.append(_no_frames_warning(self.name, raw, self.range))

    def close(self) -> None:
        reading = self._reading() if self._reading else None
        if self._reading is None:
            self._reading = weakref.ref(self._ahead())
            self._reader.close()
        elif reading is not None:
            reading.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _no_frames_warning(name: str, last: RawFrame, frame_range: FrameRange) -> str:
    start = frame_range.start or 0
    return (
        f"{name}: no frame was chosen (start {start:g} s, every {frame_range.every}); "
        f"the last one read is number {last.index} at {last.time:.2f} s"
    )


def open_source(
    source: str | Path | int,
    *,
    start: float | None = None,
    end: float | None = None,
    every: int = 1,
) -> Source:
    """Open a video file, image, folder or glob of images, MOT sequence, camera, URL or `-`.

    Args:
        source: a path, a glob pattern, a camera's number, a URL, or `-` for standard input.
        start: seconds; earlier frames are skipped.
        end: seconds; the first frame at or after it ends the source.
        every: read frames 1, 1 + every, ...

    Frame indices count skipped frames too. A file is decoded from its beginning, since a seek does
    not give the index of its frame.
    """
    frame_range = FrameRange(start, end, every)
    return Source(_open(source), frame_range)


def _open(source: str | Path | int) -> Reader:
    text = str(source)
    path = Path(text).expanduser()
    camera = _camera_index(text)
    if camera is not None and not (text.isdigit() and path.exists()):
        from mot.video.camera import CameraReader

        return CameraReader(camera)
    if text == "-":
        from mot.video.decode import open_stdin

        return open_stdin()
    if isinstance(source, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        from mot.video.stream import StreamReader

        return StreamReader(text)
    return _open_path(path)


def _camera_index(text: str) -> int | None:
    device = re.fullmatch(r"(?:/dev/video)?(\d+)", text)
    return int(device[1]) if device else None


def _open_path(path: Path) -> Reader:
    from mot.video import images

    if path.is_dir():
        return images.open_folder(path)
    if path.exists():
        return _open_file(path)
    if any(letter in path.name or letter in str(path.parent) for letter in "*?["):
        return images.open_glob(str(path))
    raise MotError(f"{path}: not found: check the path")


def _open_file(path: Path) -> Reader:
    from mot.video import decode, images

    if path.is_file() and path.stat().st_size == 0:
        raise MotError(f"{path}: the file is empty: copy or record it again")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return images.ImagesReader.from_paths([path], path.stem, str(path))
    return decode.open_file(path)
