"""Where the frames of a sequence are, and those of them that are wanted."""

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
    last: int | None  # the number of its last frame, as far as it says

    def frames(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Those that are wanted and can be read, with their numbers from 1, in order."""
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
        """Only the files that are wanted are decoded."""
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
        return _opened(_given(given, name))
    path = _inside(folder, name) if folder else None
    return _opened(path) if path else None


def _given(given: Path, name: str) -> Path:
    """A missing path is opened too, so that its error is reported."""
    if not given.is_dir():
        return given
    named = (given / each for each in file_names(name))
    folders = [folder for folder in named if folder.is_dir()]
    return next(filter(None, (_inside(folder, name) for folder in [*folders, given])), given)


def _inside(folder: Path, name: str) -> Path | None:
    """The folder, if it holds images, else a video in it."""
    if read_sequence(folder).images if is_sequence(folder) else list_images(folder):
        return folder
    return any_video(folder, name)


def _opened(path: Path) -> Footage:
    if path.is_dir():
        with closing(open_folder(path)) as reader:
            return Footage(path, reader.facts.frame_count)
    with open_source(path) as source:
        return Footage(path, source.frame_count)
