"""Settings: TOML to the dataclass beside each component; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Mapping
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from mot.detectors import BY_SUFFIX, DEFAULT_DETECTOR, DETECTORS, ENTRY_POINTS
from mot.errors import MotError, nearest
from mot.trackers import DEFAULT_TRACKER, TRACKERS
from mot.types import Detector, Tracker

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


def load_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise MotError(f"{path}: not a TOML file that can be read ({error})") from None


def shipped(kind: str, name: str) -> dict[str, Any]:
    """The values of a TOML file of `mot/configs`."""
    text = resources.files("mot").joinpath("configs", kind, f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def build(settings: type[Settings], values: Mapping[str, Any], place: str) -> Settings:
    """The dataclass with these values; `place` begins the message about a wrong one."""
    hints = get_type_hints(settings)
    types = {field.name: hints[field.name] for field in dataclasses.fields(settings)}
    for key, value in values.items():
        if key not in types:
            raise MotError(f"{place}: unknown setting {key!r}: {nearest(key, types)}")
        if not _fits(value, types[key]):
            raise MotError(
                f"{place}: {key} = {value!r} must be {_NAMES.get(types[key], types[key])}"
            )
        if isinstance(value, int | float) and not 0 <= value <= _largest(key):
            raise MotError(f"{place}: {key} = {value!r} must lie between 0 and {_largest(key):g}")
    try:
        numbers = {key: float(value) for key, value in values.items() if types[key] is float}
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return settings(**{**values, **numbers, **lists})
    except ValueError as error:
        raise MotError(f"{place}: {error}") from None


_NAMES: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
}


def _largest(key: str) -> float:
    """No setting is negative, and an overlap is a share."""
    return 1.0 if "iou" in key or key == "conf" else float("inf")


def _fits(value: object, wanted: Any) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        # NaN is no setting, nor is a number that no float holds.
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if wanted == tuple[str, ...]:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return not isinstance(wanted, type) or isinstance(value, wanted)


def parse_overrides(pairs: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`--set group.key=value` to {group: {key: value}}, with all of these groups; the value is read
    as TOML, else as text."""
    values: dict[str, dict[str, Any]] = {group: {} for group in groups}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        group, dot, key = name.strip().partition(".")
        if not (equals and dot and key):
            raise MotError(f"--set {pair}: write it as --set {groups[0]}.key=value")
        if group not in values:
            raise MotError(f"--set {pair}: unknown group {group!r}: {nearest(group, groups)}")
        values[group][key] = _parse_value(text.strip())
    return values


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build_tracker(name: str = DEFAULT_TRACKER, **overrides: Any) -> Tracker:
    """A tracker by its name in `TRACKERS`, or by a TOML file with `tracker = "name"` in it."""
    name, values, place = _resolve_tracker(name)
    module_name, class_name, settings_name = TRACKERS[name]
    module = import_module(module_name)
    settings = build(getattr(module, settings_name), {**values, **overrides}, place)
    tracker: Tracker = getattr(module, class_name)(settings)
    return tracker


def _resolve_tracker(name: str) -> tuple[str, dict[str, Any], str]:
    """The registered name, the values of its file, and what to call it in messages."""
    place, values = f"tracker {name}", {}
    if name.endswith(".toml"):
        values = load_toml(Path(name))
        place, name = name, str(values.pop("tracker", ""))
        if not name:
            raise MotError(f'{place}: names no tracker: add tracker = "{DEFAULT_TRACKER}"')
    elif name in TRACKERS:
        values = shipped("trackers", name)
    if name not in TRACKERS:
        raise MotError(f"unknown tracker {name!r}: {nearest(name, TRACKERS)}")
    return name, values, place


def build_detector(
    name: str = DEFAULT_DETECTOR, tiles: str | None = None, **overrides: Any
) -> Detector:
    """A new detector, by its name, by a TOML file with `detector = "name"` in it, or by a file
    that holds a network. `tiles` such as 2x2: it looks at parts of the pictures too."""
    detector = _build_detector(name, overrides)
    if not tiles:
        return detector
    if getattr(detector, "remembers", False):
        raise MotError(
            f"--tiles: the detector {name} remembers its last picture: it takes no tiles"
        )
    from mot.detectors.tiles import TiledDetector, parse_tiling

    told = getattr(detector, "settings", None)
    same = getattr(told, "nms_iou", overrides.get("nms_iou", 0.5))
    return TiledDetector(detector, parse_tiling(tiles), same)


