"""The frames of a sequence, with its pictures where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mot.jobs import VIDEO_SUFFIXES, SequenceSource
from mot.motfile import Sequence, list_images
from mot.types import Frame
from mot.video.sources import Window


def pictures_of(sequence: Sequence) -> list[Path]:
    """The files of its pictures, else a video of its name that lies in it; none at all is fine."""
    if sequence.images:
        return list_images(sequence.images)
    return [video] if (video := _video_of(sequence)) else []


def _video_of(sequence: Sequence) -> Path | None:
    found = sorted(sequence.folder.glob("*"))
    same = (path for path in found if path.stem == sequence.name)
    return next((path for path in same if path.suffix.lower() in VIDEO_SUFFIXES), None)


def frames_of(sequence: Sequence, pictures: bool) -> Iterator[Frame]:
    """Each frame up to its length, those without a picture too."""
    video = _video_of(sequence) if pictures and not sequence.images else None
    shown = replace(sequence, folder=video, images=video) if video else sequence
    with SequenceSource(shown, Window(), pictures) as frames:
        for frame in frames:
            if frame.index > sequence.length:  # a video may go on
                return
            yield frame
