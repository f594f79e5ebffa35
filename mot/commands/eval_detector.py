"""`mot eval-detector`: find, measure, show, draw."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mot.commands.console import notify, progress, refuse_existing
from mot.commands.detector_tables import show_scores, show_splits, show_table
from mot.commands.options import DetectorOptions
from mot.datasets.dataset import DataSet
from mot.datasets.images import read_image
from mot.datasets.load import DataSettings, guess, load
from mot.errors import MotError
from mot.evaluation.detection.errors import DUPLICATE, HIDDEN, NAMES, RIGHT, Mistakes, find_mistakes
from mot.evaluation.detection.keys import Key
from mot.evaluation.detection.pairs import DetectionPairs, put_side_by_side
from mot.evaluation.detection.results import SUFFIXES, coco_results, read_categories, read_results
from mot.evaluation.detection.scores import Scores, score, whole_curve
from mot.evaluation.detection.splits import SplitScores, split_scores
from mot.files import json_safe, write_bytes, write_text
from mot.opencv import cv2
from mot.reports.detections import Marked, PrecisionRecall, draw_marked, plot_precision_recall
from mot.settings import build_settings
from mot.types import Detections, Frame

MIN_SCORE = 0.001  # of a detector that is evaluated: curves need low scores too

_WORST = 12  # images


@dataclass(frozen=True, slots=True)
class EvalDetectorOptions(DetectorOptions):
    """The flags of `mot eval-detector`, as given; `detector` is each of `measured` in turn."""

    measured: tuple[str, ...]
    gt: str
    images: str | None
    form: str | None
    split: str
    boxes: str
    every: int
    coco_limit: int
    splits: bool
    json: str | None
    errors: str | None
    save: str | None
    threshold: float | None
    overwrite: bool
    quiet: bool


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One detector, or one file of detections."""

    name: str
    sides: DetectionPairs
    scores: Scores
    splits: Mapping[str, SplitScores]


def run(options: EvalDetectorOptions) -> None:
    names = _names(options.measured)
    _check(options)
    dataset, key = _load(options)
    measured = [
        _measure(name, replace(options, detector=each), dataset, key)
        for name, each in zip(names, options.measured, strict=True)
    ]
    show_scores({each.name: each.scores for each in measured})
    if options.splits:
        show_splits({each.name: each.splits for each in measured})
    if options.errors:
        report_errors(measured, dataset, options)
    if options.json:
        write_text(Path(options.json), json.dumps(_as_dict(measured, options), indent=1) + "\n")


def _check(options: EvalDetectorOptions) -> None:
    detectors = [each for each in options.measured if not _is_file(each)]
    if options.save and len(options.measured) != 1:
        raise MotError("--save keeps the detections of one detector: give one at a time")
    if options.save and not detectors:
        raise MotError(f"--save keeps what a detector finds, and {options.measured[0]} is a file")
    outputs = [Path(path) for path in (options.json, options.save) if path]
    inputs = [options.gt, *options.measured]
    refuse_existing(outputs, options.overwrite, inputs)
    if options.errors:
        refuse_existing([Path(options.errors) / "mistakes.json"], options.overwrite, inputs)


def _is_file(measured: str) -> bool:
    """Of detections, not of a detector."""
    return Path(measured).suffix.lower() in SUFFIXES


def _names(measured: Sequence[str]) -> list[str]:
    """The stems, or as given where two have the same."""
    stems = [Path(each).stem if Path(each).suffix else each for each in measured]
    names = stems if len(set(stems)) == len(stems) else list(measured)
    if len(set(names)) < len(names):
        raise MotError(f"{max(names, key=names.count)}: is given twice")
    return names


def _load(options: EvalDetectorOptions) -> tuple[DataSet, Key]:
    """Images are needed by detectors alone."""
    values = {
        "annotations": options.gt,
        "images": options.images or "",
        "format": options.form or "",
        "split": options.split,
        "boxes": options.boxes,
        "every": options.every,
        "classes": [word for word in options.classes or () if not word.isdecimal()],
    }
    settings = build_settings(DataSettings, values, "mot eval-detector")
    needs_none = all(_is_file(each) for each in options.measured)
    dataset, problems = load(settings, sizes=True, absent=needs_none)
    for line in problems.lines():
        notify(f"warning: {line}", options.quiet)
    if dataset.annotations.ignored.all():
        notify(
            f"warning: {options.gt}: nothing is to be found in it: there are no rates",
            options.quiet,
        )
    is_coco = (settings.format or guess(settings.source)) == "coco"
    return dataset, Key.of(dataset, read_categories(settings.source) if is_coco else None)


