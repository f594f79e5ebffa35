"""Plots of detectors: precision-recall curves, and images with their errors."""

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
_DASHES = ("-", "--", ":", "-.")  # when all colors are used
IGNORED, FOUND, TRUE_POSITIVE = "ignored", "found", "true positive"
MISSED, FALSE_POSITIVE = "missed", "false positive"
_KIND_COLORS: Mapping[str, Color] = {  # BGR, in the order of drawing
    IGNORED: (150, 150, 150),
    FOUND: (80, 200, 0),
    TRUE_POSITIVE: (255, 170, 60),
    MISSED: (0, 150, 255),
    FALSE_POSITIVE: (40, 40, 230),
}
_LEGEND = (
    "Objects: green found, orange missed, gray ignored. Detections with their scores: "
    "blue true positives, red false positives."
)


class PlottedCurve(NamedTuple):
    """The precision-recall curve of one detector."""

    recall: Values
    precision: Values
    best: tuple[float, float]  # recall and precision of the best F1
    label: str


def plot_precision_recall(curves: Sequence[PlottedCurve], path: Path) -> None:
    with canvas(path, 8, 4.6) as figure:
        axes = figure.subplots()
        for number, curve in enumerate(curves):
            color = COLORS[number % len(COLORS)] if len(curves) > 1 else BLACK
            dash = _DASHES[number // len(COLORS) % len(_DASHES)]
            axes.plot(curve.recall, curve.precision, dash, color=color, label=curve.label)
            axes.plot(*curve.best, "o", color=color, markersize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
        axes.set_title("Precision-recall at an IoU of 0.5; dots: the best F1")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), alignment="left")


class BoxMark(NamedTuple):
    """A box to draw."""

    kind: str  # IGNORED, FOUND, TRUE_POSITIVE, MISSED or FALSE_POSITIVE
    box: Values  # xyxy
    text: str = ""


def draw_box_marks(image: Image, marks: Sequence[BoxMark], title: str) -> Image:
    """The image at a fixed size with boxes, below a title and a legend."""
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    sheet = cv2.resize(image, size, interpolation=interpolation)
    order = list(_KIND_COLORS)
    placed = [
        (np.rint(np.clip(mark.box * scale, -_SIDE, 2 * _SIDE)).astype(int).tolist(), mark)
        for mark in sorted(marks, key=lambda mark: order.index(mark.kind))
    ]
    for corners, mark in placed:
        _PEN.box(sheet, corners, _KIND_COLORS[mark.kind], thin=mark.kind == IGNORED)
    for corners, mark in placed:
        if mark.text:
            _PEN.label(sheet, mark.text, corners, _KIND_COLORS[mark.kind])
    return compose([sheet], [TextLine(title, 0.6), TextLine(_LEGEND)])
