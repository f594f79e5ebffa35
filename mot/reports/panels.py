"""Cropped frames with boxes drawn on them, composed side by side under a caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mot.opencv import cv2
from mot.render import Color, Pen
from mot.types import Image

_HEIGHT = 380  # pixels of a panel
_MAX_WIDTH = 640
_MIN_SHEET_WIDTH = 480  # pixels, so that the caption can be read
_GAP = 6  # pixels between panels
_LINE = 44  # pixels of a line of text at scale 1
_FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
_BACKGROUND = 24
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_DASH, _RIM = 7, 3  # pixels
_LABEL_OFFSET = 20  # pixels from a box to the bottom of a label below it
_PEN = Pen(stroke=2, letter=11)
_THIN = Pen(stroke=1, letter=8)

Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True, slots=True)
class BoxMark:
    """A box to draw: gt dashed and labeled below, result thick and labeled above, other thin."""

    kind: Literal["gt", "other", "result"]
    box: Box
    color: Color = _WHITE
    text: str = ""


_DRAWING_ORDER = ("other", "result", "gt")


@dataclass(frozen=True, slots=True)
class TextLine:
    text: str
    scale: float = 0.45
    color: Color = (235, 235, 235)


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """A part of a frame to show, in box coordinates."""

    frame: int
    title: str
    center: tuple[float, float]
    size: tuple[float, float]  # width, height
    marks: tuple[BoxMark, ...]


def draw_panel(image: Image, spec: PanelSpec, scale: tuple[float, float] = (1.0, 1.0)) -> Image:
    """Crop, zoom and mark a frame. `scale`: x and y scale from box coordinates to the image."""
    left, top, width, height = _crop_window(image, spec, scale)
    zoom = min(_HEIGHT / height, _MAX_WIDTH / width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    how = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    panel = cv2.resize(image[top : top + height, left : left + width], size, interpolation=how)
    marks = sorted(spec.marks, key=lambda mark: _DRAWING_ORDER.index(mark.kind))
    for draw in (_draw_outline, _draw_label):
        for mark in marks:
            draw(panel, mark, _panel_corners(mark.box, scale, (left, top), zoom))
    title = _draw_text(TextLine(spec.title), size[0])
    return np.concatenate([title, panel])


def _crop_window(
    image: Image, spec: PanelSpec, scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Left, top, width and height in the image, moved inside it."""
    spans = []
    for axis, full in enumerate((image.shape[1], image.shape[0])):
        size = int(np.clip(round(spec.size[axis] * scale[axis]), 2, full))
        first = round(spec.center[axis] * scale[axis] - size / 2)
        spans.append((int(np.clip(first, 0, full - size)), size))
    (left, width), (top, height) = spans
    return left, top, width, height


def _panel_corners(
    box: Box, scale: tuple[float, float], origin: tuple[int, int], zoom: float
) -> list[int]:
    """xyxy in the panel."""
    x, y, width, height = box
    corners = np.array([x, y, x + width, y + height]) * [*scale, *scale]
    placed: list[int] = np.rint((corners - [*origin, *origin]) * zoom).astype(int).tolist()
    return placed


def _draw_outline(panel: Image, mark: BoxMark, box: list[int]) -> None:
    if mark.kind == "other":
        _THIN.box(panel, box, mark.color)
    elif mark.kind == "result":
        _PEN.box(panel, _enlarge(box), mark.color)
    else:
        _draw_dashed(panel, box)


def _enlarge(box: list[int]) -> list[int]:
    """A little, so that a result and an equal gt box are both visible."""
    left, top, right, bottom = box
    return [left - _RIM, top - _RIM, right + _RIM, bottom + _RIM]


def _draw_label(panel: Image, mark: BoxMark, box: list[int]) -> None:
    if mark.kind == "result":
        _PEN.label(panel, mark.text, _enlarge(box), mark.color)
    elif mark.kind == "gt":
        _PEN.label(panel, mark.text, [box[0], box[3] + _LABEL_OFFSET], _WHITE)


def _draw_dashed(panel: Image, box: list[int]) -> None:
    """White dashes on black, visible on any background."""
    left, top, right, bottom = np.clip(box, -_DASH, 2 * _MAX_WIDTH).tolist()
    cv2.rectangle(panel, (left, top), (right - 1, bottom - 1), _BLACK, 2)
    for x in range(left, right, 2 * _DASH):
        for y in (top, bottom - 1):
            cv2.line(panel, (x, y), (min(x + _DASH, right - 1), y), _WHITE, 2)
    for y in range(top, bottom, 2 * _DASH):
        for x in (left, right - 1):
            cv2.line(panel, (x, y), (x, min(y + _DASH, bottom - 1)), _WHITE, 2)


def compose(panels: Sequence[Image], caption: Iterable[TextLine]) -> Image:
    """The panels side by side, under the lines of the caption."""
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + _GAP * (len(panels) - 1)
    sheet = np.full((height, max(width, _MIN_SHEET_WIDTH), 3), _BACKGROUND, np.uint8)
    left = 0
    for panel in panels:
        sheet[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    return np.concatenate([*(_draw_text(line, sheet.shape[1]) for line in caption), sheet])


def _draw_text(line: TextLine, width: int) -> Image:
    """A strip with the text, wrapped to the width."""
    wrapped, height = _wrap(line, width - 2 * _GAP), round(_LINE * line.scale)
    strip = np.full((height * len(wrapped) + _GAP, width, 3), _BACKGROUND, np.uint8)
    for number, text in enumerate(wrapped, 1):
        corner = _GAP, number * height
        cv2.putText(strip, text, corner, _FONT, line.scale, line.color, 1, cv2.LINE_AA)
    return strip


def _wrap(line: TextLine, width: int) -> list[str]:
    lines = [""]
    for word in line.text.encode("ascii", "replace").decode().split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cv2.getTextSize(longer, _FONT, line.scale, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
