"""The work of `mot eval-detector`: find, measure, show, draw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mot.cli.eval_detector import MIN_SCORE, Options
from mot.commands.console import progress, refuse_existing, tell
from mot.commands.detector_tables import show_scores, show_splits
from mot.commands.open_detector import OpenDetector, open_detector
from mot.datasets.dataset import DataSet
from mot.datasets.images import read_picture
from mot.datasets.load import DataSettings, guess, load
from mot.errors import MotError
from mot.evaluation.detection.keys import Key
from mot.evaluation.detection.pairs import DetectionPairs, put_side_by_side
from mot.evaluation.detection.results import SUFFIXES, coco_results, read_categories, read_results
from mot.evaluation.detection.scores import Scores, score
from mot.evaluation.detection.splits import SplitScores, split_scores
from mot.files import plain, write_text
from mot.pipeline import detections_of
from mot.settings import build_settings
from mot.types import Detections, Frame


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One detector, or one file of detections."""

    name: str
    sides: DetectionPairs
    scores: Scores
    splits: Mapping[str, SplitScores]


def run(options: Options) -> None:
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
        from mot.commands.eval_detector_errors import report_errors

        report_errors(measured, dataset, options)
    if options.json:
        write_text(Path(options.json), json.dumps(_as_dict(measured, options), indent=1) + "\n")


def _check(options: Options) -> None:
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


def _load(options: Options) -> tuple[DataSet, Key]:
    """Pictures are needed by detectors alone."""
    told = {
        "annotations": options.gt,
        "images": options.images or "",
        "format": options.form or "",
        "split": options.split,
        "boxes": options.boxes,
        "every": options.every,
        "classes": [word for word in options.classes or () if not word.isdecimal()],
    }
    settings = build_settings(DataSettings, told, "mot eval-detector")
    needs_none = all(_is_file(each) for each in options.measured)
    dataset, problems = load(settings, sizes=True, absent=needs_none)
    for line in problems.lines():
        tell(f"warning: {line}", options.quiet)
    if dataset.annotations.ignored.all():
        tell(
            f"warning: {options.gt}: nothing is to be found in it: there are no rates",
            options.quiet,
        )
    is_coco = (settings.format or guess(settings.source)) == "coco"
    return dataset, Key.of(dataset, read_categories(settings.source) if is_coco else None)


def _measure(name: str, options: Options, dataset: DataSet, key: Key) -> Measured:
    assert options.detector
    if _is_file(options.detector):
        found = _read(Path(options.detector).expanduser(), key, options)
    else:
        found = _detect(name, options, dataset, key)
    if not any(map(len, found)):
        tell(f"warning: {name}: no detection at all", options.quiet)
    sides = put_side_by_side(dataset, found)
    limits = tuple(limit for limit in (1, 10) if limit < options.coco_limit)
    scores = score(sides, dataset, (*limits, options.coco_limit))
    splits = dict(split_scores(sides, scores.best)) if options.splits else {}
    return Measured(name, sides, scores, splits)


def _read(path: Path, key: Key, options: Options) -> list[Detections]:
    found, others = read_results(path, key)
    if others:
        tell(f"{path}: {others} detections of other classes are left out", options.quiet)
    least = options.conf or 0.0
    return [each[each.scores >= least] for each in found]


def _detect(name: str, options: Options, dataset: DataSet, key: Key) -> list[Detections]:
    if options.conf is None:
        options = replace(options, conf=MIN_SCORE)
    opened = open_detector(options)
    labels = _labels(opened, key)
    found = []
    frames = (Frame(read_picture(picture), index, 0.0) for index, picture in enumerate(dataset, 1))
    with progress(name, len(dataset), options.quiet) as tick:
        for _, each in detections_of(frames, opened.detect, opened.batch, opened.workers):
            found.append(_translated(each, labels))
            tick(len(each))
    if options.save:
        rows = coco_results(dataset, found, key.categories)
        write_text(Path(options.save), "[" + ",\n".join(map(json.dumps, rows)) + "]\n")
    return found


def _labels(opened: OpenDetector, key: Key) -> Mapping[int, int]:
    """From the classes of the detector to those of the data set; where either has a single one, or
    the detector knows no names, by number."""
    if len(opened.names) < 2:
        return {label: label for label in range(len(key.dataset.names))}
    told = {label: key.label_of(name) for label, name in enumerate(opened.names)}
    return {label: own for label, own in told.items() if own is not None}


def _translated(found: Detections, labels: Mapping[int, int]) -> Detections:
    kept = found[np.isin(found.labels, list(labels))]
    own = [labels[label] for label in kept.labels.tolist()]
    return Detections.from_boxes(kept.boxes, kept.scores, own)


def _as_dict(measured: Sequence[Measured], options: Options) -> dict[str, Any]:
    return {
        "ground_truth": options.gt,
        "detectors": {
            each.name: plain(
                {
                    "scores": each.scores.as_dict(),
                    "splits": {name: asdict(split) for name, split in each.splits.items()},
                }
            )
            for each in measured
        },
    }
