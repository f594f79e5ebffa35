"""Track file formats, read into and written from `VideoTracks`.

To add a format, add its suffix and two functions to `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mot.errors import MotError, suggest
from mot.files import atomic_writer
from mot.formats import coco_video_read, coco_video_write, cvat_read, cvat_write, mot_text
from mot.formats.video_tracks import VideoTracks

__all__ = ["FORMATS", "Format", "VideoTracks", "format_of", "read_videos", "write_videos"]
_FIRST_BYTES = {b"{": "coco", b"[": "coco", b"<": "cvat"}
_HEAD = 4096  # bytes read to detect a format


@dataclass(frozen=True, slots=True)
class Format:
    """A file format. `read` raises ValueError, or MotError with the line, for bad content."""

    suffix: str
    read: Callable[[Path], list[VideoTracks]]
    format_lines: Callable[[Sequence[VideoTracks]], Iterator[str]]
    holds_many: bool = False  # several videos per file


FORMATS = {
    "mot": Format(".txt", mot_text.read, mot_text.format_lines),
    "coco": Format(".json", coco_video_read.read, coco_video_write.format_lines, holds_many=True),
    "cvat": Format(".xml", cvat_read.read, cvat_write.format_lines),
}


def read_videos(path: str | Path, name: str | None = None) -> list[VideoTracks]:
    """The videos of one file. `name`: of the format; detected from the file if None."""
    path = Path(path)
    try:
        return FORMATS[_check_name(name) if name else _detect(path)].read(path)
    except ValueError as error:
        raise MotError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None


def write_videos(path: str | Path, videos: Iterable[VideoTracks], name: str | None = None) -> None:
    """Write one file. `name`: of the format; by the suffix of the path if None."""
    path, videos = Path(path), list(videos)
    form = FORMATS[_check_name(name or format_of(path))]
    if len(videos) != 1 and not form.holds_many:
        raise MotError(f"{path}: can hold one video, not {len(videos)}")
    with atomic_writer(path) as file:
        file.writelines(form.format_lines(videos))


def format_of(path: Path) -> str:
    """The name of the format that has the suffix of the path."""
    for name, form in FORMATS.items():
        if path.suffix.lower() == form.suffix:
            return name
    names = ", ".join(FORMATS)
    raise MotError(f"{path}: its suffix is that of no format: give --to with one of {names}")


def _check_name(name: str) -> str:
    if name not in FORMATS:
        raise MotError(f"unknown format {name!r}: {suggest(name, FORMATS)}")
    return name


def _detect(path: Path) -> str:
    """By the first bytes, or by the suffix if those are ambiguous."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    suffixes = {form.suffix: name for name, form in FORMATS.items()}
    name = _FIRST_BYTES.get(head[:1]) or suffixes.get(path.suffix.lower())
    if name is None and head[:1].isdigit():
        return "mot"
    if name is None:
        raise MotError(f"{path}: unknown format: give --from {', '.join(FORMATS)}")
    return name
