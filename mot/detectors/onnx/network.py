"""Detector networks in ONNX files, on ONNX Runtime: works without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.detectors.coco import COCO, default_names
from mot.detectors.network import DetectorSettings, NetworkDetector, RawDetections
from mot.detectors.onnx.outputs import Pair
from mot.detectors.onnx.styles import SUPPORTED, Style, UnknownStyle, detect_style
from mot.errors import MotError
from mot.runtime.cpu import usable_cpus
from mot.runtime.onnx_metadata import ExporterMetadata, read_exporter_metadata, read_mot_metadata
from mot.runtime.onnx_session import Array, Session
from mot.runtime.preprocess import InputSpec, Size, normalize
from mot.types import Image, IntArray

OUTPUTS = ("boxes", "scores", "embeddings")  # of files that mot exported; embeddings are optional
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
# A second thread speeds up a small network little, but doubles the throughput on another image.
_MAX_WORKERS = 4


@dataclass(frozen=True, slots=True)
class OnnxSettings(DetectorSettings):
    model: str = ""  # the .onnx file
    threads: int = 0  # of the CPU; 0: all
    amodal: bool = False  # boxes may extend beyond the image, if the file does not say


def build(settings: OnnxSettings) -> NetworkDetector:
    if not settings.model:
        raise MotError("the detector onnx needs a file: --detector NETWORK.onnx")
    for flag in ("weights", "partial"):
        if getattr(settings, flag):
            raise MotError(f"--{flag}: {settings.model} contains its weights: leave the flag out")
    network = OnnxNetwork(settings.model, settings.device, settings.threads)
    network.spec = replace(network.spec, amodal=settings.amodal or network.spec.amodal)
    return NetworkDetector(network, settings)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The image input of a file."""

    dtype: npt.DTypeLike
    is_planar: bool  # (B, 3, H, W), otherwise (B, H, W, 3)
    batch: int  # 0: any
    size: Size | None  # None: any


class OnnxNetwork:
    """Runs a file of `mot export`, or of another exporter in a common output style."""

    def __init__(self, path: str | Path, device: str = "auto", threads: int = 0) -> None:
        threads = threads or usable_cpus()
        self.workers = min(threads, _MAX_WORKERS)
        # Threads of the operators, beside the workers.
        self._session = session = Session(Path(path), device, threads - self.workers + 1)
        self.path = session.path
        self._input = _read_input(session)
        own = read_mot_metadata(session.path, session.metadata)
        if own:
            self.spec, self.names = own
            self._style = _own_style(session, len(self.names))
            return
        metadata = read_exporter_metadata(session.path, session.metadata)
        self.spec = _default_spec(self._input, metadata)
        self._style = self._detect_style(metadata)
        if self._style.takes_bytes:
            self.spec = replace(self.spec, std=(1 / 255,) * 3, is_rgb=False)
        self.names = metadata.names or default_names(self._style.classes or len(COCO))

    def predict(self, canvas: Image, min_score: float, labels: IntArray) -> list[RawDetections]:
        step = self._input.batch or len(canvas)
        starts = range(0, len(canvas), step)
        parts = (self._predict(canvas[start : start + step], min_score, labels) for start in starts)
        return [found for part in parts for found in part]

    def _predict(
        self, canvas: Image, min_score: float, labels: IntArray
    ) -> Iterator[RawDetections]:
        _, height, width, _ = canvas.shape
        outputs = self._session.run(self._to_input(canvas), self._style.outputs)
        return self._style.reader(
            [each[: len(canvas)] for each in outputs], (width, height), min_score, labels
        )

    def _to_input(self, canvas: Image) -> Array:
        """Input array of a canvas; black images fill up a larger fixed batch."""
        wanted, spec = self._input, self.spec
        if wanted.batch > len(canvas):
            missing = np.zeros((wanted.batch - len(canvas), *canvas.shape[1:]), np.uint8)
            canvas = np.concatenate([canvas, missing])
        if wanted.dtype is not np.uint8:
            blob = normalize(canvas, spec).astype(wanted.dtype, copy=False)
            return blob if wanted.is_planar else np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
        pixels = canvas[..., ::-1] if spec.is_rgb else canvas
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) if wanted.is_planar else pixels)

    def _detect_style(self, metadata: ExporterMetadata) -> Style:
        """Runs the network on noise and reads the output style from the result."""
        noise = np.random.default_rng(0).integers(0, 256, (1, *self.spec.size[::-1], 3), np.uint8)
        names = [each.name for each in self._session.outputs]
        arrays = self._session.run(self._to_input(noise), names)
        outputs = dict(zip(names, arrays, strict=True))
        try:
            return detect_style(outputs, self.spec.size, len(metadata.names))
        except UnknownStyle as unknown:
            shapes = ", ".join(
                f"{name} ({','.join(map(str, array.shape))})" for name, array in outputs.items()
            )
            reason = f" ({unknown})" if str(unknown) else ""
            raise MotError(
                f"{self.path}: unknown outputs: {shapes}{reason}; supported are {SUPPORTED}"
            ) from None


def _read_input(session: Session) -> ImageInput:
    inputs = session.inputs
    found = ", ".join(f"{each.name} {each.shape} {each.type}" for each in inputs)
    error = MotError(
        f"{session.path}: has the inputs {found}: a detector has a single input of images, "
        "(B,3,H,W) or (B,H,W,3) in float, float16 or uint8"
    )
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _DTYPES:
        raise error
    batch, *sides = (side if isinstance(side, int) and side > 0 else 0 for side in inputs[0].shape)
    is_planar = sides[0] == 3 or sides[2] != 3
    channels, height, width = sides if is_planar else (sides[2], sides[0], sides[1])
    if channels not in (0, 3) or (height == 0) != (width == 0):
        raise error
    size = (width, height) if width else None
    return ImageInput(_DTYPES[inputs[0].type], is_planar, batch, size)


def _own_style(session: Session, classes: int) -> Style:
    shapes = {each.name: each.shape for each in session.outputs}
    outputs = tuple(name for name in OUTPUTS if name in shapes)
    if outputs[:2] != OUTPUTS[:2] or shapes["scores"][-1:] != [classes]:
        raise MotError(f"{session.path}: not as `mot export` writes it: export it again")
    return Style(outputs, Pair(), classes)


def _default_spec(image_input: ImageInput, metadata: ExporterMetadata) -> InputSpec:
    """RGB from 0 to 1, the most common format."""
    if image_input.size:
        return InputSpec(image_input.size, stride=1, is_fixed=True)
    return InputSpec(metadata.size or (640, 640), metadata.stride)
