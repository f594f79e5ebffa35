"""People side by side: what a track looked like, and the detections that it could have had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import numpy as np

from mot.opencv import cv2
from mot.reports.canvas import BLACK, GREEN, GREY, RED, canvas
from mot.types import Image

Kind = Literal["seen", "chosen", "other", "out"]

# Hundredths of an inch.
_CELL = (130, 260)  # of a portrait, width and height
_STEP = 146  # from a portrait to the next one
_LIMIT = 30  # the room that the limit takes
_MARGIN = 24
_LINE = 16  # of text
_HEADING = 84  # above the portraits of a row
_TITLE = 70  # above everything

_LETTERS = 20  # that fit below a portrait
_LETTER = 6.4  # the mean width of one in a reason
_DETAIL = 2  # pixels for each hundredth of an inch
_PALE = 0.5  # how white what is ruled out is made
_PAPER = "#F3F3F3"  # behind what is remembered
_INKS: dict[Kind, str] = {"seen": BLACK, "chosen": GREEN, "other": BLACK, "out": GREY}


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person, a name above, and lines to stand below, of which the first is bold."""

    image: Image  # BGR; empty: the person is outside of the picture
    name: str
    lines: Sequence[str] = ()
    kind: Kind = "seen"

    @property
    def text(self) -> list[str]:
        return [part for line in self.lines for part in wrap(line, _LETTERS)]


@dataclass(frozen=True, slots=True)
class Row:
    """The candidates of one stage, the first `within` of which are under its limit."""

    title: str
    reason: str
    portraits: Sequence[Portrait]
    limit: str
    within: int

    @property
    def height(self) -> int:
        lines = max((len(portrait.text) for portrait in self.portraits), default=0)
        return _HEADING + _CELL[1] + _LINE * (lines + 1)


@dataclass(frozen=True, slots=True)
class Lineup:
    """A row of portraits of the track for each row of candidates."""

    title: str
    legend: str
    memory: str  # what is said above the portraits of the track
    sights: Sequence[Sequence[Portrait]]
    rows: Sequence[Row]


def plot_lineup(lineup: Lineup, path: Path) -> None:
    """On the left what is remembered, on the right a row for each stage."""
    split = 2 * _MARGIN + _STEP * max([2, *(len(sights) for sights in lineup.sights)])
    most = max([4, *(len(row.portraits) for row in lineup.rows)])
    width = split + 2 * _MARGIN + most * _STEP + _LIMIT
    height = _TITLE + sum(row.height for row in lineup.rows) + _MARGIN // 2
    with canvas(path, width / 100, height / 100) as figure:
        axes = _paper(figure, width, height)
        _write(axes, _MARGIN, 32, lineup.title, fontsize=13, weight="bold")
        _write(axes, _MARGIN, 53, lineup.legend, fontsize=8.5, color=GREY)
        axes.fill_between([0, split - _MARGIN / 2], _TITLE, height, color=_PAPER, linewidth=0)
        _write(axes, _MARGIN, _TITLE + 24, lineup.memory, fontsize=10, weight="bold")
        top = _TITLE
        for sights, row in zip(lineup.sights, lineup.rows, strict=True):
            for column, portrait in enumerate(sights):
                _hang(axes, portrait, _MARGIN + column * _STEP, top + _HEADING)
            _draw_row(axes, row, split + _MARGIN, top, width - split - 2 * _MARGIN)
            top += row.height


def _paper(figure: Any, width: int, height: int) -> Any:
    """Axes over the whole figure, in hundredths of an inch from the top left."""
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return axes


def _write(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, va="baseline", **style)


def _draw_row(axes: Any, row: Row, left: float, top: float, width: float) -> None:
    _write(axes, left, top + 24, row.title, fontsize=10, weight="bold")
    for number, line in enumerate(wrap(row.reason, int(width / _LETTER))[:2]):
        _write(axes, left, top + 24 + _LINE * (number + 1), line, fontsize=9)
    for column, portrait in enumerate(row.portraits):
        beyond = _LIMIT if column >= row.within else 0
        _hang(axes, portrait, left + column * _STEP + beyond, top + _HEADING)
    if row.portraits:
        _draw_limit(axes, row, left + row.within * _STEP - (_STEP - _CELL[0]) / 2, top + _HEADING)


def _draw_limit(axes: Any, row: Row, left: float, top: float) -> None:
    """What is right of it costs more."""
    x = left + _LIMIT / 2
    axes.plot([x, x], [top, top + _CELL[1]], "--", color=RED, linewidth=1.6)
    style = {"rotation": 90, "ha": "right", "va": "top", "color": RED, "fontsize": 8.5}
    axes.text(x - 2, top, row.limit, **style)


def _hang(axes: Any, portrait: Portrait, left: float, top: float) -> None:
    """In a cell, on its lower edge, with the name above and the lines below."""
    ink, plain = _INKS[portrait.kind], GREY if portrait.kind == "out" else BLACK
    middle, foot = left + _CELL[0] / 2, top + _CELL[1]
    picture = _fitted(portrait)
    width, height = picture.shape[1] / _DETAIL, picture.shape[0] / _DETAIL
    sides = middle - width / 2, middle + width / 2, foot, foot - height
    axes.imshow(picture[..., ::-1], extent=sides, aspect="auto", zorder=2)
    _frame(axes, sides, portrait.kind)
    name = {"weight": "bold", "color": ink, "fontsize": 9, "ha": "center"}
    _write(axes, middle, foot - height - 8, portrait.name, **name)
    for number, line in enumerate(portrait.text):
        is_first = number == 0 and portrait.kind != "seen"
        style = {"fontsize": 8.5, "ha": "center", "color": ink if is_first else plain}
        style["weight"] = "bold" if is_first else "normal"
        _write(axes, middle, foot + _LINE * (number + 1.2), line, **style)


def _frame(axes: Any, sides: tuple[float, float, float, float], kind: Kind) -> None:
    left, right, bottom, top = sides
    colour, width = (GREEN, 4.0) if kind == "chosen" else ("#AAAAAA", 0.8)
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    axes.plot(x, y, color=colour, linewidth=width, solid_joinstyle="miter", zorder=3)


def _fitted(portrait: Portrait) -> Image:
    """As large as the cell lets it be; what is ruled out is pale and grey."""
    most = np.array(_CELL) * _DETAIL
    image = portrait.image
    if not image.size:
        return np.full((most[1], most[0], 3), 225, np.uint8)
    size = np.array([image.shape[1], image.shape[0]])
    scale = float((most / size).min())
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    large = cv2.resize(image, np.maximum(1, size * scale).astype(int).tolist(), interpolation=how)
    if portrait.kind != "out":
        return np.asarray(large, np.uint8)
    grey = cv2.cvtColor(large, cv2.COLOR_BGR2GRAY)[..., None].repeat(3, axis=2)
    return np.asarray(grey * (1 - _PALE) + 255 * _PALE, np.uint8)
