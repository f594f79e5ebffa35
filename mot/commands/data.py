"""`mot data`: check datasets, fit anchors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mot.commands.console import notify, progress, refuse_existing
from mot.datasets.dataset import Dataset
from mot.datasets.duplicates import (
    ImageFingerprint,
    find_repeated,
    find_shared,
    fingerprint_images,
)
from mot.datasets.images import read_image
from mot.datasets.load import DataSettings, LoadedDataset, load_dataset
from mot.datasets.problems import Problems
from mot.datasets.statistics import (
    PERCENTILES,
    compute_distributions,
    count_objects,
    percentiles,
)
from mot.errors import MotError
from mot.files import write_bytes, write_text
from mot.opencv import cv2
from mot.reports.datasets import AnnotatedImage, draw_contact_sheet, plot_distributions
from mot.settings import build_settings
from mot.training.anchor_fitting import fit_anchors, measure_fit
from mot.types import FloatArray

_FILES = ("report.json", "distributions.png")
_TITLE_WIDTH = 26  # letters
Distributions = Mapping[str, Mapping[str, FloatArray]]  # by dataset, by quantity


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The flags that name a dataset, as given."""

    sources: tuple[str, ...]
    images: tuple[str, ...]
    format: str | None
    split: str
    boxes: str
    classes: str | None
    every: int

    def load(self, sources: Sequence[str], images: Sequence[str]) -> LoadedDataset:
        """The sources as one dataset. `images`: no folder, one, or one per source."""
        if len(images) not in (0, 1, len(sources)):
            raise MotError(
                f"{len(images)} --images for {len(sources)} sources: give one, or one each"
            )
        folders = images if len(images) == len(sources) else [*images, ""][:1] * len(sources)
        words = (self.classes or "").split(",")
        values = {
            "format": self.format or "",
            "classes": [word.strip() for word in words if word.strip()],
            "split": self.split,
            "boxes": self.boxes,
            "every": self.every,
        }
        loaded = []
        for source, folder in zip(sources, folders, strict=True):
            given = {"annotations": source, "images": folder, **values}
            settings = build_settings(DataSettings, given, "mot data")
            loaded.append(load_dataset(settings, read_sizes=True))
        return _merge(loaded)


@dataclass(frozen=True, slots=True)
class CheckOptions(SourceOptions):
    """The flags of `mot data check`, as given."""

    val: tuple[str, ...]
    val_images: tuple[str, ...]
    out: Path | None
    samples: int
    seed: int
    quick: bool
    overwrite: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class AnchorOptions(SourceOptions):
    """The flags of `mot data anchors`, as given."""

    count: int
    imgsz: tuple[int, int]  # the second is 0 if only one was given
    seed: int


def _merge(loaded: Sequence[LoadedDataset]) -> LoadedDataset:
    problems = Problems()
    names = {each.data.names for each in loaded}
    if len(names) > 1:
        lists = " and ".join(", ".join(each) for each in sorted(names))
        raise MotError(f"the sources have different classes ({lists}): choose with --classes")
    for each in loaded:
        problems.update(each.problems)
    data = loaded[0].data
    if len(loaded) > 1:
        data = Dataset(data.names, chain.from_iterable(each.data for each in loaded))
    return LoadedDataset(data, problems)


@dataclass(frozen=True, slots=True)
class _CheckedDataset:
    """The training or the validation data."""

    data: Dataset
    problems: Problems
    fingerprints: list[ImageFingerprint]  # empty with --quick


def run_check(options: CheckOptions) -> None:
    folder = options.out or Path("runs/data") / Path(options.sources[0]).absolute().stem
    sources = {"train": (options.sources, options.images)}
    if options.val:
        sources["val"] = (options.val, options.val_images)
    sheets = {name: folder / f"{name}.png" for name in sources}
    refuse_existing([*sheets.values(), *(folder / name for name in _FILES)], options.overwrite)
    checked = {name: _check(name, *given, options) for name, given in sources.items()}
    shared = Problems()
    if options.val:
        find_shared(checked["train"].fingerprints, checked["val"].fingerprints, shared)
    for name, each in checked.items():
        _draw_samples(each.data, sheets[name], f"{name}: {', '.join(sources[name][0])}", options)
    distributions = {name: compute_distributions(each.data) for name, each in checked.items()}
    plot_distributions(distributions, folder / "distributions.png")
    _write_report(folder / "report.json", checked, distributions, shared)
    if not options.quiet:
        _print_report(checked, distributions, shared)
    notify(str(folder), options.quiet)


