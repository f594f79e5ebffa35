"""Networks from ONNX files, on ONNX Runtime: no torch is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mot.detectors.coco import COCO, usual_names
from mot.detectors.network import Candidates, DetectorSettings, NetworkDetector
from mot.detectors.onnx.outputs import Array, Pair
from mot.detectors.onnx.styles import UNDERSTOOD, Style, Unknown, recognise
from mot.errors import MotError
from mot.runtime.onnx_metadata import Hints, read_hints, read_own
from mot.runtime.onnx_session import Input, Session
from mot.runtime.preprocess import InputSpec, normalize
from mot.types import Image, IntArray

OUTPUTS = ("boxes", "scores", "embeddings")  # of our own files; the last where there are any


@dataclass(frozen=True, slots=True)
class OnnxSettings(DetectorSettings):
    model: str = ""  # the .onnx
    threads: int = 0  # of the CPU; 0: all
    whole: bool = False  # its boxes go on beyond the edges, where the file does not tell


def build(settings: OnnxSettings) -> NetworkDetector:
    if not settings.model:
        raise MotError("the detector onnx needs a file: --detector NETWORK.onnx")
    for flag in ("weights", "partial"):
        if getattr(settings, flag):
            raise MotError(f"--{flag}: {settings.model} holds its own weights: leave the flag out")
    network = OnnxNetwork(settings.model, settings.device, settings.threads)
    network.spec = replace(network.spec, whole=settings.whole or network.spec.whole)
    return NetworkDetector(network, settings)


class OnnxNetwork:
    """Runs a file of `mot export`, or one that another exporter wrote in a common form."""

    def __init__(self, path: str | Path, device: str = "auto", threads: int = 0) -> None:
        self._session = session = Session(Path(path), device, threads)
        self.workers = session.workers
        self.path = session.path
        own = read_own(session.path, session.metadata)
        if own:
            self.spec, self.names = own
            self._style = _own_style(session, len(self.names))
            return
        hints = read_hints(session.path, session.metadata)
        self.spec = _guess_spec(session.input, hints)
        self._style = _recognise(session, self.spec, hints)
        if self._style.sees_bytes:
            self.spec = replace(self.spec, std=(1 / 255,) * 3, is_rgb=False)
        self.names = hints.names or usual_names(self._style.classes or len(COCO))

    def find(self, canvas: Image, least: float, labels: IntArray) -> list[Candidates]:
        step = self._session.input.batch or len(canvas)
        starts = range(0, len(canvas), step)
        parts = (self._find(canvas[start : start + step], least, labels) for start in starts)
        return [found for part in parts for found in part]

    def _find(self, canvas: Image, least: float, labels: IntArray) -> Iterator[Candidates]:
        _, height, width, _ = canvas.shape
        blob = _blob(canvas, self.spec, self._session.input)
        outputs = self._session.run(blob, self._style.outputs)
        return self._style.reader(
            [each[: len(canvas)] for each in outputs], (width, height), least, labels
        )


def _blob(canvas: Image, spec: InputSpec, wanted: Input) -> Array:
    """What the file takes; a batch that must be larger is filled up with black."""
    if wanted.batch > len(canvas):
        missing = np.zeros((wanted.batch - len(canvas), *canvas.shape[1:]), np.uint8)
        canvas = np.concatenate([canvas, missing])
    if wanted.kind is not np.uint8:
        blob = normalize(canvas, spec).astype(wanted.kind, copy=False)
        return blob if wanted.is_planar else np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
    pixels = canvas[..., ::-1] if spec.is_rgb else canvas
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) if wanted.is_planar else pixels)


def _own_style(session: Session, classes: int) -> Style:
    there = tuple(name for name in OUTPUTS if name in session.outputs)
    if there[:2] != OUTPUTS[:2] or session.outputs["scores"][-1:] != [classes]:
        raise MotError(f"{session.path}: not as `mot export` writes it: export it again")
    return Style(there, Pair(), classes)


def _guess_spec(wanted: Input, hints: Hints) -> InputSpec:
    """RGB from 0 to 1, as most exporters leave it."""
    if wanted.size:
        return InputSpec(wanted.size, stride=1, is_fixed=True)
    return InputSpec(hints.size or (640, 640), hints.stride)


def _recognise(session: Session, spec: InputSpec, hints: Hints) -> Style:
    noise = np.random.default_rng(0).integers(0, 256, (1, *spec.size[::-1], 3), np.uint8)
    arrays = session.run(_blob(noise, spec, session.input), tuple(session.outputs))
    outputs = dict(zip(session.outputs, arrays, strict=True))
    try:
        return recognise(outputs, spec.size, len(hints.names))
    except Unknown as unknown:
        told = ", ".join(f"{name} {_dims(array)}" for name, array in outputs.items())
        fault = f" ({unknown})" if str(unknown) else ""
        raise MotError(
            f"{session.path}: outputs that are not understood: {told}{fault}; "
            f"understood are {UNDERSTOOD}"
        ) from None


def _dims(array: Array) -> str:
    return f"({','.join(map(str, array.shape))})"
