"""What goes wrong in detection, as files: the curve, the kinds of mistakes, the worst pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mot.cli.eval_detector import Options
from mot.commands.console import tell
from mot.commands.detector_tables import show_table
from mot.datasets.dataset import DataSet
from mot.datasets.images import read_picture
from mot.errors import MotError
from mot.evaluation.detection.errors import DUPLICATE, HIDDEN, NAMES, RIGHT, Mistakes, find_mistakes
from mot.evaluation.detection.pairs import DetectionPairs
from mot.evaluation.detection.scores import whole_curve
from mot.files import write_bytes, write_text
from mot.opencv import cv2
from mot.reports.detections import Marked, PrecisionRecall, draw_marked, plot_precision_recall

if TYPE_CHECKING:
    from mot.commands.eval_detector import Measured

_WORST = 12  # pictures


def report_errors(measured: Sequence[Measured], dataset: DataSet, options: Options) -> None:
    """Into the folder; the worst pictures of several detectors each into one of its own."""
    folder = Path(options.errors or "").expanduser()
    plot_precision_recall([_curve(each) for each in measured], folder / "precision_recall.png")
    counts, rows = {}, {}
    for each in measured:
        threshold = each.scores.best.threshold if options.threshold is None else options.threshold
        threshold = 0.0 if math.isnan(threshold) else threshold
        mistakes = find_mistakes(each.sides, threshold)
        counts[each.name] = {"threshold": threshold, **mistakes.counts()}
        rows[each.name] = [f"{threshold:.3f}", *map(str, mistakes.counts().values())]
        worst = folder / "worst" / (each.name.replace("/", "_") if len(measured) > 1 else "")
        _draw_worst(each.sides, mistakes, dataset, worst, options.quiet)
    show_table("detections", ["from score", *NAMES.values(), "missed"], rows)
    write_text(folder / "mistakes.json", json.dumps(counts, indent=1) + "\n")
    tell(f"{folder}", options.quiet)


def _curve(measured: Measured) -> PrecisionRecall:
    curve, scores = whole_curve(measured.sides), measured.scores
    best = (scores.best.recall, scores.best.precision)
    label = f"{measured.name}: AP50 {100 * scores.coco.ap50:.1f}"
    return PrecisionRecall(curve.recall, curve.precision, best, label)


def _draw_worst(
    sides: DetectionPairs, mistakes: Mistakes, dataset: DataSet, folder: Path, quiet: bool
) -> None:
    """Those with the most misses and false alarms, the worst first."""
    counts = mistakes.by_picture(sides)
    order = np.argsort(-counts, kind="stable")[:_WORST]
    for number, place in enumerate(order[counts[order] > 0].tolist(), 1):
        picture = dataset[place]
        try:
            image = read_picture(picture)
        except MotError as error:
            tell(f"warning: not drawn: {error}", quiet)
            continue
        marks = list(_marks(sides, mistakes, place))
        kinds = [mark.kind for mark in marks]
        title = (
            f"{picture.name}: {kinds.count('object, missed')} missed, "
            f"{kinds.count('detection, false')} false, {kinds.count('object, found')} found"
        )
        drawn = draw_marked(image, marks, title)
        stem = Path(picture.name).with_suffix("").as_posix().replace("/", "_")
        encoded = cv2.imencode(".png", drawn)[1].tobytes()
        write_bytes(folder / f"{number:02}-{stem}.png", encoded)


def _marks(sides: DetectionPairs, mistakes: Mistakes, place: int) -> Iterator[Marked]:
    truth, found = sides.truth, sides.found
    for row in np.flatnonzero(truth.pictures == place):
        missed = "object, missed" if mistakes.missed[row] else "object, found"
        yield Marked("ignored" if truth.ignored[row] else missed, truth.boxes[row])
    for row in np.flatnonzero((found.pictures == place) & (mistakes.kinds != HIDDEN)):
        kind = mistakes.kinds[row]
        if kind == RIGHT or kind >= DUPLICATE:
            name = "detection, right" if kind == RIGHT else "detection, false"
            yield Marked(name, found.boxes[row], f"{found.scores[row]:.2f}")
