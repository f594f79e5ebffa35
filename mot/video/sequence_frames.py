"""The frames of a sequence, with its pictures where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mot.motfile import Sequence, list_images
from mot.types import Frame
from mot.video.sources import Window
from mot.video.streams import SequenceSource


def pictures_of(sequence: Sequence) -> list[Path]:
    """The files of its pictures, else a video of its name that lies in it; none at all is fine."""
    if sequence.images:
        return list_images(sequence.images)
    return [sequence.video] if sequence.video else []


def frames_of(sequence: Sequence, pictures: bool) -> Iterator[Frame]:
    """Each frame up to its length, those without a picture too."""
    with SequenceSource(sequence, Window(), pictures) as frames:
        yield from frames
