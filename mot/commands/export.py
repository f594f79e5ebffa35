"""`mot export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mot.commands.console import notify, refuse_existing
from mot.config import resolve_detector
from mot.detectors import DETECTORS, import_name
from mot.detectors.network import DetectorSettings
from mot.errors import MotError
from mot.reid.open import is_embedder
from mot.runtime.devices import is_installed
from mot.runtime.onnx_session import cpu_block
from mot.runtime.preprocess import InputSpec, Size, resolve_input_size
from mot.settings import build_settings, parse_overrides

if TYPE_CHECKING:
    from mot.detectors.select import TorchModel


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The flags of `mot export`, as given."""

    detector: str
    out: Path
    weights: str | None
    imgsz: tuple[int, int] | None  # the second is 0 where only one was given
    half: bool
    settings: tuple[str, ...]  # KEY=VALUE
    overwrite: bool
    quiet: bool


def run(options: ExportOptions) -> None:
    if options.out.suffix.lower() != ".onnx":
        raise MotError(f"--out {options.out}: name a file that ends in .onnx")
    out, inputs = options.out.expanduser(), [options.detector, options.weights or ""]
    refuse_existing([out], options.overwrite, filter(None, inputs))
    if Path(options.detector).is_file() and is_embedder(Path(options.detector)):
        _export_embedder(options, out)
        return
    load, settings = _find_network(options)
    _need_torch()
    from mot.detectors.export import export
    from mot.runtime.export import import_onnx

    import_onnx()  # before the work
    loaded = load(settings)
    spec = replace(loaded.spec, size=_size(options, settings, loaded.spec))
    export(loaded.model, spec, loaded.names, out, options.half, cpu_block())
    notify(f"{out}: {_summary(spec, len(loaded.names), out.stat().st_size)}", options.quiet)


def _export_embedder(options: ExportOptions, out: Path) -> None:
    given = (options.weights, options.imgsz, options.half, options.settings)
    flags = ("--weights", "--imgsz", "--half", "--set")
    for flag in (flag for flag, value in zip(flags, given, strict=True) if value):
        raise MotError(f"{flag}: {options.detector} is an embedder, which is exported as it is")
    _need_torch()
    from mot.reid.export import export_embedder
    from mot.reid.networks import load_embedder

    model, settings = load_embedder(Path(options.detector))
    export_embedder(model, settings.input_spec, out)
    size = f"crops of {settings.width}x{settings.height}"
    notify(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {size}, {settings.dims} dims", options.quiet)


def _need_torch() -> None:
    if not is_installed("torch"):
        raise MotError("mot export needs PyTorch: pip install 'mot-tracking[torch]'")


def _find_network(
    options: ExportOptions,
) -> tuple[Callable[[DetectorSettings], TorchModel], DetectorSettings]:
    """The function that loads the network, and its settings."""
    name, values, place = resolve_detector(options.detector)
    if name == "onnx":
        raise MotError(f"{options.detector}: is an ONNX file already")
    entry = DETECTORS.get(name)
    if entry is None or not entry.load:
        raise MotError(f"{options.detector}: has no network that could be exported")
    values = {**values, **parse_overrides(options.settings, ("detector",))["detector"]}
    if options.weights:
        values["weights"] = options.weights
    settings: DetectorSettings = build_settings(import_name(entry.settings), values, place)
    return import_name(entry.load), settings


def _size(options: ExportOptions, settings: DetectorSettings, spec: InputSpec) -> Size:
    width, height = options.imgsz or (settings.width, settings.height)
    return resolve_input_size(replace(settings, width=width, height=height).input_size, spec)


def _summary(spec: InputSpec, classes: int, size: int) -> str:
    width, height = spec.size
    others = "alone" if spec.is_fixed else f"or other multiples of {spec.stride}"
    return f"{size / 1e6:.1f} MB, {classes} classes, {width}x{height} {others}"
