"""Settings dataclasses from untrusted values: unknown keys, types and bounds are checked."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from mot.errors import MotError, suggest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
_INFINITY = float("inf")
_TYPE_NAMES: dict[Any, str] = {
    float: "a number",
    int: "an integer",
    bool: "true or false",
    str: "a string",
    tuple[str, ...]: "a list of strings",
}


def bounds(min: float = 0.0, max: float = _INFINITY) -> dict[str, float]:
    """Metadata of a numeric field: `field(default=0.5, metadata=bounds(max=1))`.

    A numeric field without it must not be negative.
    """
    return {"min": min, "max": max}


def build_settings(kind: type[Settings], values: Mapping[str, Any], source: str) -> Settings:
    """An instance of a settings dataclass; `source` (a file, a flag) begins every error message."""
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            raise MotError(f"{source}: unknown setting {key!r}: {suggest(key, fields)}")
        if not _has_type(value, hints[key]):
            wanted = _TYPE_NAMES.get(hints[key], hints[key])
            raise MotError(f"{source}: {key} = {value!r} must be {wanted}")
        if isinstance(value, int | float):
            _check_bounds(key, value, fields[key].metadata, source)
    floats = {key: float(value) for key, value in values.items() if hints[key] is float}
    tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    try:
        return kind(**{**values, **floats, **tuples})
    except ValueError as error:
        raise MotError(f"{source}: {error}") from None


def _check_bounds(key: str, value: float, metadata: Mapping[str, float], source: str) -> None:
    low, high = metadata.get("min", 0.0), metadata.get("max", _INFINITY)
    if not low <= value <= high:
        raise MotError(f"{source}: {key} = {value!r} must lie between {low:g} and {high:g}")


def _has_type(value: object, wanted: Any) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:  # neither NaN nor an integer too large for a float
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if wanted == tuple[str, ...]:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return not isinstance(wanted, type) or isinstance(value, wanted)


def load_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; anything that is none is a `MotError`."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MotError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise MotError(f"{path}: not a readable TOML file ({error})") from None


def parse_overrides(pairs: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`--set group.key=value` as {group: {key: value}}; values are TOML, or else strings."""
    values: dict[str, dict[str, Any]] = {group: {} for group in groups}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        group, dot, key = name.strip().partition(".")
        if not (equals and dot and key):
            raise MotError(f"--set {pair}: write it as --set {groups[0]}.key=value")
        if group not in values:
            raise MotError(f"--set {pair}: unknown group {group!r}: {suggest(group, groups)}")
        values[group][key] = _parse_value(text.strip())
    return values


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def settings_of(component: object) -> dict[str, Any]:
    """The resolved settings of a tracker or detector, as `run.json` stores them."""
    settings = getattr(component, "settings", None)
    return dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) else {}  # type: ignore[arg-type]
