"""Network detectors: images are preprocessed, batched and run; NMS filters the raw detections."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any, ClassVar, Protocol

import numpy as np

from mot import boxes
from mot.detectors.nms import KINDS, NmsSettings, nms
from mot.errors import MachineError, MotError, suggest
from mot.runtime.devices import OutOfMemory
from mot.runtime.preprocess import (
    InputSpec,
    Letterbox,
    Size,
    as_bgr,
    make_batch,
    match_aspect,
    resolve_input_size,
)
from mot.settings import bounds
from mot.types import FARTHEST, Detections, Detector, FloatArray, Image, IntArray

_PERSON_NAMES = ("person", "body", "pedestrian")


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Settings of every network detector."""

    # Precision and recall are best balanced from this score on; None: unknown.
    sure_score: ClassVar[float | None] = None

    weights: str = ""  # file, unless the detector's name implies it
    partial: bool = False  # load the weights that fit; the rest stays untrained
    width: int = 0  # pixels of the network input; 0: the network's default
    height: int = 0
    conf: float = field(default=0.25, metadata=bounds(max=1))  # minimum score
    nms: str = "hard"
    nms_iou: float = field(default=0.5, metadata=bounds(max=1))  # maximum IoU of two detections
    classes: tuple[str, ...] = ()  # names or numbers; empty: persons, or all if there are none
    batch: int = 1  # images at a time
    device: str = "auto"  # cpu, cuda, cuda:1
    half: bool = False  # 16-bit floats, if the device has them
    max_det: int = 300  # maximum detections per image
    runtime: str = "auto"  # or torch, onnx

    def __post_init__(self) -> None:
        for key in ("batch", "max_det"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be at least 1")
        if self.nms not in KINDS:
            raise ValueError(f"nms = {self.nms!r}: {suggest(self.nms, KINDS)}")

    @property
    def input_size(self) -> Size | int | None:
        """The requested input size, as `resolve_input_size` takes it."""
        if self.width and self.height:
            return self.width, self.height
        return self.width or self.height or None


def common_settings(settings: DetectorSettings) -> dict[str, Any]:
    """Those that every network detector has, by name."""
    return {each.name: getattr(settings, each.name) for each in fields(DetectorSettings)}


@dataclass(frozen=True, slots=True, eq=False)
class RawDetections:
    """What a network detects in one image, before NMS."""

    boxes: FloatArray  # (N, 4) xyxy in pixels of the network input
    scores: FloatArray  # (N,)
    labels: IntArray  # (N,) from 0
    embeddings: FloatArray | None = None  # (N, D)


class Network(Protocol):
    """A detection network on some runtime."""

    spec: InputSpec
    names: tuple[str, ...]  # of the classes
    workers: int  # number of threads that should call `predict` at a time

    def predict(self, canvas: Image, min_score: float, labels: IntArray) -> list[RawDetections]:
        """Raw detections for each image of a batch; raises `OutOfMemory` if it is too large.

        Args:
            canvas: (B, H, W, 3) uint8 BGR, of a size that `spec` allows.
            min_score: minimum score of a detection.
            labels: classes to return, in ascending order.
        """
        ...


class NetworkDetector(Detector):
    """Detects objects in images of any sizes with a network.

    Called with a list of (H, W, 3) uint8 BGR images, also grey or BGRA, it returns `Detections` in
    pixels of each image. If the device runs out of memory, it goes on with smaller batches.
    """

    def __init__(
        self, network: Network, settings: DetectorSettings, follows_shape: bool = False
    ) -> None:
        """`follows_shape`: without a requested size, the input has the aspect ratio of the image
        and about as many pixels as the default."""
        self.settings = settings
        self.network = network
        self.names = network.names
        self.workers = network.workers
        self.batch = settings.batch
        self.labels = choose_classes(settings.classes, network.names)
        self._size = resolve_input_size(settings.input_size, network.spec)
        self._follows_shape = follows_shape and settings.input_size is None
        self._batch = settings.batch
        self._nms = NmsSettings(
            kind=settings.nms,
            iou=settings.nms_iou,
            max_detections=settings.max_det,
            score_floor=settings.conf,  # soft NMS lowers some scores below it
        )

    @property
    def size(self) -> Size:
        """Width and height of the network input, or of one with about as many pixels."""
        return self._size

    def __call__(self, images: list[Image]) -> list[Detections]:
        found: list[Detections] = []
        while len(found) < len(images):
            batch = [as_bgr(image) for image in images[len(found) : len(found) + self._batch]]
            try:
                found += self._detect(batch)
            except OutOfMemory:
                self._halve_batch(len(batch))
        return found

    def _detect(self, images: Sequence[Image]) -> list[Detections]:
        groups = groupby(images, self._input_size)
        return [each for size, group in groups for each in self._detect_at(size, list(group))]

    def _input_size(self, image: Image) -> Size:
        if not self._follows_shape:
            return self._size
        height, width = image.shape[:2]
        return match_aspect(self._size, (width, height), self.network.spec.stride)

    def _detect_at(self, size: Size, images: Sequence[Image]) -> list[Detections]:
        canvas, letterboxes = make_batch(images, self.network.spec, size)
        raw = self.network.predict(canvas, self.settings.conf, self.labels)
        return list(self._postprocess(raw, letterboxes))

    def _postprocess(
        self, raw: Sequence[RawDetections], letterboxes: Sequence[Letterbox]
    ) -> Iterator[Detections]:
        for each, letterbox in zip(raw, letterboxes, strict=True):
            kept = nms(each.boxes, each.scores, each.labels, self._nms)
            restored = letterbox.restore(kept.boxes)
            inside = boxes.clip(restored, *letterbox.size)
            valid = np.all(inside[:, 2:] > inside[:, :2], axis=1)  # not in the padding alone
            valid &= (np.abs(restored) < FARTHEST / 2).all(axis=1)
            embeddings = None if each.embeddings is None else each.embeddings[kept.rows[valid]]
            yield Detections(restored[valid], kept.scores[valid], kept.labels[valid], embeddings)

    def _halve_batch(self, failed: int) -> None:
        if failed == 1:
            raise MachineError("the device has no memory for one image: give a smaller --imgsz")
        self._batch = failed // 2
        print(f"mot: out of memory: going on with --batch {self._batch}", file=sys.stderr)


def choose_classes(wanted: Sequence[str], names: Sequence[str]) -> IntArray:
    """Labels of classes given by name or number; by default persons, or all if there are none."""
    if not wanted:
        persons = [label for label, name in enumerate(names) if name in _PERSON_NAMES]
        return np.array(persons or range(len(names)), np.int64)
    labels = [_find_label(word, names) for word in wanted]
    return np.unique(np.array(labels, np.int64))


def _find_label(word: str, names: Sequence[str]) -> int:
    if word in names:
        return names.index(word)
    if word == "person" and len(names) == 1:
        return 0
    if not word.isdecimal():
        raise MotError(f"--classes {word}: {suggest(word, names)}")
    if int(word) >= len(names):
        raise MotError(f"--classes {word}: the network has {len(names)} classes, from 0")
    return int(word)
