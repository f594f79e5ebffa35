"""Sheets of the worst tracking errors, one PNG each: frames with boxes and the likely cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mot.evaluation.diagnosis.with_gt.diagnosis import KINDS, TrackingError
from mot.evaluation.loading import LoadedSequence
from mot.files import write_bytes
from mot.opencv import cv2
from mot.reports.error_panels import ErrorPanels
from mot.reports.panels import PanelSpec, compose, draw_panel
from mot.types import Image
from mot.video.footage import Footage, find_footage


@dataclass(slots=True)
class _Sheet:
    """A sheet whose panels are drawn as its frames are read."""

    error: TrackingError
    specs: Sequence[PanelSpec]
    panels: dict[int, Image] = field(default_factory=dict)  # by frame


def draw_errors(
    loaded: LoadedSequence,
    errors: Sequence[TrackingError],
    folder: Path,
    frames_source: Path | None = None,
    max_per_kind: int = 20,
) -> list[Path]:
    """Draw the longest errors of each kind, and evenly spaced switches; returns the files.

    Frames come from `frames_source`, or from the images or a video in the sequence folder, and are
    numbered as in the full sequence. Errors whose frames do not exist are skipped.
    """
    gt = loaded.entry.gt
    footage = find_footage(gt.name, gt.sequence.folder if gt.sequence else None, frames_source)
    if footage is None:
        return []
    panels = ErrorPanels(loaded, footage.last)
    sheets = []
    for kind in KINDS:
        available = [e for e in errors if e.kind == kind and panels.is_available(e)]
        sheets += [_Sheet(e, panels.specs(e)) for e in _worst(available, max_per_kind)]
    return sorted(_draw(sheets, panels, footage, folder))


def _worst(errors: Sequence[TrackingError], count: int) -> list[TrackingError]:
    if not errors or errors[0].kind != "switch":
        return sorted(errors, key=lambda error: -error.frames)[:count]
    chosen = np.linspace(0, len(errors) - 1, min(count, len(errors)))
    return [errors[index] for index in chosen.round().astype(int).tolist()]


def _draw(
    sheets: Sequence[_Sheet], panels: ErrorPanels, footage: Footage, folder: Path
) -> Iterator[Path]:
    """Write each sheet as soon as its last frame is read, so that few are in memory."""
    by_frame: Mapping[int, list[tuple[_Sheet, PanelSpec]]] = defaultdict(list)
    for sheet in sheets:
        for spec in sheet.specs:
            by_frame[spec.frame].append((sheet, spec))
    for number, image in footage.frames(by_frame.keys()):
        for sheet, spec in by_frame[number]:
            sheet.panels[number] = draw_panel(image, spec, panels.scale(image))
            if len(sheet.panels) == len(sheet.specs):
                path = folder / f"{panels.file_name(sheet.error)}.png"
                drawn = [sheet.panels[spec.frame] for spec in sheet.specs]
                composed = compose(drawn, panels.caption(sheet.error))
                write_bytes(path, cv2.imencode(".png", composed)[1].tobytes())
                yield path
                sheet.panels.clear()
