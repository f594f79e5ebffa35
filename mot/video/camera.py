"""A camera by its number, read with OpenCV: PyAV's wheels have no capture devices."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mot.errors import MotError
from mot.motfile import DEFAULT_FPS
from mot.opencv import cv2
from mot.types import Image
from mot.video.reader import RawFrame, Reader, SourceInfo


class CameraReader(Reader):
    """Frames of a camera, with the times of the machine's clock."""

    def __init__(self, number: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capture = _open(number)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        super().__init__(
            SourceInfo(
                f"camera{number}",
                float(fps) if 0 < fps <= 1000 else DEFAULT_FPS,
                (width, height) if width and height else None,
                is_live=True,
            )
        )
        self._number = number
        self._clock = clock
        self._ended_at = 0

    def frames(self) -> Iterator[RawFrame]:
        index, start = 0, None
        while not self.stopped.is_set():
            ok, image = self._capture.read()
            now = self._clock()
            if not ok:
                self._ended_at = index
                break
            start = now if start is None else start
            index += 1
            yield RawFrame(index, now - start, partial(_identity, image))
        if not index and not self.stopped.is_set():
            raise MotError(f"camera {self._number}: gives no frames: is another program using it?")

    def warnings(self) -> list[str]:
        if not self._ended_at:
            return []
        return [f"camera {self._number}: stopped giving frames after {self._ended_at}"]

    def close(self) -> None:
        self._capture.release()


_SILENT = 0  # OpenCV's log level


def _identity(image: Image) -> Image:
    return image


def _open(number: int) -> Any:
    os.environ.setdefault("OPENCV_VIDEOIO_PRIORITY_OBSENSOR", "0")
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.8 has the two functions at the top
    level = log.getLogLevel()
    log.setLogLevel(_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        log.setLogLevel(level)
    if not capture.isOpened():
        raise MotError(f"camera {number}: cannot be opened: is it plugged in, and free?")
    return capture
