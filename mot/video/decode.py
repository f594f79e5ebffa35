"""Decoding with PyAV: true times, upright BGR images, whatever the pixel format."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mot.errors import MotError
from mot.motfile import DEFAULT_FPS
from mot.video.convert import Converter, shown_size
from mot.video.libav import av, reason
from mot.video.reader import RawFrame, Reader, SourceInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Decoder:
    """One opened container and its first video stream; decodes what can be decoded."""

    def __init__(self, container: InputContainer, label: str) -> None:
        self.container = container
        self.stream = _video_stream(container, label)
        self.stream.thread_type = "AUTO"
        self.fps = _nominal_rate(self.stream)
        self.refused = 0  # packets that the decoder would not take
        self.decoded = 0
        self.ended = False  # read to the end, or to where it broke off
        self.failure: Exception | None = None  # why the reading broke off
        self._clock = Clock(self.stream, self.fps, counts="avi" in container.format.name)
        self._to_bgr = Converter()
        self._frames = self._decode()
        self._first = next(self._frames, None)
        if self._first is None:
            self.close()
            raise MotError(f"{label}: no frame can be decoded: {self._why()}")

    def _why(self) -> str:
        if self.failure:
            return f"{reason(self.failure)}: copy or record it again"
        return "the file is damaged or cut short: copy or record it again"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright."""
        assert self._first is not None
        return shown_size(self._first)

    def frames(self) -> Iterator[RawFrame]:
        """All images, the index from 1, the time from the start of the stream."""
        assert self._first is not None
        for index, frame in enumerate(chain([self._first], self._frames), 1):
            yield RawFrame(index, self._clock.time(frame), partial(self._to_bgr, frame))

    def _decode(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            if packet is not None and packet.is_corrupt:
                self.refused += 1
            for frame in self._decode_packet(packet):
                self.decoded += 1
                yield frame
        self.ended = True

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Every packet, then None to flush the decoder."""
        try:
            yield from self.container.demux(self.stream)
        except av.error.FFmpegError as error:
            self.failure = error
            yield None

    def _decode_packet(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self.stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self.refused += 1
            return []

    def close(self) -> None:
        self._frames.close()
        self.container.close()


class Clock:
    """The time of each frame in seconds from the stream's start, always rising.

    A stamp that is missing or does not rise is replaced by the nominal rate's next one.
    """

    def __init__(self, stream: VideoStream, fps: float, counts: bool) -> None:
        self._tick = stream.time_base or Fraction(1, 90000)
        self._period = 1 / fps
        # AVI stores no presentation times, only a count of packets, which libav hands on as the
        # decoding time; what it guesses for the presentation is out of order with B-frames.
        self._counts = counts
        self._origin = None if counts else stream.start_time
        self._last: float | None = None

    def time(self, frame: VideoFrame) -> float:
        stamp = frame.dts if self._counts else frame.pts
        time = self._next() if stamp is None else self._since_start(stamp)
        if self._last is not None and time <= self._last:
            time = self._next()
        self._last = time
        return time

    def _since_start(self, stamp: int) -> float:
        if self._origin is None:
            # After unstamped frames the first stamp continues from them.
            self._origin = stamp - round(self._next() / self._tick)
        return float((stamp - self._origin) * self._tick)

    def _next(self) -> float:
        return 0.0 if self._last is None else self._last + self._period


class FileReader(Reader):
    """A video file or pipe, from beginning to end."""

    def __init__(self, decoder: Decoder, name: str, label: str) -> None:
        count = _frame_count(decoder)
        super().__init__(SourceInfo(name, decoder.fps, decoder.size, count))
        self._decoder = decoder
        self._label = label
        self._announced = decoder.stream.frames
        self._seconds = _announced_seconds(decoder)
        self._last = 0.0  # time of the last image

    def frames(self) -> Iterator[RawFrame]:
        for raw in self._decoder.frames():
            self._last = raw.time
            yield raw

    def warnings(self) -> list[str]:
        decoder = self._decoder
        if decoder.refused or (decoder.ended and decoder.decoded < self._announced):
            return [f"{self._label}: {self._count()} could be decoded{self._skipped()}"]
        missing = self._seconds - self._last - 1 / decoder.fps
        return [self._cut_short()] if decoder.ended and missing > 1 else []

    def _count(self) -> str:
        if self._decoder.ended and self._announced:
            return f"{self._decoder.decoded} of {self._announced} announced frames"
        return f"{self._decoder.decoded} frames"

    def _skipped(self) -> str:
        refused = self._decoder.refused
        plural = "" if refused == 1 else "s"
        return f" ({refused} corrupt packet{plural} skipped)" if refused else ""

    def _cut_short(self) -> str:
        return f"{self._label}: ends at {self._last:.1f} s of the announced {self._seconds:.1f} s"

    def close(self) -> None:
        self._decoder.close()


class Pipe:
    """What libav needs of a file that cannot be rewound.

    An interruption while libav waits for data ends the data: PyAV would keep the exception for
    later, while libav goes on asking. `check` raises it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._error: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            return b"" if self._error else bytes(self._file.read(size))
        except BaseException as error:
            self._error = error
            return b""

    def check(self) -> None:
        if self._error:
            raise self._error


def open_file(path: Path) -> FileReader:
    container = open_container(str(path), str(path))
    return FileReader(Decoder(container, str(path)), path.stem, path.name)


def open_stdin() -> FileReader:
    """A video piped in. A pipe cannot be rewound, so the video needs its index first."""
    buffered: Any = sys.stdin.buffer
    # A thread that hangs in the buffered file would block the interpreter's exit.
    file = getattr(buffered, "raw", buffered)
    if file.seekable():
        return _read_stdin(file)
    pipe = Pipe(file)
    try:
        reader = _read_stdin(pipe)
    except MotError:
        pipe.check()
        raise
    pipe.check()
    return reader


def _read_stdin(file: Any) -> FileReader:
    mend = "pipe a format that streams: MPEG-TS, Matroska, or MP4 with +faststart"
    return FileReader(Decoder(open_container(file, "stdin", mend), "stdin"), "stdin", "stdin")


def open_container(
    file: Any, label: str, mend: str = "is it a video? Copy or record it again", **settings: Any
) -> InputContainer:
    """A container opened for reading; MotError with `mend` where libav cannot."""
    try:
        container: InputContainer = av.open(file, "r", **settings)
    except (av.error.FFmpegError, OSError) as error:
        raise MotError(f"{label}: cannot be opened ({reason(error)}): {mend}") from error
    return container


def _video_stream(container: InputContainer, label: str) -> VideoStream:
    # Cover art of music files counts as a video stream of one image; skip it.
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & 0x400:
            return stream
    container.close()
    raise MotError(f"{label}: holds no video stream: give a file with images in it")


def _nominal_rate(stream: VideoStream) -> float:
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    return DEFAULT_FPS


def _announced_seconds(decoder: Decoder, alone: bool = True) -> float:
    """0 where the header has none; with `alone`, also where it may be that of a sound track."""
    container = decoder.container
    if alone and len(container.streams) != 1:
        return 0.0
    # Some containers count from 0, however late their first image is.
    late = max(0, container.start_time or 0) if container.format.name.startswith("matroska") else 0
    return max(0, (container.duration or 0) - late) / float(av.time_base)


def _frame_count(decoder: Decoder) -> int | None:
    if decoder.stream.frames:
        return decoder.stream.frames
    return round(_announced_seconds(decoder, alone=False) * decoder.fps) or None
