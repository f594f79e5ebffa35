"""`mot data`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mot.commands.console import notify, progress, refuse_existing
from mot.datasets.dataset import DataSet
from mot.datasets.duplicates import ImageFingerprint, look_at_all, note_shared, note_twins
from mot.datasets.images import read_image
from mot.datasets.load import DataSettings, Loaded, load
from mot.datasets.problems import Problems
from mot.datasets.statistics import PERCENTILES, counts_of, distributions, percentiles
from mot.errors import MotError
from mot.files import write_bytes, write_text
from mot.opencv import cv2
from mot.reports.datasets import contact_sheet, plot_distributions
from mot.settings import build_settings
from mot.training.anchor_fitting import fit_anchors, measure_fit
from mot.types import FloatArray

_FILES = ("report.json", "distributions.png")
_TITLE = 26  # letters


@dataclass(frozen=True, slots=True)
class _Survey:
    """One side of the data: to train on, or to validate with."""

    data: DataSet
    problems: Problems
    fingerprints: list[ImageFingerprint]


def run_check(
    *, out: Path | None, overwrite: bool, val: tuple[str, ...], quiet: bool, **options: Any
) -> None:
    folder = out or Path("runs/data") / Path(options["sources"][0]).absolute().stem
    sides = {"train": (options["sources"], options["images"])}
    if val:
        sides["val"] = (val, options["val_images"])
    sheets = {name: folder / f"{name}.png" for name in sides}
    refuse_existing([*sheets.values(), *(folder / name for name in _FILES)], overwrite)
    surveys = {name: _survey(name, *side, options, quiet) for name, side in sides.items()}
    shared = Problems()
    if val:
        note_shared(surveys["train"].fingerprints, surveys["val"].fingerprints, shared)
    for name, survey in surveys.items():
        _draw(survey, sheets[name], f"{name}: {', '.join(sides[name][0])}", options)
    values = {name: distributions(survey.data) for name, survey in surveys.items()}
    plot_distributions(values, folder / "distributions.png")
    _write_report(folder / "report.json", surveys, values, shared)
    if not quiet:
        _show(surveys, values, shared)
    notify(str(folder), quiet)


def _survey(
    name: str, sources: Sequence[str], images: Sequence[str], options: Any, quiet: bool
) -> _Survey:
    data, problems = _joined(_load(sources, images, options))
    fingerprints: list[ImageFingerprint] = []
    if not options["quick"]:
        with progress(name, len(data), quiet) as tick:
            for record, look in zip(data, look_at_all(data, problems), strict=True):
                fingerprints += [look] if look else []
                tick(len(record.annotations))
        note_twins(fingerprints, problems)
    return _Survey(data, problems, fingerprints)


def _load(sources: Sequence[str], images: Sequence[str], options: Any) -> Iterable[Loaded]:
    if len(images) not in (0, 1, len(sources)):
        raise MotError(f"{len(images)} --images for {len(sources)} sources: give one, or one each")
    folders = images if len(images) == len(sources) else [*images, ""][:1] * len(sources)
    words = (options["classes"] or "").split(",")
    common = {
        "format": options["form"] or "",
        "classes": [word.strip() for word in words if word.strip()],
        **{key: options[key] for key in ("split", "boxes", "every")},
    }
    for source, folder in zip(sources, folders, strict=True):
        values = {"annotations": source, "images": folder, **common}
        yield load(build_settings(DataSettings, values, "mot data"), sizes=True)


def _joined(parts: Iterable[Loaded]) -> Loaded:
    loaded, problems = list(parts), Problems()
    names = {part.data.names for part in loaded}
    if len(names) > 1:
        lists = " and ".join(", ".join(each) for each in sorted(names))
        raise MotError(f"the sources have different classes ({lists}): choose with --classes")
    for part in loaded:
        problems.add(part.problems)
    data = loaded[0].data
    if len(loaded) > 1:
        data = DataSet(data.names, chain.from_iterable(part.data for part in loaded))
    return Loaded(data, problems)


def _draw(survey: _Survey, path: Path, title: str, options: Any) -> None:
    """Samples from all over the data; what cannot be read is passed over."""
    rng = np.random.default_rng(options["seed"])
    samples: list[Any] = []
    for index in rng.permutation(len(survey.data)).tolist():
        record = survey.data[index]
        try:
            samples.append((record.name, read_image(record), record.annotations))
        except MotError:
            continue
        if len(samples) == options["samples"]:
            break
    if samples:
        samples.sort(key=lambda sample: sample[0])
        write_bytes(path, cv2.imencode(".png", contact_sheet(samples, title))[1].tobytes())


Values = dict[str, dict[str, FloatArray]]


def _write_report(path: Path, surveys: dict[str, _Survey], values: Values, both: Problems) -> None:
    report: dict[str, Any] = {
        name: {
            "counts": counts_of(survey.data),
            "percentiles": {
                title: dict(zip(map(str, PERCENTILES), percentiles(each), strict=True))
                for title, each in values[name].items()
            },
            "problems": _as_json(survey.problems),
        }
        for name, survey in surveys.items()
    }
    report["both"] = _as_json(both)
    write_text(path, json.dumps(report, indent=1) + "\n")


def _as_json(problems: Problems) -> dict[str, Any]:
    return {
        kind: {"count": count, "examples": problems.examples[kind]}
        for kind, count in problems.counts.items()
    }


def _show(surveys: dict[str, _Survey], values: Values, both: Problems) -> None:
    for name, survey in surveys.items():
        counts = (f"{count} {what}" for what, count in counts_of(survey.data).items() if count)
        print(f"{name}: {', '.join(counts)}")
        print(f"  {'percentile':<{_TITLE}}" + "".join(f"{each:>9}" for each in PERCENTILES))
        for title, each in values[name].items():
            numbers = "".join(f"{number:>9.4g}" for number in percentiles(each))
            print(f"  {title:<{_TITLE}}{numbers}")
        for line in survey.problems.lines():
            print(f"  found: {line}")
    for line in both.lines():
        print(f"found: {line}")


def run_anchors(*, count: int, imgsz: tuple[int, int], seed: int, **options: Any) -> None:
    target = imgsz[0], imgsz[1] or imgsz[0]
    data, problems = _joined(_load(options["sources"], options["images"], options))
    for line in problems.lines():
        notify(f"warning: {line}")
    sizes = network_sizes(data, target)
    try:
        fitted = fit_anchors(sizes, count, seed)
    except ValueError as error:
        raise MotError(f"{options['sources'][0]}: {error}") from None
    numbers = ", ".join(f"{number:g}" for number in fitted.round(1).ravel())
    print(f"anchors = [{numbers}]  # width, height, ... at {target[0]}x{target[1]}")
    _show_fits(sizes, fitted, count)


def _show_fits(sizes: FloatArray, fitted: FloatArray, count: int) -> None:
    for name, anchors in {f"these {count}": fitted, **_known_anchors()}.items():
        fit = measure_fit(sizes, anchors)
        recall = f"{100 * fit.recall:.1f} %"
        print(f"{name:<14} mean IoU {fit.mean_iou:.3f}, recall at IoU 0.5 {recall:>7}")


def _known_anchors() -> dict[str, FloatArray]:
    """Those that come with the networks, where PyTorch is installed, which they need."""
    try:
        from mot.detectors.models.yolov3 import ANCHORS
    except ImportError:
        return {}
    return {
        f"yolov3 {name}": np.array(numbers, np.float32).reshape(-1, 2)
        for name, numbers in ANCHORS.items()
    }


def network_sizes(data: DataSet, target: tuple[int, int]) -> FloatArray:
    """(N, 2) the boxes that count, in pixels of the network's input."""
    from mot.runtime.preprocess import InputSpec, make_letterbox

    sizes = [np.zeros((0, 2), np.float32)]
    for record in data:
        if all(record.size):
            boxes = record.annotations.boxes[~record.annotations.ignored]
            scale = make_letterbox(record.size, InputSpec(), target).scale
            sizes.append((boxes[:, 2:] - boxes[:, :2]) * np.array(scale, np.float32))
    return np.concatenate(sizes)
