"""Frames from arrays that the caller has, beside all that can be opened by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mot.errors import MotError
from mot.motfile import DEFAULT_FPS
from mot.types import Frame, Image
from mot.video.sources import FrameRange, FrameSource
from mot.video.streams import StreamSource, find_streams


class ArraySource(FrameSource):
    """An iterable of (H, W, 3) uint8 BGR arrays as a source of frames."""

    def __init__(
        self, images: Iterable[Image], frame_range: FrameRange, fps: float = DEFAULT_FPS
    ) -> None:
        self.name = "frames"
        self.fps = fps
        self.size = None
        self.frame_count = None
        self.is_live = False
        self.warnings = []
        self.range = frame_range
        self._images = images

    @property
    def expected(self) -> int | None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        for frame in as_frames(self._images, self.fps):
            if self.range.is_past(frame.time):
                return
            if self.range.wants(frame.index, frame.time):
                yield frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def as_frames(frames: Iterable[Frame | Image], fps: float = DEFAULT_FPS) -> Iterator[Frame]:
    """Frames as they are; arrays numbered from 1, with the times that `fps` gives them."""
    for index, item in enumerate(frames, 1):
        if isinstance(item, Frame):
            yield item
            continue
        image = np.asarray(item)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise MotError(
                f"frame {index}: an image must be a (H, W, 3) uint8 BGR array, "
                f"not {image.shape} {image.dtype}"
            )
        yield Frame(image, index, (index - 1) / fps)


def open_stream(
    source: str | Path | int | Iterable[Image], frame_range: FrameRange, fps: float = DEFAULT_FPS
) -> StreamSource:
    """The only stream of a source: a name that the command line takes, or arrays."""
    if isinstance(source, str | Path | int):
        streams = find_streams((str(source),), frame_range)
        if len(streams) > 1:
            names = ", ".join(stream.name for stream in streams[:3])
            raise MotError(f"{source}: holds {len(streams)} streams ({names} ...): name one")
        return streams[0]
    images = source
    return StreamSource(
        "frames",
        lambda with_images: ArraySource(images, frame_range, fps),
        can_be_read_again=iter(images) is not images,  # a list, not a generator
    )
