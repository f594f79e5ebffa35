"""Embedders: from boxes in an image to appearance embeddings; re-ID networks on ONNX Runtime."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mot.boxes import crop_images
from mot.errors import MotError
from mot.runtime.cpu import usable_cpus
from mot.runtime.onnx_metadata import KEY
from mot.runtime.onnx_session import Session
from mot.runtime.preprocess import Blob, InputSpec, make_batch, normalize
from mot.types import Detections, FloatArray, Frame, Image

# Mean and standard deviation of ImageNet in RGB, which most re-ID networks are trained with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIZE = (128, 256)  # width, height, if the file leaves them open
_BATCH = 64  # crops at a time


class Embedder(Protocol):
    """Computes appearance embeddings of boxes in an image."""

    def __call__(self, image: Image, boxes: FloatArray, /) -> FloatArray:
        """(N, D) float32 unit vectors of (N, 4) xyxy boxes in pixels of the image.

        The vector of a box without pixels in the image is zero.
        """
        ...


class CropEmbedder(ABC):
    """An `Embedder` that cuts the boxes out of the image and embeds the crops."""

    dims: int  # D

    @abstractmethod
    def embed_crops(self, crops: Sequence[Image]) -> FloatArray:
        """(N, D) unit vectors of at least one BGR crop of any size."""

    def __call__(self, image: Image, boxes: FloatArray, /) -> FloatArray:
        crops = crop_images(image, boxes)
        valid = [row for row, crop in enumerate(crops) if crop.size]
        vectors = np.zeros((len(crops), self.dims), np.float32)
        if valid:
            vectors[valid] = self.embed_crops([crops[row] for row in valid])
        return vectors


class OnnxEmbedder(CropEmbedder):
    """A re-ID network in an ONNX file; without PyTorch.

    Crops go through the network in batches. A file with a fixed batch of one runs on several
    threads at once.
    """

    def __init__(self, path: str | Path, threads: int | None = None, device: str = "auto") -> None:
        self.path = Path(path)
        self._threads = threads or min(8, usable_cpus())
        self._session = Session(self.path, device, self._threads)
        self._is_single = _check_input(self._session)
        if self._is_single:
            self._session = Session(self.path, device, 1)
        self._spec = _read_spec(self._session)
        self.size = self._spec.size
        grey = np.full((self.size[1], self.size[0], 3), 128, np.uint8)
        shape = self._run(self._prepare([grey])).shape
        if shape[:1] != (1,) or np.prod(shape) != max(shape):
            raise MotError(
                f"{self.path}: returns {shape} for a crop, not one vector: "
                "a detector is given as --detector"
            )
        self.dims = int(max(shape))

    def embed_crops(self, crops: Sequence[Image]) -> FloatArray:
        parts = [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]
        vectors = np.concatenate([self._run(self._prepare(part)) for part in parts])
        exact = vectors.reshape(len(crops), -1).astype(np.float64)
        length = np.linalg.norm(exact, axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            unit: FloatArray = (exact / np.maximum(length, 1e-12)).astype(np.float32)
        return np.nan_to_num(unit)

    def _prepare(self, crops: Sequence[Image]) -> Blob:
        return normalize(make_batch(crops, self._spec, self.size)[0], self._spec)

    def _run(self, crops: Blob) -> npt.NDArray[np.float32]:
        if not self._is_single:
            return np.asarray(self._session.run(crops)[0])
        with ThreadPoolExecutor(self._threads) as pool:
            each = (crops[index : index + 1] for index in range(len(crops)))
            return np.concatenate(list(pool.map(lambda crop: self._session.run(crop)[0], each)))


def _check_input(session: Session) -> bool:
    """Whether the file only takes a single crop at a time."""
    shapes = [each.shape for each in session.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3:
        found = ", ".join(map(str, shapes))
        raise MotError(f"{session.path}: takes {found}, not crops (N, 3, height, width)")
    count = shapes[0][0]
    is_fixed = isinstance(count, int) and count > 0
    if is_fixed and count != 1:
        raise MotError(
            f"{session.path}: takes {count} crops at a time: export it for one, or for any number"
        )
    return is_fixed


def _read_spec(session: Session) -> InputSpec:
    """Input format from the shape of the input and the metadata of mot, if there is any."""
    height, width = (
        side if isinstance(side, int) and side > 0 else None for side in session.inputs[0].shape[2:]
    )
    try:
        metadata = json.loads(session.metadata.get(KEY, "{}"))
    except ValueError:
        metadata = {}
    values = metadata if isinstance(metadata, dict) else {}
    return InputSpec(
        (width or _SIZE[0], height or _SIZE[1]),
        stride=1,
        mean=_per_channel(session.path, "mean", values.get("mean", _MEAN), -1e6),
        std=_per_channel(session.path, "std", values.get("std", _STD), 1e-6),
        keeps_aspect=False,
    )


def _per_channel(path: Path, name: str, value: Any, minimum: float) -> tuple[float, float, float]:
    try:
        numbers = np.array(value, np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (3,) or not ((numbers >= minimum) & (numbers <= 1e6)).all():
        raise MotError(f"{path}: {name} in its metadata must be three numbers: export it again")
    first, second, third = numbers.tolist()
    return first, second, third


def attach_embeddings(
    frames_with_detections: Iterable[tuple[Frame, Detections]],
    embedder: Embedder,
    recompute: bool = True,
    min_score: float = 0.0,
) -> Iterator[tuple[Frame, Detections]]:
    """Adds embeddings to detections scoring at least `min_score`; those of the others are zero.

    If no detection of a frame scores that much, all are embedded: the tracker may need them.
    `recompute` replaces the detector's own embeddings.
    """
    for frame, detections in frames_with_detections:
        if detections.embeddings is not None and not recompute:
            yield frame, detections
            continue
        if frame.image is None:
            raise MotError(f"frame {frame.index} has no image for --embedder")
        vectors = _embed(embedder, frame.image, detections, min_score) if len(detections) else None
        yield frame, replace(detections, embeddings=vectors)


def _embed(
    embedder: Embedder, image: Image, detections: Detections, min_score: float
) -> FloatArray:
    """(N, D)"""
    chosen = detections.scores >= min_score
    if chosen.all() or not chosen.any():
        return embedder(image, detections.boxes)
    found = embedder(image, detections.boxes[chosen])
    vectors = np.zeros((len(detections), found.shape[1]), np.float32)
    vectors[chosen] = found
    return vectors
