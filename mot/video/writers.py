"""Where frames go: a video or a folder of images, complete under its name or not there at all."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from mot.errors import MotError, as_user_error
from mot.files import partial_path
from mot.image_size import IMAGE_SUFFIXES
from mot.types import Frame, Image
from mot.video.background import Worker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mot.video.encode import Encoder

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".ts")  # containers of H.264
_LONGEST_PAUSE = 3600  # seconds between two frames
DEPTH = 8  # frames waiting for the encoder; at 1080p each takes 3 MB


class Writer(Protocol):
    """Takes frames in order; a context, so that an interruption leaves what there is."""

    path_written: Path | None  # set on leaving: the final name, the partial one, or None

    def write(self, frame: Frame) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class _PartialWriter(ABC):
    """Writes beside the final name, in its own thread, and renames on a clean close.

    Left by an exception, it completes the partial file and keeps it under its partial name.
    """

    def __init__(self, path: Path, partial: Path) -> None:
        self.path = path
        self.partial = partial
        self.path_written: Path | None = None
        self.frames = 0
        self._worker: Worker[Any] | None = None
        self._closed = False

    @abstractmethod
    def _begin(self) -> None:
        """Make the partial file or folder."""

    @abstractmethod
    def _convert(self, frame: Frame, image: Image) -> Any:
        """What `_put` takes: made before `write` returns, so the caller may reuse the image."""

    @abstractmethod
    def _put(self, item: Any) -> None:
        """Store one frame; runs in the worker's thread."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the partial file or folder; let go of it even when that fails."""

    def write(self, frame: Frame) -> None:
        """Queue the frame; raises what went wrong with an earlier one."""
        if self._closed:
            raise ValueError(f"{self.path}: is closed")
        if frame.image is None:
            raise ValueError(f"frame {frame.index} has no image to write")
        try:
            if self._worker is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._begin()
                self._worker = Worker(self._put, DEPTH)
            self._worker.put(self._convert(frame, frame.image))
        except Exception as error:
            raise as_user_error(error, self.path) from error
        self.frames += 1

    def close(self) -> None:
        """Complete the file and give it its final name."""
        if self._closed:
            return
        try:
            if self._complete():
                self._rename()
                self.path_written = self.path
        except Exception as error:
            self._remove()
            raise as_user_error(error, self.path) from error

    def _rename(self) -> None:
        os.replace(self.partial, self.path)

    def _complete(self) -> bool:
        """Whether there is anything; all that was written is in the partial file then."""
        self._closed = True
        if self._worker is None:
            return False
        try:
            self._worker.finish()
        finally:
            self._finish()
        return True

    def _abandon(self) -> None:
        """Keep what can be kept; the exception under way is the one to be seen."""
        if self._closed:
            return
        try:
            if self._complete():
                self.path_written = self.partial
        except Exception:
            self._remove()

    def _remove(self) -> None:
        if self.partial.is_dir() and not self.partial.is_symlink():
            shutil.rmtree(self.partial, ignore_errors=True)
        else:
            with suppress(OSError):
                self.partial.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()
            if self.path_written and not isinstance(error, Exception):
                error.add_note(f"; kept {self.path_written}")


class VideoWriter(_PartialWriter):
    """H.264 video at the frames' own times; the first frame's size is that of the video."""

    def __init__(
        self, path: str | Path, fps: float = 30.0, size: tuple[int, int] | None = None
    ) -> None:
        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise MotError(f"{path}: not a kind of video that is written: use {SUFFIXES[0]}")
        super().__init__(path, partial_path(path))
        self._fps = fps  # for frames without a time of their own, and as a hint in the header
        self._size = size  # width, height
        self._start: float | None = None  # time of the first frame
        self._ticks = -1  # of the last frame
        self._encoder: Encoder | None = None

    def _begin(self) -> None:
        from mot.video.encode import Encoder

        self._encoder = Encoder(self.partial, self._fps)

    def _convert(self, frame: Frame, image: Image) -> VideoFrame:
        from mot.video.encode import fit, to_frame

        self._size = self._size or (image.shape[1], image.shape[0])
        self._ticks = self._next_ticks(frame.time)
        return to_frame(fit(image, self._size), self._ticks)

    def _next_ticks(self, time: float) -> int:
        """Rising strictly, and by no more than MP4 can store: a longer pause is shortened."""
        from mot.video.encode import TICKS

        if self._start is None:
            self._start = time
        ticks = max(round((time - self._start) * TICKS), self._ticks + 1)
        if ticks - self._ticks > _LONGEST_PAUSE * TICKS and self._ticks >= 0:
            self._start += (ticks - self._ticks) / TICKS - _LONGEST_PAUSE
            ticks = self._ticks + _LONGEST_PAUSE * TICKS
        return ticks

    def _put(self, item: VideoFrame) -> None:
        assert self._encoder is not None
        self._encoder.encode(item)

    def _finish(self) -> None:
        assert self._encoder is not None
        self._encoder.close()


class ImageFolderWriter(_PartialWriter):
    """Images named by the frame's index: 000001.jpg, 000002.jpg, ..."""

    def __init__(self, path: str | Path, ext: str = ".jpg", overwrite: bool = False) -> None:
        path = Path(os.path.abspath(path))
        if not path.name:
            raise MotError(f"{path}: is the root of the disk: choose another folder")
        super().__init__(path, path.with_name(f"{path.name}.partial"))
        self._ext = ext if ext.startswith(".") else f".{ext}"
        if path.exists() and not _is_replaceable(path, overwrite):
            raise MotError(f"{path}: exists and is not empty: choose another folder, or remove it")

    def _begin(self) -> None:
        self._remove()
        self.partial.mkdir()

    def _convert(self, frame: Frame, image: Image) -> tuple[int, Image]:
        return frame.index, image.copy()

    def _put(self, item: tuple[int, Image]) -> None:
        from mot.opencv import cv2

        index, image = item
        sound, data = cv2.imencode(self._ext, image)
        if not sound:
            raise MotError(f"{self.path}: OpenCV cannot write {self._ext}: use .jpg or .png")
        (self.partial / f"{index:06d}{self._ext}").write_bytes(data)

    def _finish(self) -> None:
        """Each image was complete when it was written."""

    def _rename(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)
        super()._rename()


def _is_replaceable(folder: Path, overwrite: bool) -> bool:
    """Empty, or a folder of images that may go; anything else in it is the user's."""
    if not folder.is_dir():
        return False
    inside = list(folder.iterdir())
    only_images = all(path.suffix.lower() in IMAGE_SUFFIXES for path in inside)
    return not inside or (overwrite and only_images)


def open_writer(path: str | Path, fps: float = 30.0, overwrite: bool = False) -> Writer:
    """A video for a name with a suffix, else a folder of images."""
    if Path(path).suffix:
        return VideoWriter(path, fps)
    return ImageFolderWriter(path, overwrite=overwrite)
