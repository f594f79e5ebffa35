"""Crops side by side: those stored for a track, and the detections it could be matched to."""

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

CardKind = Literal["track", "chosen", "other", "rejected"]

# Hundredths of an inch.
_CELL = (130, 260)  # width and height of a crop
_STEP = 146  # from a crop to the next
_LIMIT = 30  # width of the limit line
_MARGIN = 24
_LINE = 16  # of text
_HEADING = 84  # above the crops of a row
_TITLE = 70  # at the top

_LETTERS = 20  # per line below a crop
_LETTER = 6.4  # mean width of a letter of a reason
_PIXELS = 2  # per hundredth of an inch
_FADE = 0.5  # of rejected crops, towards white
_TRACK_BACKGROUND = "#F3F3F3"
_TEXT_COLORS: dict[CardKind, str] = {
    "track": BLACK,
    "chosen": GREEN,
    "other": BLACK,
    "rejected": GREY,
}


@dataclass(frozen=True, slots=True, eq=False)
class CropCard:
    """A crop with a name above and lines of text below, of which the first is bold."""

    image: Image  # BGR; empty: outside of the image
    name: str
    lines: Sequence[str] = ()
    kind: CardKind = "track"

    @property
    def text(self) -> list[str]:
        return [part for line in self.lines for part in wrap(line, _LETTERS)]


@dataclass(frozen=True, slots=True)
class StageRow:
    """The candidates of one matching stage, sorted by cost; the first `within` are in its limit."""

    title: str
    reason: str
    cards: Sequence[CropCard]
    limit: str
    within: int

    @property
    def height(self) -> int:
        lines = max((len(card.text) for card in self.cards), default=0)
        return _HEADING + _CELL[1] + _LINE * (lines + 1)


@dataclass(frozen=True, slots=True)
class Lineup:
    """The matching of one track: per stage, a row of its stored crops and a row of candidates."""

    title: str
    legend: str
    track_title: str  # above the crops of the track
    track_cards: Sequence[Sequence[CropCard]]  # a sequence per row
    rows: Sequence[StageRow]


def plot_lineup(lineup: Lineup, path: Path) -> None:
    """On the left the crops of the track, on the right the candidates of each stage."""
    split = 2 * _MARGIN + _STEP * max([2, *(len(cards) for cards in lineup.track_cards)])
    columns = max([4, *(len(row.cards) for row in lineup.rows)])
    width = split + 2 * _MARGIN + columns * _STEP + _LIMIT
    height = _TITLE + sum(row.height for row in lineup.rows) + _MARGIN // 2
    with canvas(path, width / 100, height / 100) as figure:
        axes = _full_axes(figure, width, height)
        _write(axes, _MARGIN, 32, lineup.title, fontsize=13, weight="bold")
        _write(axes, _MARGIN, 53, lineup.legend, fontsize=8.5, color=GREY)
        edges = [0, split - _MARGIN / 2]
        axes.fill_between(edges, _TITLE, height, color=_TRACK_BACKGROUND, linewidth=0)
        _write(axes, _MARGIN, _TITLE + 24, lineup.track_title, fontsize=10, weight="bold")
        top = _TITLE
        for cards, row in zip(lineup.track_cards, lineup.rows, strict=True):
            for column, card in enumerate(cards):
                _draw_card(axes, card, _MARGIN + column * _STEP, top + _HEADING)
            _draw_row(axes, row, split + _MARGIN, top, width - split - 2 * _MARGIN)
            top += row.height


def _full_axes(figure: Any, width: int, height: int) -> Any:
    """Axes over the full figure, in hundredths of an inch from the top left."""
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return axes


def _write(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, va="baseline", **style)


def _draw_row(axes: Any, row: StageRow, left: float, top: float, width: float) -> None:
    _write(axes, left, top + 24, row.title, fontsize=10, weight="bold")
    for number, line in enumerate(wrap(row.reason, int(width / _LETTER))[:2]):
        _write(axes, left, top + 24 + _LINE * (number + 1), line, fontsize=9)
    for column, card in enumerate(row.cards):
        shift = _LIMIT if column >= row.within else 0
        _draw_card(axes, card, left + column * _STEP + shift, top + _HEADING)
    if row.cards:
        _draw_limit(axes, row, left + row.within * _STEP - (_STEP - _CELL[0]) / 2, top + _HEADING)


def _draw_limit(axes: Any, row: StageRow, left: float, top: float) -> None:
    """A line; candidates to its right cost more than the limit."""
    x = left + _LIMIT / 2
    axes.plot([x, x], [top, top + _CELL[1]], "--", color=RED, linewidth=1.6)
    style = {"rotation": 90, "ha": "right", "va": "top", "color": RED, "fontsize": 8.5}
    axes.text(x - 2, top, row.limit, **style)


def _draw_card(axes: Any, card: CropCard, left: float, top: float) -> None:
    """The crop on the lower edge of its cell, the name above and the lines below it."""
    bold_color, color = _TEXT_COLORS[card.kind], GREY if card.kind == "rejected" else BLACK
    middle, bottom = left + _CELL[0] / 2, top + _CELL[1]
    image = _fit(card)
    width, height = image.shape[1] / _PIXELS, image.shape[0] / _PIXELS
    sides = middle - width / 2, middle + width / 2, bottom, bottom - height
    axes.imshow(image[..., ::-1], extent=sides, aspect="auto", zorder=2)
    _draw_frame(axes, sides, card.kind)
    name = {"weight": "bold", "color": bold_color, "fontsize": 9, "ha": "center"}
    _write(axes, middle, bottom - height - 8, card.name, **name)
    for number, line in enumerate(card.text):
        is_first = number == 0 and card.kind != "track"
        style = {"fontsize": 8.5, "ha": "center", "color": bold_color if is_first else color}
        style["weight"] = "bold" if is_first else "normal"
        _write(axes, middle, bottom + _LINE * (number + 1.2), line, **style)


def _draw_frame(axes: Any, sides: tuple[float, float, float, float], kind: CardKind) -> None:
    left, right, bottom, top = sides
    color, width = (GREEN, 4.0) if kind == "chosen" else ("#AAAAAA", 0.8)
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    axes.plot(x, y, color=color, linewidth=width, solid_joinstyle="miter", zorder=3)


def _fit(card: CropCard) -> Image:
    """The crop scaled to the cell; rejected crops are pale and grey."""
    cell = np.array(_CELL) * _PIXELS
    image = card.image
    if not image.size:
        return np.full((cell[1], cell[0], 3), 225, np.uint8)
    size = np.array([image.shape[1], image.shape[0]])
    scale = float((cell / size).min())
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    large = cv2.resize(image, np.maximum(1, size * scale).astype(int).tolist(), interpolation=how)
    if card.kind != "rejected":
        return np.asarray(large, np.uint8)
    grey = cv2.cvtColor(large, cv2.COLOR_BGR2GRAY)[..., None].repeat(3, axis=2)
    return np.asarray(grey * (1 - _FADE) + 255 * _FADE, np.uint8)
