"""Frames of a video as image files, since training reads images in random order."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mot.errors import MotError, as_user_error
from mot.files import cache_dir


def extract_frames(video: Path) -> Path:
    """A cached folder with 000001.jpg, 000002.jpg, ... of the video."""
    stat = video.stat()
    key = f"{video.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    name = f"{video.stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    folder = cache_dir() / "frames" / name
    if not folder.is_dir():
        print(f"mot: {video}: writing its frames once to {folder}", file=sys.stderr)
        with _atomic_folder(folder) as partial:
            _write_frames(video, partial)
    return folder


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is renamed when it is complete. If another process completes its own
    first, that one is kept."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(".partial", f"{folder.name}.", folder.parent) as partial:
            filled = Path(partial) / folder.name
            filled.mkdir()
            yield filled
            if not folder.is_dir():
                filled.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise as_user_error(error, folder) from error


def _write_frames(video: Path, folder: Path) -> None:
    from mot.opencv import cv2
    from mot.video import open_source

    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    with open_source(video) as frames:
        for frame in frames:
            if frame.image is not None:
                data = cv2.imencode(".jpg", frame.image, quality)[1].tobytes()
                (folder / f"{frame.index:06d}.jpg").write_bytes(data)
    if not any(folder.iterdir()):
        raise MotError(f"{video}: none of its frames is readable")
