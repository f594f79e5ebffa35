"""The images or the video of a sequence, and some frames of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mot.motfile import any_video, file_names, is_sequence, list_images, read_sequence
from mot.types import Image
from mot.video import open_source
from mot.video.images import open_folder


@dataclass(frozen=True, slots=True)
class Footage:
    """A video, or a folder of images."""

    path: Path
    last: int | None  # index of the last frame, if known

    def frames(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """The wanted frames that can be read: index from 1 and image, in order."""
        last = max(wanted, default=0)
        if self.path.is_dir():
            yield from self._images(wanted)
        elif wanted:
            with open_source(self.path) as source:
                for frame in source:
                    if frame.index in wanted and frame.image is not None:
                        yield frame.index, frame.image
                    if frame.index >= last:
                        return

    def _images(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Decodes the wanted files only."""
        with closing(open_folder(self.path)) as reader:
            for raw in reader.frames():
                image = raw.image() if raw.index in wanted else None
                if image is not None:
                    yield raw.index, image


def find_footage(name: str, folder: Path | None, given: Path | None = None) -> Footage | None:
    """The images or the video of a sequence; None if there are none.

    Args:
        name: of the sequence.
        folder: the sequence folder, searched if `given` is None.
        given: a video, a folder of images, or a folder of several sequences.
    """
    if given:
        return _open_footage(_find_given(given, name))
    path = _find_in_folder(folder, name) if folder else None
    return _open_footage(path) if path else None


def _find_given(given: Path, name: str) -> Path:
    """The footage in a given path. A missing path is returned too: opening it reports the error."""
    if not given.is_dir():
        return given
    named = (given / each for each in file_names(name))
    folders = [folder for folder in named if folder.is_dir()]
    found = (_find_in_folder(folder, name) for folder in [*folders, given])
    return next(filter(None, found), given)


def _find_in_folder(folder: Path, name: str) -> Path | None:
    """The folder, if it holds images, else a video in it."""
    if read_sequence(folder).images if is_sequence(folder) else list_images(folder):
        return folder
    return any_video(folder, name)


def _open_footage(path: Path) -> Footage:
    if path.is_dir():
        with closing(open_folder(path)) as reader:
            return Footage(path, reader.info.frame_count)
    with open_source(path) as source:
        return Footage(path, source.frame_count)
