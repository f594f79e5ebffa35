"""Parts of a frame with boxes drawn in, side by side under a caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mot.opencv import cv2
from mot.render import Colour, Pen
from mot.types import Image

_HEIGHT = 380  # pixels of a panel
_WIDEST = 640
_NARROWEST = 480  # pixels of a picture, so that its caption can be read
_GAP = 6  # pixels between panels
_LINE = 44  # pixels of a line of text at scale 1
_FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
_PAPER = 24
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_DASH, _RIM = 7, 3  # pixels
_BELOW = 20  # pixels from a box to the foot of a name below it
_PEN = Pen(stroke=2, letter=11)
_THIN = Pen(stroke=1, letter=8)

Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw. That of a person is dashed and named below, that of an id named above."""

    kind: Literal["person", "id", "bystander"]
    box: Box
    colour: Colour = _WHITE
    text: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text."""

    text: str
    scale: float = 0.45
    ink: Colour = (235, 235, 235)


@dataclass(frozen=True, slots=True)
class Shot:
    """A part of a frame."""

    frame: int
    title: str
    centre: tuple[float, float]
    size: tuple[float, float]  # width, height
    marks: tuple[Mark, ...]


def draw_panel(image: Image, shot: Shot, scale: tuple[float, float] = (1.0, 1.0)) -> Image:
    """`scale` is that of the frame to the coordinates of the shot."""
    left, top, width, height = _window(image, shot, scale)
    zoom = min(_HEIGHT / height, _WIDEST / width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    how = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    panel = cv2.resize(image[top : top + height, left : left + width], size, interpolation=how)
    marks = sorted(shot.marks, key=lambda mark: mark.kind)  # bystanders first, persons last
    for draw in (_outline, _name):
        for mark in marks:
            draw(panel, mark, _corners(mark.box, scale, (left, top), zoom))
    title = _written(Words(shot.title), size[0])
    return np.concatenate([title, panel])


def _window(image: Image, shot: Shot, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """Left, top, width and height in the frame, moved into it where it reaches beyond."""
    spans = []
    for axis, full in enumerate((image.shape[1], image.shape[0])):
        size = int(np.clip(round(shot.size[axis] * scale[axis]), 2, full))
        first = round(shot.centre[axis] * scale[axis] - size / 2)
        spans.append((int(np.clip(first, 0, full - size)), size))
    (left, width), (top, height) = spans
    return left, top, width, height


def _corners(
    box: Box, scale: tuple[float, float], origin: tuple[int, int], zoom: float
) -> list[int]:
    """Left, top, right and bottom in the panel."""
    x, y, width, height = box
    corners = np.array([x, y, x + width, y + height]) * [*scale, *scale]
    placed: list[int] = np.rint((corners - [*origin, *origin]) * zoom).astype(int).tolist()
    return placed


def _outline(panel: Image, mark: Mark, box: list[int]) -> None:
    if mark.kind == "bystander":
        _THIN.box(panel, box, mark.colour, seen=True)
    elif mark.kind == "id":
        _PEN.box(panel, _around(box), mark.colour, seen=True)
    else:
        _dashed(panel, box)


def _around(box: list[int]) -> list[int]:
    """A little larger: where it lies on a person's, both are seen."""
    left, top, right, bottom = box
    return [left - _RIM, top - _RIM, right + _RIM, bottom + _RIM]


def _name(panel: Image, mark: Mark, box: list[int]) -> None:
    if mark.kind == "id":
        _PEN.label(panel, mark.text, _around(box), mark.colour)
    elif mark.kind == "person":
        _PEN.label(panel, mark.text, [box[0], box[3] + _BELOW], _WHITE)


def _dashed(panel: Image, box: list[int]) -> None:
    """White on black, so that it shows on any ground."""
    left, top, right, bottom = np.clip(box, -_DASH, 2 * _WIDEST).tolist()
    cv2.rectangle(panel, (left, top), (right - 1, bottom - 1), _BLACK, 2)
    for x in range(left, right, 2 * _DASH):
        for y in (top, bottom - 1):
            cv2.line(panel, (x, y), (min(x + _DASH, right - 1), y), _WHITE, 2)
    for y in range(top, bottom, 2 * _DASH):
        for x in (left, right - 1):
            cv2.line(panel, (x, y), (x, min(y + _DASH, bottom - 1)), _WHITE, 2)


def compose(panels: Sequence[Image], caption: Iterable[Words]) -> Image:
    """The panels side by side, under the lines of the caption."""
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + _GAP * (len(panels) - 1)
    sheet = np.full((height, max(width, _NARROWEST), 3), _PAPER, np.uint8)
    left = 0
    for panel in panels:
        sheet[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    return np.concatenate([*(_written(words, sheet.shape[1]) for words in caption), sheet])


def _written(words: Words, width: int) -> Image:
    """A strip with the text, on as many lines as it takes."""
    lines, height = _broken(words, width - 2 * _GAP), round(_LINE * words.scale)
    strip = np.full((height * len(lines) + _GAP, width, 3), _PAPER, np.uint8)
    for number, line in enumerate(lines, 1):
        corner = _GAP, number * height
        cv2.putText(strip, line, corner, _FONT, words.scale, words.ink, 1, cv2.LINE_AA)
    return strip


def _broken(words: Words, width: int) -> list[str]:
    lines = [""]
    for word in words.text.encode("ascii", "replace").decode().split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cv2.getTextSize(longer, _FONT, words.scale, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
