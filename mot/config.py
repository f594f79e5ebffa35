"""Trackers and detectors by name: TOML, flags and defaults to built components."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import Any, NamedTuple

from mot.detectors import BY_SUFFIX, DEFAULT_DETECTOR, DETECTORS, ENTRY_POINTS, import_name
from mot.errors import MotError, suggest
from mot.settings import build_settings, load_toml
from mot.trackers import DEFAULT_TRACKER, TRACKERS
from mot.types import Detector, Tracker, Tracks


class Resolved(NamedTuple):
    """A component's registered name, the values of its settings file, and the name in messages."""

    name: str
    values: dict[str, Any]
    source: str


def load_shipped(kind: str, name: str) -> dict[str, Any]:
    """The values of a TOML file in `mot/configs`."""
    text = resources.files("mot").joinpath("configs", kind, f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def build_tracker(name: str = DEFAULT_TRACKER, **overrides: Any) -> Tracker:
    """A new tracker.

    Args:
        name: a name in `mot.trackers.TRACKERS`, or a TOML file with `tracker = "NAME"` in it.
        overrides: settings that replace those of the file, by name.

    >>> tracker = build_tracker("bytetrack", track_buffer=2.0)
    >>> tracker.update([[10, 20, 50, 120, 0.9]]).ids.tolist()
    [1]
    """
    name, values, source = _resolve_tracker(name)
    module, class_name, settings_name = TRACKERS[name]
    kind = getattr(import_module(module), settings_name)
    settings = build_settings(kind, {**values, **overrides}, source)
    tracker: Tracker = getattr(import_module(module), class_name)(settings)
    return tracker


def tracker_from_settings(settings: object) -> Tracker:
    """The tracker that a settings dataclass, such as `ByteTrackSettings()`, belongs to."""
    for module, class_name, settings_name in TRACKERS.values():
        if settings_name == type(settings).__name__:
            tracker: Tracker = getattr(import_module(module), class_name)(settings)
            return tracker
    raise TypeError(f"{type(settings).__name__}: settings of no tracker in mot.trackers")


def as_tracker(tracker: Any) -> Tracker | None:
    """A tracker from a name, a TOML file, a settings dataclass or an object with `update`."""
    if tracker is None or isinstance(tracker, Tracker):
        return tracker
    if isinstance(tracker, str | Path):
        return build_tracker(str(tracker))
    if callable(getattr(tracker, "update", None)):
        return _CustomTracker(tracker)
    return tracker_from_settings(tracker)


class _CustomTracker(Tracker):
    """A user's object with `update(detections, frame)`, and perhaps `reset()`."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    def update(self, detections: Any, image: Any = None, time: float | None = None) -> Tracks:
        tracks: Tracks = self._tracker.update(detections, image)
        return tracks

    def reset(self) -> None:
        if hasattr(self._tracker, "reset"):
            self._tracker.reset()


def _resolve_tracker(name: str) -> Resolved:
    source, values = f"tracker {name}", {}
    if name.endswith(".toml"):
        values = load_toml(Path(name))
        source, name = name, str(values.pop("tracker", ""))
        if not name:
            raise MotError(f'{source}: names no tracker: add tracker = "{DEFAULT_TRACKER}"')
    elif name in TRACKERS:
        values = load_shipped("trackers", name)
    if name not in TRACKERS:
        raise MotError(f"unknown tracker {name!r}: {suggest(name, TRACKERS)}")
    return Resolved(name, values, source)


def build_detector(
    name: str = DEFAULT_DETECTOR, tiles: str | None = None, **overrides: Any
) -> Detector:
    """A new detector.

    Args:
        name: a name in `mot.detectors.DETECTORS` or of another package, a TOML file with
            `detector = "NAME"` in it, or a file that holds a network.
        tiles: COLUMNSxROWS such as "2x2": detects in parts of the image too.
        overrides: settings that replace those of the file, by name.

    >>> import numpy as np
    >>> detector = build_detector("person", conf=0.5)
    >>> detector([np.zeros((270, 480, 3), np.uint8)])
    [Detections(0 objects)]
    """
    detector = _build_detector(name, overrides)
    if not tiles:
        return detector
    if detector.is_stateful:
        raise MotError(f"--tiles: the detector {name} compares frames: it takes no tiles")
    from mot.detectors.tiles import TiledDetector, parse_tiling

    settings = getattr(detector, "settings", None)
    nms_iou = getattr(settings, "nms_iou", overrides.get("nms_iou", 0.5))
    return TiledDetector(detector, parse_tiling(tiles), nms_iou)


def _build_detector(name: str, overrides: Mapping[str, Any]) -> Detector:
    name, values, source = resolve_detector(name)
    values = {**values, **overrides}
    if name not in DETECTORS:
        return _build_plugin(name, values)
    build, kind = _import_detector(name)
    return build(build_settings(kind, values, source))


def _import_detector(name: str) -> tuple[Callable[[Any], Detector], type[Any]]:
    """The function that builds a detector of `DETECTORS`, and its settings dataclass."""
    entry = DETECTORS[name]
    return import_name(entry.build), import_name(entry.settings)


def detector_settings(name: str) -> frozenset[str]:
    """The names of a detector's settings; of one from another package only the common ones."""
    name, _, _ = resolve_detector(name)
    if name not in DETECTORS:
        return frozenset(("conf", "classes"))
    return frozenset(field.name for field in dataclasses.fields(_import_detector(name)[1]))


class ScoreRange(NamedTuple):
    """What is known of a detector's scores before it is built."""

    conf: float | None  # its default `conf`; None: it has no such setting, or it was chosen
    sure_score: float | None  # precision and recall are best balanced from this score on


def score_range(name: str, given: Mapping[str, Any]) -> ScoreRange:
    """The scores of a detector, unless `given` or its TOML file chooses `conf`."""
    registered, values, _ = resolve_detector(name)
    chosen = "conf" in given or (name.endswith(".toml") and "conf" in values)
    if chosen or registered not in DETECTORS or "conf" not in detector_settings(name):
        return ScoreRange(None, None)
    kind = _import_detector(registered)[1]
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    return ScoreRange(float(values.get("conf", defaults["conf"])), kind.sure_score)


def resolve_detector(name: str) -> Resolved:
    """What a detector's name or file stands for."""
    source, values = f"detector {name}", {}
    name = _model_file(name)
    suffix = Path(name).suffix.lower()
    if suffix == ".toml":
        values = load_toml(Path(name))
        source, name = name, str(values.pop("detector", ""))
        if not name:
            raise MotError(f'{source}: names no detector: add detector = "{DEFAULT_DETECTOR}"')
    elif suffix in BY_SUFFIX:
        if not Path(name).is_file():
            raise MotError(f"{name}: no such file")
        source, values, name = name, {"model": name}, BY_SUFFIX[suffix]
    elif name in DETECTORS:
        values = load_shipped("detectors", name)
    if name not in DETECTORS and name not in _entry_points():
        raise MotError(_unknown_detector(name))
    return Resolved(name, values, source)


def _unknown_detector(name: str) -> str:
    from mot.model_zoo import known_models

    if name in known_models():
        return f"detector {name}: is known, but not on this machine: mot models get {name}"
    if name.endswith(".weights"):
        return f"{name}: Darknet weights need their network file: --detector NETWORK.cfg"
    return f"unknown detector {name!r}: {suggest(name, [*DETECTORS, *_entry_points()])}"


def _model_file(name: str) -> str:
    """The file of a known model on this machine; other names unchanged."""
    if name in DETECTORS or name in _entry_points():
        return name
    from mot.model_zoo import installed_file

    return str(installed_file(name) or name)


def _entry_points() -> dict[str, Any]:
    """The detectors of other packages: functions from settings to a detector."""
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}


def _build_plugin(name: str, values: Mapping[str, Any]) -> Detector:
    from mot.detectors.custom import CustomDetector

    point = _entry_points()[name]
    try:
        detector = point.load()(**values)
    except MotError:
        raise
    except Exception as error:  # whatever another package may raise
        raise MotError(f"detector {name} of another package ({point.value}): {error}") from error
    if isinstance(detector, Detector):
        return detector
    return CustomDetector(detector, takes_list=True, batch=int(values.get("batch", 1)))
