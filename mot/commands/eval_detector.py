"""`mot eval-detector`: run detectors or read detections, score them, show their errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mot.commands.console import notify, progress, refuse_existing
from mot.commands.options import DetectorOptions
from mot.commands.tables import show_detection_scores, show_detection_splits, show_table
from mot.datasets.coco import read_categories
from mot.datasets.dataset import Dataset
from mot.datasets.images import read_image
from mot.datasets.load import DataSettings, detect_format, load_dataset
from mot.errors import MotError
from mot.evaluation.detection.dataset_index import DatasetIndex
from mot.evaluation.detection.errors import (
    BELOW_THRESHOLD,
    DUPLICATE,
    KIND_NAMES,
    TRUE_POSITIVE,
    DetectionErrors,
    find_errors,
)
from mot.evaluation.detection.pairs import DetectionPairs, pair_detections
from mot.evaluation.detection.results import SUFFIXES, format_coco_results, read_results
from mot.evaluation.detection.scores import DetectionScores, overall_curve, score_pairs
from mot.evaluation.detection.splits import SplitScores, split_scores
from mot.files import json_safe, write_bytes, write_text
from mot.opencv import cv2
from mot.reports import detections as report
from mot.settings import build_settings
from mot.types import Detections, Frame

_MIN_SCORE = 0.001  # default --conf: curves need low scores
_MAX_DRAWN = 12  # images
_ERRORS_FILE = "errors.json"


@dataclass(frozen=True, slots=True)
class EvalDetectorOptions(DetectorOptions):
    """The flags of `mot eval-detector`, as given; `detector` is each of `detectors` in turn."""

    detectors: tuple[str, ...]  # also files of detections
    gt: str
    images: str | None
    format: str | None
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
class ScoredDetector:
    """A detector or a file of detections, with its scores."""

    name: str
    pairs: DetectionPairs
    scores: DetectionScores
    splits: Mapping[str, SplitScores]


def run(options: EvalDetectorOptions) -> None:
    names = _choose_names(options.detectors)
    _check(options)
    dataset, index = _load(options)
    scored = [
        _score(name, replace(options, detector=each), dataset, index)
        for name, each in zip(names, options.detectors, strict=True)
    ]
    show_detection_scores({each.name: each.scores for each in scored})
    if options.splits:
        show_detection_splits({each.name: each.splits for each in scored})
    if options.errors:
        _report_errors(scored, dataset, options)
    if options.json:
        write_text(Path(options.json), json.dumps(_as_dict(scored, options), indent=1) + "\n")


def _check(options: EvalDetectorOptions) -> None:
    first = options.detectors[0]
    if options.save and len(options.detectors) != 1:
        raise MotError("--save writes the detections of one detector: give one at a time")
    if options.save and _is_file(first):
        raise MotError(f"--save writes the detections of a detector, and {first} is a file")
    outputs = [Path(path) for path in (options.json, options.save) if path]
    outputs += [Path(options.errors) / _ERRORS_FILE] if options.errors else []
    refuse_existing(outputs, options.overwrite, [options.gt, *options.detectors])


def _is_file(detector: str) -> bool:
    """Whether it is a file of detections."""
    return Path(detector).suffix.lower() in SUFFIXES


def _choose_names(detectors: Sequence[str]) -> list[str]:
    """The stems, or as given if stems are equal."""
    stems = [Path(each).stem if Path(each).suffix else each for each in detectors]
    names = stems if len(set(stems)) == len(stems) else list(detectors)
    if len(set(names)) < len(names):
        raise MotError(f"{max(names, key=names.count)}: is given twice")
    return names


def _load(options: EvalDetectorOptions) -> tuple[Dataset, DatasetIndex]:
    """Only detectors need images; files of detections do not."""
    values = {
        "annotations": options.gt,
        "images": options.images or "",
        "format": options.format or "",
        "split": options.split,
        "boxes": options.boxes,
        "every": options.every,
        "classes": [word for word in options.classes or () if not word.isdecimal()],
    }
    settings = build_settings(DataSettings, values, "mot eval-detector")
    keep_missing = all(_is_file(each) for each in options.detectors)
    dataset, problems = load_dataset(settings, read_sizes=True, keep_missing=keep_missing)
    for line in problems.lines():
        notify(f"warning: {line}", options.quiet)
    if dataset.annotations.ignored.all():
        notify(f"warning: {options.gt}: has no objects: there are no rates", options.quiet)
    is_coco = (settings.format or detect_format(settings.source)) == "coco"
    categories = read_categories(settings.source) if is_coco else None
    return dataset, DatasetIndex.of(dataset, categories)


def _score(
    name: str, options: EvalDetectorOptions, dataset: Dataset, index: DatasetIndex
) -> ScoredDetector:
    assert options.detector
    if _is_file(options.detector):
        found = _read(Path(options.detector).expanduser(), index, options)
    else:
        found = _detect(name, options, dataset, index)
    if not any(map(len, found)):
        notify(f"warning: {name}: has no detections", options.quiet)
    pairs = pair_detections(dataset, found)
    limits = tuple(limit for limit in (1, 10) if limit < options.coco_limit)
    scores = score_pairs(pairs, dataset, (*limits, options.coco_limit))
    splits = dict(split_scores(pairs, scores.best)) if options.splits else {}
    return ScoredDetector(name, pairs, scores, splits)


def _read(path: Path, index: DatasetIndex, options: EvalDetectorOptions) -> list[Detections]:
    results = read_results(path, index)
    if results.num_others:
        notify(
            f"{path}: {results.num_others} detections of other classes are left out", options.quiet
        )
    min_score = options.conf or 0.0
    return [each[each.scores >= min_score] for each in results.detections]


def _detect(
    name: str, options: EvalDetectorOptions, dataset: Dataset, index: DatasetIndex
) -> list[Detections]:
    if options.conf is None:
        options = replace(options, conf=_MIN_SCORE)
    pipeline = options.detection_pipeline()
    labels = _map_labels(pipeline.detector_names, index)
    found = []
    frames = (Frame(read_image(record), number, 0.0) for number, record in enumerate(dataset, 1))
    with progress(name, len(dataset), options.quiet) as advance:
        for _, each in pipeline.detect(frames):
            found.append(_relabel(each, labels))
            advance(len(each))
    if options.save:
        rows = format_coco_results(dataset, found, index.categories)
        write_text(Path(options.save), "[" + ",\n".join(map(json.dumps, rows)) + "]\n")
    return found


def _map_labels(names: tuple[str, ...], index: DatasetIndex) -> Mapping[int, int]:
    """Labels of the dataset by those of the detector: by class name, or equal if the detector has
    one class or no names."""
    if len(names) < 2:
        return {label: label for label in range(len(index.dataset.names))}
    labels = {label: index.find_label(name) for label, name in enumerate(names)}
    return {label: own for label, own in labels.items() if own is not None}


def _relabel(found: Detections, labels: Mapping[int, int]) -> Detections:
    kept = found[np.isin(found.labels, list(labels))]
    own = [labels[label] for label in kept.labels.tolist()]
    return Detections.from_boxes(kept.boxes, kept.scores, own)


def _as_dict(scored: Sequence[ScoredDetector], options: EvalDetectorOptions) -> dict[str, Any]:
    return {
        "ground_truth": options.gt,
        "detectors": {
            each.name: json_safe(
                {
                    "scores": each.scores.as_dict(),
                    "splits": {name: asdict(split) for name, split in each.splits.items()},
                }
            )
            for each in scored
        },
    }


def _report_errors(
    scored: Sequence[ScoredDetector], dataset: Dataset, options: EvalDetectorOptions
) -> None:
    """Writes the folder of --errors: curves, counts of errors, and the worst images; those of
    several detectors into a folder each."""
    folder = Path(options.errors or "").expanduser()
    curves = [_make_curve(each) for each in scored]
    report.plot_precision_recall(curves, folder / "precision_recall.png")
    counts, rows = {}, {}
    for each in scored:
        threshold = each.scores.best.threshold if options.threshold is None else options.threshold
        threshold = 0.0 if math.isnan(threshold) else threshold
        errors = find_errors(each.pairs, threshold)
        counts[each.name] = {"threshold": threshold, **errors.counts()}
        rows[each.name] = [f"{threshold:.3f}", *map(str, errors.counts().values())]
        worst = folder / "worst" / (each.name.replace("/", "_") if len(scored) > 1 else "")
        _draw_worst(each.pairs, errors, dataset, worst, options.quiet)
    show_table("detections", ["min. score", *KIND_NAMES.values(), "missed"], rows)
    write_text(folder / _ERRORS_FILE, json.dumps(counts, indent=1) + "\n")
    notify(str(folder), options.quiet)


def _make_curve(scored: ScoredDetector) -> report.PlottedCurve:
    curve, scores = overall_curve(scored.pairs), scored.scores
    best = (scores.best.recall, scores.best.precision)
    label = f"{scored.name}: AP50 {100 * scores.coco.ap50:.1f}"
    return report.PlottedCurve(curve.recall, curve.precision, best, label)


def _draw_worst(
    pairs: DetectionPairs, errors: DetectionErrors, dataset: Dataset, folder: Path, quiet: bool
) -> None:
    """The images with the most missed objects and false positives, the worst first."""
    counts = errors.count_per_image(pairs)
    order = np.argsort(-counts, kind="stable")[:_MAX_DRAWN]
    for number, row in enumerate(order[counts[order] > 0].tolist(), 1):
        record = dataset[row]
        try:
            image = read_image(record)
        except MotError as error:
            notify(f"warning: not drawn: {error}", quiet)
            continue
        marks = list(_make_marks(pairs, errors, row))
        kinds = [mark.kind for mark in marks]
        title = (
            f"{record.name}: {kinds.count(report.MISSED)} missed, "
            f"{kinds.count(report.FALSE_POSITIVE)} false, {kinds.count(report.FOUND)} found"
        )
        sheet = report.draw_box_marks(image, marks, title)
        stem = Path(record.name).with_suffix("").as_posix().replace("/", "_")
        encoded = cv2.imencode(".png", sheet)[1].tobytes()
        write_bytes(folder / f"{number:02}-{stem}.png", encoded)


def _make_marks(
    pairs: DetectionPairs, errors: DetectionErrors, image: int
) -> Iterator[report.BoxMark]:
    gt, detections = pairs.gt, pairs.detections
    for row in np.flatnonzero(gt.images == image):
        kind = report.MISSED if errors.missed[row] else report.FOUND
        yield report.BoxMark(report.IGNORED if gt.ignored[row] else kind, gt.boxes[row])
    shown = (detections.images == image) & (errors.kinds != BELOW_THRESHOLD)
    for row in np.flatnonzero(shown):
        text = f"{detections.scores[row]:.2f}"
        if errors.kinds[row] == TRUE_POSITIVE:
            yield report.BoxMark(report.TRUE_POSITIVE, detections.boxes[row], text)
        elif errors.kinds[row] >= DUPLICATE:
            yield report.BoxMark(report.FALSE_POSITIVE, detections.boxes[row], text)