def _build_detector(name: str, overrides: Mapping[str, Any]) -> Detector:
    name, values, place = resolve_detector(name)
    if name not in DETECTORS:
        return _build_plugin(name, {**values, **overrides})
    factory, kind = _import_detector(name)
    detector: Detector = factory(build(kind, {**values, **overrides}, place))
    return detector


def _import_detector(name: str) -> tuple[Any, Any]:
    """What makes a detector of `DETECTORS`, and the class of its settings."""
    module_name, factory, settings = DETECTORS[name]
    module = import_module(module_name)
    return getattr(module, factory), getattr(module, settings)


def detector_settings(name: str) -> frozenset[str]:
    """What a detector can be told; of one from another package, anything."""
    name, _, _ = resolve_detector(name)
    if name not in DETECTORS:
        return frozenset(("conf", "classes"))
    return frozenset(field.name for field in dataclasses.fields(_import_detector(name)[1]))


def detector_settings_for(
    tracker: Mapping[str, Any], name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """What a detector is told, so that a tracker with these settings gets the low scores that it
    makes use of, and one that has no use for them none, where the detector tells from which score
    on it is sure; who gives `conf`, here or in a TOML file, has chosen otherwise."""
    if "conf" in given or "conf" not in detector_settings(name):
        return dict(given)
    registered, values, _ = resolve_detector(name)
    if registered not in DETECTORS or (name.endswith(".toml") and "conf" in values):
        return dict(given)
    low = tracker.get("track_low_thresh")
    sure = getattr(_import_detector(registered)[1], "SURE", None)
    conf = sure if low is None else min(low, default_conf(name))
    return dict(given) if conf is None else {**given, "conf": conf}


def default_conf(name: str) -> float:
    """The least score that a detector of `DETECTORS` tells, unless it is told another."""
    registered, values, _ = resolve_detector(name)
    fields = dataclasses.fields(_import_detector(registered)[1])
    usual = {field.name: field.default for field in fields}
    return float(values.get("conf", usual["conf"]))


def resolve_detector(name: str) -> tuple[str, dict[str, Any], str]:
    """The registered name, the values of its file, and what to call it in messages."""
    place, values = f"detector {name}", {}
    name = _file_of_model(name)
    suffix = Path(name).suffix.lower()
    if suffix == ".toml":
        values = load_toml(Path(name))
        place, name = name, str(values.pop("detector", ""))
        if not name:
            raise MotError(f'{place}: names no detector: add detector = "{DEFAULT_DETECTOR}"')
    elif suffix in BY_SUFFIX:
        if not Path(name).is_file():
            raise MotError(f"{name}: no such file")
        place, values, name = name, {"model": name}, BY_SUFFIX[suffix]
    elif name in DETECTORS:
        values = shipped("detectors", name)
    if name not in DETECTORS and name not in _entry_points():
        raise MotError(_unknown(name))
    return name, values, place


def _unknown(name: str) -> str:
    from mot.model_zoo import known_models

    if name in known_models():
        return f"detector {name}: is known, but not on this machine: mot models get {name}"
    if name.endswith(".weights"):
        return f"{name}: Darknet's weights need their drawing: --detector NETWORK.cfg"
    known = [*DETECTORS, *_entry_points()]
    return f"unknown detector {name!r}: {nearest(name, known)}"


def _file_of_model(name: str) -> str:
    """The file of a known model that is on this machine; other names as they are."""
    if name in DETECTORS or name in _entry_points():
        return name
    from mot.model_zoo import installed_file

    return str(installed_file(name) or name)


def _entry_points() -> dict[str, Any]:
    """The detectors that other packages add: functions that take settings and give a detector."""
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}


def _build_plugin(name: str, values: Mapping[str, Any]) -> Detector:
    point = _entry_points()[name]
    try:
        detector: Detector = point.load()(**values)
    except MotError:
        raise
    except Exception as error:  # whatever another package may raise
        raise MotError(f"detector {name} of another package ({point.value}): {error}") from error
    return detector


def settings_of(component: Any) -> dict[str, Any]:
    """The resolved settings of a tracker or detector, as they go into `run.json`."""
    settings = getattr(component, "settings", None)
    return dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) else {}  # type: ignore[arg-type]