def _measure(name: str, options: EvalDetectorOptions, dataset: DataSet, key: Key) -> Measured:
    assert options.detector
    if _is_file(options.detector):
        found = _read(Path(options.detector).expanduser(), key, options)
    else:
        found = _detect(name, options, dataset, key)
    if not any(map(len, found)):
        notify(f"warning: {name}: no detection at all", options.quiet)
    sides = put_side_by_side(dataset, found)
    limits = tuple(limit for limit in (1, 10) if limit < options.coco_limit)
    scores = score(sides, dataset, (*limits, options.coco_limit))
    splits = dict(split_scores(sides, scores.best)) if options.splits else {}
    return Measured(name, sides, scores, splits)


def _read(path: Path, key: Key, options: EvalDetectorOptions) -> list[Detections]:
    found, others = read_results(path, key)
    if others:
        notify(f"{path}: {others} detections of other classes are left out", options.quiet)
    min_score = options.conf or 0.0
    return [each[each.scores >= min_score] for each in found]


def _detect(
    name: str, options: EvalDetectorOptions, dataset: DataSet, key: Key
) -> list[Detections]:
    if options.conf is None:
        options = replace(options, conf=MIN_SCORE)
    pipeline = options.detection_pipeline()
    labels = _labels(pipeline.detector_names, key)
    found = []
    frames = (Frame(read_image(record), index, 0.0) for index, record in enumerate(dataset, 1))
    with progress(name, len(dataset), options.quiet) as tick:
        for _, each in pipeline.detect(frames):
            found.append(_translated(each, labels))
            tick(len(each))
    if options.save:
        rows = coco_results(dataset, found, key.categories)
        write_text(Path(options.save), "[" + ",\n".join(map(json.dumps, rows)) + "]\n")
    return found


def _labels(names: tuple[str, ...], key: Key) -> Mapping[int, int]:
    """From the classes of the detector to those of the dataset; where either has a single one, or
    the detector knows no names, by number."""
    if len(names) < 2:
        return {label: label for label in range(len(key.dataset.names))}
    values = {label: key.label_of(name) for label, name in enumerate(names)}
    return {label: own for label, own in values.items() if own is not None}


def _translated(found: Detections, labels: Mapping[int, int]) -> Detections:
    kept = found[np.isin(found.labels, list(labels))]
    own = [labels[label] for label in kept.labels.tolist()]
    return Detections.from_boxes(kept.boxes, kept.scores, own)


def _as_dict(measured: Sequence[Measured], options: EvalDetectorOptions) -> dict[str, Any]:
    return {
        "ground_truth": options.gt,
        "detectors": {
            each.name: json_safe(
                {
                    "scores": each.scores.as_dict(),
                    "splits": {name: asdict(split) for name, split in each.splits.items()},
                }
            )
            for each in measured
        },
    }


def report_errors(
    measured: Sequence[Measured], dataset: DataSet, options: EvalDetectorOptions
) -> None:
    """Into the folder; the worst images of several detectors each into one of its own."""
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
    notify(f"{folder}", options.quiet)


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
        record = dataset[place]
        try:
            image = read_image(record)
        except MotError as error:
            notify(f"warning: not drawn: {error}", quiet)
            continue
        marks = list(_marks(sides, mistakes, place))
        kinds = [mark.kind for mark in marks]
        title = (
            f"{record.name}: {kinds.count('object, missed')} missed, "
            f"{kinds.count('detection, false')} false, {kinds.count('object, found')} found"
        )
        drawn = draw_marked(image, marks, title)
        stem = Path(record.name).with_suffix("").as_posix().replace("/", "_")
        encoded = cv2.imencode(".png", drawn)[1].tobytes()
        write_bytes(folder / f"{number:02}-{stem}.png", encoded)


def _marks(sides: DetectionPairs, mistakes: Mistakes, place: int) -> Iterator[Marked]:
    truth, found = sides.truth, sides.found
    for row in np.flatnonzero(truth.records == place):
        missed = "object, missed" if mistakes.missed[row] else "object, found"
        yield Marked("ignored" if truth.ignored[row] else missed, truth.boxes[row])
    for row in np.flatnonzero((found.records == place) & (mistakes.kinds != HIDDEN)):
        kind = mistakes.kinds[row]
        if kind == RIGHT or kind >= DUPLICATE:
            name = "detection, right" if kind == RIGHT else "detection, false"
            yield Marked(name, found.boxes[row], f"{found.scores[row]:.2f}")