def _check(
    name: str, sources: Sequence[str], images: Sequence[str], options: CheckOptions
) -> _CheckedDataset:
    data, problems = options.load(sources, images)
    fingerprints: list[ImageFingerprint] = []
    if not options.quick:
        found = fingerprint_images(data, problems)
        with progress(name, len(data), options.quiet) as advance:
            for record, fingerprint in zip(data, found, strict=True):
                fingerprints += [fingerprint] if fingerprint else []
                advance(len(record.annotations))
        find_repeated(fingerprints, problems)
    return _CheckedDataset(data, problems, fingerprints)


def _draw_samples(data: Dataset, path: Path, title: str, options: CheckOptions) -> None:
    """A contact sheet of random readable images."""
    rng = np.random.default_rng(options.seed)
    samples: list[AnnotatedImage] = []
    for index in rng.permutation(len(data)).tolist():
        record = data[index]
        try:
            samples.append(AnnotatedImage(record.name, read_image(record), record.annotations))
        except MotError:
            continue
        if len(samples) == options.samples:
            break
    if samples:
        samples.sort(key=lambda sample: sample.name)
        write_bytes(path, cv2.imencode(".png", draw_contact_sheet(samples, title))[1].tobytes())


def _write_report(
    path: Path,
    checked: Mapping[str, _CheckedDataset],
    distributions: Distributions,
    shared: Problems,
) -> None:
    report: dict[str, Any] = {
        name: {
            "counts": count_objects(each.data),
            "percentiles": {
                title: dict(zip(map(str, PERCENTILES), percentiles(values), strict=True))
                for title, values in distributions[name].items()
            },
            "problems": _as_dict(each.problems),
        }
        for name, each in checked.items()
    }
    report["both"] = _as_dict(shared)
    write_text(path, json.dumps(report, indent=1) + "\n")


def _as_dict(problems: Problems) -> dict[str, Any]:
    return {
        kind: {"count": count, "examples": problems.examples[kind]}
        for kind, count in problems.counts.items()
    }


def _print_report(
    checked: Mapping[str, _CheckedDataset], distributions: Distributions, shared: Problems
) -> None:
    for name, each in checked.items():
        counts = (f"{count} {what}" for what, count in count_objects(each.data).items() if count)
        print(f"{name}: {', '.join(counts)}")
        print(f"  {'percentile':<{_TITLE_WIDTH}}" + "".join(f"{each:>9}" for each in PERCENTILES))
        for title, values in distributions[name].items():
            numbers = "".join(f"{number:>9.4g}" for number in percentiles(values))
            print(f"  {title:<{_TITLE_WIDTH}}{numbers}")
        for line in each.problems.lines():
            print(f"  found: {line}")
    for line in shared.lines():
        print(f"found: {line}")


def run_anchors(options: AnchorOptions) -> None:
    target = options.imgsz[0], options.imgsz[1] or options.imgsz[0]
    data, problems = options.load(options.sources, options.images)
    for line in problems.lines():
        notify(f"warning: {line}")
    sizes = network_box_sizes(data, target)
    try:
        fitted = fit_anchors(sizes, options.count, options.seed)
    except ValueError as error:
        raise MotError(f"{options.sources[0]}: {error}") from None
    numbers = ", ".join(f"{number:g}" for number in fitted.round(1).ravel())
    print(f"anchors = [{numbers}]  # width, height, ... at {target[0]}x{target[1]}")
    for name, anchors in {f"these {options.count}": fitted, **_shipped_anchors()}.items():
        fit = measure_fit(sizes, anchors)
        recall = f"{100 * fit.recall:.1f} %"
        print(f"{name:<14} mean IoU {fit.mean_iou:.3f}, recall at IoU 0.5 {recall:>7}")


def _shipped_anchors() -> dict[str, FloatArray]:
    """Anchors of the networks; none without PyTorch, which these modules import."""
    try:
        from mot.detectors.models.yolov3 import ANCHORS
    except ImportError:
        return {}
    return {
        f"yolov3 {name}": np.array(numbers, np.float32).reshape(-1, 2)
        for name, numbers in ANCHORS.items()
    }


def network_box_sizes(data: Dataset, target: tuple[int, int]) -> FloatArray:
    """(N, 2) widths and heights of the objects, in pixels of a network input of size `target`."""
    from mot.runtime.preprocess import InputSpec, make_letterbox

    sizes = [np.zeros((0, 2), np.float32)]
    for record in data:
        if all(record.size):
            boxes = record.annotations.boxes[~record.annotations.ignored]
            scale = make_letterbox(record.size, InputSpec(), target).scale
            sizes.append((boxes[:, 2:] - boxes[:, :2]) * np.array(scale, np.float32))
    return np.concatenate(sizes)
