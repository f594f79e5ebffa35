"""Formats of tracks: each is read into `VideoTracks`, and written from them.

A new format is a suffix and two functions in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mot.errors import MotError, nearest
from mot.files import written_beside
from mot.formats import coco, cvat, mottext
from mot.formats.model import VideoTracks

__all__ = ["FORMATS", "Format", "VideoTracks", "format_of", "read_videos", "write_videos"]
_FIRST_BYTES = {b"{": "coco", b"[": "coco", b"<": "cvat"}
_HEAD = 4096  # bytes looked at to guess a format


@dataclass(frozen=True, slots=True)
class Format:
    """What is wrong in a file is a ValueError of `read`, or a MotError that names the line."""

    suffix: str
    read: Callable[[Path], list[VideoTracks]]
    lines: Callable[[Sequence[VideoTracks]], Iterator[str]]
    holds_many: bool = False  # videos in one file


FORMATS = {
    "mot": Format(".txt", mottext.read, mottext.lines),
    "coco": Format(".json", coco.read, coco.lines, holds_many=True),
    "cvat": Format(".xml", cvat.read, cvat.lines),
}


def read_videos(path: str | Path, name: str | None = None) -> list[VideoTracks]:
    """The videos of one file; the format's name is guessed where none is given."""
    path = Path(path)
    try:
        return FORMATS[_known(name) if name else _guess(path)].read(path)
    except ValueError as error:
        raise MotError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except OSError as error:
        raise MotError(f"{path}: cannot be read ({error.strerror})") from None


def write_videos(path: str | Path, videos: Iterable[VideoTracks], name: str | None = None) -> None:
    """One file, of several videos only where the format can hold them."""
    path, videos = Path(path), list(videos)
    form = FORMATS[_known(name or format_of(path))]
    if len(videos) != 1 and not form.holds_many:
        raise MotError(f"{path}: holds one video, not {len(videos)}")
    with written_beside(path) as file:
        file.writelines(form.lines(videos))


def format_of(path: Path) -> str:
    """By its suffix."""
    for name, form in FORMATS.items():
        if path.suffix.lower() == form.suffix:
            return name
    names = ", ".join(FORMATS)
    raise MotError(f"{path}: its suffix does not tell the format: give --to with one of {names}")


def _known(name: str) -> str:
    if name not in FORMATS:
        raise MotError(f"unknown format {name!r}: {nearest(name, FORMATS)}")
    return name


def _guess(path: Path) -> str:
    """By how it begins; what may begin so in several formats, by the suffix."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    known = {form.suffix: name for name, form in FORMATS.items()}
    guess = _FIRST_BYTES.get(head[:1]) or known.get(path.suffix.lower())
    if guess is None and head[:1].isdigit():
        return "mot"
    if guess is None:
        raise MotError(f"{path}: its format cannot be told: give --from {', '.join(FORMATS)}")
    return guess
