"""Metadata of ONNX files: class names, input size and preprocessing."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mot.errors import MotError
from mot.runtime.preprocess import InputSpec, Size

KEY = "mot"
_MAX_LENGTH = 1 << 16  # characters of a text that is parsed
_MAX_SIDE = 1 << 13


@dataclass(frozen=True, slots=True)
class ExporterMetadata:
    """Metadata that other exporters write."""

    names: tuple[str, ...] = ()
    size: Size | None = None
    stride: int = 32


def make_metadata(spec: InputSpec, names: Sequence[str]) -> dict[str, str]:
    """Metadata of an exported file; an embedder has no class names."""
    return {KEY: json.dumps({"names": list(names), **dataclasses.asdict(spec)})}


def read_mot_metadata(
    path: Path, metadata: Mapping[str, str]
) -> tuple[InputSpec, tuple[str, ...]] | None:
    """Input format and class names of a detector that mot exported; None for other files."""
    if KEY not in metadata:
        return None
    try:
        record = json.loads(metadata[KEY])
        names = tuple(str(name) for name in record.pop("names"))
        if not names:
            raise MotError(f"{path}: is an embedder, not a detector: give it as --embedder")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
        }
        return _check_spec(InputSpec(**values)), names
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise MotError(f"{path}: its metadata {KEY!r} is damaged: export it again") from None


def _check_spec(spec: InputSpec) -> InputSpec:
    default = InputSpec()
    for field in dataclasses.fields(InputSpec):
        value, like = getattr(spec, field.name), getattr(default, field.name)
        parts, kinds = (value, like) if isinstance(like, tuple) else ((value,), (like,))
        for part, kind in zip(parts, kinds, strict=True):
            if isinstance(part, bool) != isinstance(kind, bool) or not abs(part) < 1 << 20:
                raise ValueError(field.name)
    if not _are_sides((*spec.size, spec.stride)):
        raise ValueError("size")
    if not (isinstance(spec.margin, int) and 0 <= spec.margin <= 255 and min(spec.std) > 0):
        raise ValueError("margin or std")
    return spec


def read_exporter_metadata(path: Path, metadata: Mapping[str, str]) -> ExporterMetadata:
    """Reads `names`, `imgsz` (height, width) and `stride`, as several exporters write them."""
    names = _literal(path, metadata, "names")
    if isinstance(names, dict):
        names = [names[number] for number in sorted(names)]
    sides, stride = _literal(path, metadata, "imgsz"), _literal(path, metadata, "stride")
    return ExporterMetadata(
        names=tuple(map(str, names)) if isinstance(names, list | tuple) else (),
        size=(sides[1], sides[0]) if _are_sides(sides) and len(sides) == 2 else None,
        stride=stride if _are_sides([stride]) else 32,
    )


def _are_sides(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(value, int) and 0 < value <= _MAX_SIDE for value in values
    )


def _literal(path: Path, metadata: Mapping[str, str], key: str) -> Any:
    """Python literal of a key; no code runs."""
    if key not in metadata:
        return None
    try:
        if len(metadata[key]) > _MAX_LENGTH:
            raise ValueError("too long")
        value = ast.literal_eval(metadata[key])
        return dict(sorted(value.items())) if isinstance(value, dict) else value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise MotError(f"{path}: its metadata {key!r} cannot be read: export it again") from None
