"""The gravest mistakes as pictures, one PNG each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mot.evaluation.diagnosis.with_gt.diagnosis import KINDS, Event
from mot.evaluation.loading import Loaded
from mot.files import write_bytes
from mot.opencv import cv2
from mot.reports.panels import Shot, compose, draw_panel
from mot.reports.shots import Album
from mot.types import Image
from mot.video.footage import Footage, find_footage


@dataclass(slots=True)
class _Sheet:
    """A picture in the making."""

    event: Event
    shots: Sequence[Shot]
    panels: dict[int, Image] = field(default_factory=dict)  # by frame

    @property
    def is_complete(self) -> bool:
        return len(self.panels) == len(self.shots)


def draw_events(
    loaded: Loaded,
    events: Sequence[Event],
    folder: Path,
    frames_source: Path | None = None,
    most: int = 20,
) -> list[Path]:
    """At most so many of each kind: the longest, and switches from all over the sequence.

    Frames come from `frames_source`, else from the sequence's own pictures, else from a video that
    lies in its folder. Nothing is drawn where there are none, and what happens outside of those
    that exist is passed over. Frames are numbered as in the whole sequence.
    """
    footage = find_footage(loaded.entry.truth, frames_source)
    if footage is None:
        return []
    album = Album(loaded, footage.last)
    sheets = [
        _Sheet(event, album.shots(event))
        for kind in KINDS
        for event in _gravest([e for e in events if e.kind == kind and album.has(e)], most)
    ]
    return sorted(_drawn(sheets, album, footage, folder))


def _gravest(events: Sequence[Event], most: int) -> list[Event]:
    if not events or events[0].kind != "switch":
        return sorted(events, key=lambda event: -event.frames)[:most]
    chosen = np.linspace(0, len(events) - 1, min(most, len(events)))
    return [events[index] for index in chosen.round().astype(int).tolist()]


def _drawn(
    sheets: Sequence[_Sheet], album: Album, footage: Footage, folder: Path
) -> Iterator[Path]:
    """Each is written as soon as its last frame has come, so that few are held at a time."""
    by_frame: Mapping[int, list[tuple[_Sheet, Shot]]] = defaultdict(list)
    for sheet in sheets:
        for shot in sheet.shots:
            by_frame[shot.frame].append((sheet, shot))
    for number, image in footage.frames(by_frame.keys()):
        for sheet, shot in by_frame[number]:
            sheet.panels[number] = draw_panel(image, shot, album.scale(image))
            if sheet.is_complete:
                yield _written(sheet, album, folder)
                sheet.panels.clear()


def _written(sheet: _Sheet, album: Album, folder: Path) -> Path:
    path = folder / f"{album.file_name(sheet.event)}.png"
    panels = [sheet.panels[shot.frame] for shot in sheet.shots]
    picture = compose(panels, album.caption(sheet.event))
    write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())
    return path
