"""The work of `mot export`."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from mot.cli.export import Options
from mot.commands.console import refuse_existing, tell
from mot.config import resolve_detector
from mot.detectors import DETECTORS
from mot.detectors.network import DetectorSettings, wanted_size
from mot.detectors.select import has
from mot.errors import MotError
from mot.reid.settings import spec_of
from mot.reid.trained import is_embedder
from mot.runtime.onnx_session import cpu_block
from mot.runtime.preprocess import InputSpec, Size, resolve_input_size
from mot.settings import build_settings, parse_overrides


def run(options: Options) -> None:
    if options.out.suffix.lower() != ".onnx":
        raise MotError(f"--out {options.out}: name a file that ends in .onnx")
    out, inputs = options.out.expanduser(), [options.detector, options.weights or ""]
    refuse_existing([out], options.overwrite, filter(None, inputs))
    if Path(options.detector).is_file() and is_embedder(Path(options.detector)):
        _export_embedder(options, out)
        return
    module, settings = _network(options)
    _need_torch()
    from mot.detectors.export import export, import_onnx

    import_onnx()  # before the work
    model, spec, names, *_ = module.load_model(settings)
    spec = replace(spec, size=_size(options, settings, spec))
    export(model, spec, names, out, options.half, cpu_block())
    tell(f"{out}: {_summary(spec, len(names), out.stat().st_size)}", options.quiet)


def _export_embedder(options: Options, out: Path) -> None:
    given = (options.weights, options.imgsz, options.half, options.settings)
    flags = ("--weights", "--imgsz", "--half", "--set")
    for flag in (flag for flag, value in zip(flags, given, strict=True) if value):
        raise MotError(f"{flag}: {options.detector} is an embedder, which is exported as it is")
    _need_torch()
    from mot.reid.export import export_embedder
    from mot.reid.networks import load_embedder

    model, settings = load_embedder(Path(options.detector))
    export_embedder(model, spec_of(settings), out)
    size = f"crops of {settings.width}x{settings.height}"
    tell(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {size}, {settings.dims} dims", options.quiet)


def _need_torch() -> None:
    if not has("torch"):
        raise MotError("mot export needs PyTorch: pip install 'mot-tracking[torch]'")


def _network(options: Options) -> tuple[Any, Any]:
    """The module that has the network, and the settings for it."""
    name, values, place = resolve_detector(options.detector)
    if name == "onnx":
        raise MotError(f"{options.detector}: is an ONNX file already")
    module_name, _, settings_name = DETECTORS.get(name, ("mot.detectors", "", ""))
    module: Any = import_module(module_name)
    if not hasattr(module, "load_model"):
        raise MotError(f"{options.detector}: has no network that could be exported")
    values = {**values, **parse_overrides(options.settings, ("detector",))["detector"]}
    if options.weights:
        values["weights"] = options.weights
    return module, build_settings(getattr(module, settings_name), values, place)


def _size(options: Options, settings: DetectorSettings, spec: InputSpec) -> Size:
    width, height = options.imgsz or (settings.width, settings.height)
    return resolve_input_size(wanted_size(replace(settings, width=width, height=height)), spec)


def _summary(spec: InputSpec, classes: int, size: int) -> str:
    width, height = spec.size
    others = "alone" if spec.is_fixed else f"or other multiples of {spec.stride}"
    return f"{size / 1e6:.1f} MB, {classes} classes, {width}x{height} {others}"
