"""What a detector does: precision over recall, and images with what it misses and invents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mot.evaluation.sequence_pairs import Values
from mot.opencv import cv2
from mot.render import Color, Pen
from mot.reports.canvas import BLACK, COLORS, canvas
from mot.reports.panels import TextLine, compose
from mot.types import Image

_SIDE = 1000  # pixels of the longer side of an image
_PEN = Pen(stroke=2, letter=10)
_DASHES = ("-", "--", ":", "-.")  # when the colors are used up
# What a box is, how it is drawn, and in which order: the later ones lie above.
KINDS: Mapping[str, Color] = {  # BGR
    "ignored": (150, 150, 150),
    "object, found": (80, 200, 0),
    "detection, right": (255, 170, 60),
    "object, missed": (0, 150, 255),
    "detection, false": (40, 40, 230),
}
_LEGEND = (
    "Objects: green found, orange missed, gray ignored. Detections with their scores: "
    "blue right, red false."
)


class PrecisionRecall(NamedTuple):
    """The curve of one detector, and where its F1 is best."""

    recall: Values
    precision: Values
    best: tuple[float, float]  # recall, precision
    label: str


def plot_precision_recall(curves: Sequence[PrecisionRecall], path: Path) -> None:
    with canvas(path, 8, 4.6) as figure:
        axes = figure.subplots()
        for number, curve in enumerate(curves):
            colour = COLORS[number % len(COLORS)] if len(curves) > 1 else BLACK
            dash = _DASHES[number // len(COLORS) % len(_DASHES)]
            axes.plot(curve.recall, curve.precision, dash, color=colour, label=curve.label)
            axes.plot(*curve.best, "o", color=colour, markersize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
        axes.set_title("Precision over recall at an IoU of 0.5; the dot: the best F1")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), alignment="left")


class Marked(NamedTuple):
    """A box to draw."""

    kind: str  # one of KINDS
    box: Values  # xyxy
    text: str = ""


def draw_marked(image: Image, marks: Sequence[Marked], title: str) -> Image:
    """A larger or smaller copy of the image, under its title and what the colors mean."""
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    sheet = cv2.resize(image, size, interpolation=how)
    order = list(KINDS)
    placed = [
        (np.rint(np.clip(mark.box * scale, -_SIDE, 2 * _SIDE)).astype(int).tolist(), mark)
        for mark in sorted(marks, key=lambda mark: order.index(mark.kind))
    ]
    for corners, mark in placed:
        _PEN.box(sheet, corners, KINDS[mark.kind], thin=mark.kind == "ignored")
    for corners, mark in placed:
        if mark.text:
            _PEN.label(sheet, mark.text, corners, KINDS[mark.kind])
    return compose([sheet], [TextLine(title, 0.6), TextLine(_LEGEND)])
