"""The frames of a video as files, since training reads images in any order."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mot.errors import MotError, as_user_error
from mot.files import cache_dir


def frames_of_video(video: Path) -> Path:
    """A folder with 000001.jpg, ...; made once, and kept."""
    stat = video.stat()
    mark = f"{video.absolute()} {stat.st_size} {stat.st_mtime_ns}"
    name = f"{video.stem}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    folder = cache_dir() / "frames" / name
    if not folder.is_dir():
        print(f"mot: {video}: writing its frames, once, to {folder}", file=sys.stderr)
        with _made_beside(folder) as partial:
            _write_frames(video, partial)
    return folder


@contextmanager
def _made_beside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which has its name when it is full. Other processes may fill theirs at the
    same time: the first one stays."""
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

    best = [cv2.IMWRITE_JPEG_QUALITY, 95]
    with open_source(video) as frames:
        for frame in frames:
            if frame.image is not None:
                data = cv2.imencode(".jpg", frame.image, best)[1].tobytes()
                (folder / f"{frame.index:06d}.jpg").write_bytes(data)
    if not any(folder.iterdir()):
        raise MotError(f"{video}: no frame of it can be read")
