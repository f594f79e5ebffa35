"""A network as a detector: pictures are placed, batched and run; what it finds is thinned out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from mot import boxes
from mot.detectors.nms import KINDS, NmsSettings, nms
from mot.errors import MachineError, MotError, nearest
from mot.runtime.preprocess import (
    InputSpec,
    Letterbox,
    Size,
    as_bgr,
    make_batch,
    resolve_input_size,
    match_aspect,
)
from mot.settings import bounds
from mot.types import FARTHEST, Detections, FloatArray, Image, IntArray

_NMS_KINDS = KINDS.keys() - {"adaptive"}  # whose density no network here predicts


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What every network detector can be told."""

    weights: str = ""  # a file, where the name does not tell it
    partial: bool = False  # read what fits of the weights; the rest stays untrained
    width: int = 0  # pixels of the network's input; 0: the network's own
    height: int = 0
    conf: float = field(
        default=0.25, metadata=bounds(max=1)
    )  # detections of a lower score are left out
    nms: str = "hard"
    nms_iou: float = field(
        default=0.5, metadata=bounds(max=1)
    )  # boxes that overlap by more are taken for one
    classes: tuple[str, ...] = ()  # names or numbers; none: people, else all there are
    batch: int = 1  # pictures at a time
    device: str = "auto"  # cpu, cuda, cuda:1
    half: bool = False  # in 16 bits where the device has them
    max_det: int = 300  # of a picture
    runtime: str = "auto"  # or torch, onnx: what runs it, where either could

    def __post_init__(self) -> None:
        for key in ("batch", "max_det"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} = {getattr(self, key)} must be at least 1")
        if self.nms not in _NMS_KINDS:
            raise ValueError(f"nms = {self.nms!r}: {nearest(self.nms, _NMS_KINDS)}")


def common_settings(settings: DetectorSettings) -> dict[str, Any]:
    """Those that every network detector has, by name."""
    return {each.name: getattr(settings, each.name) for each in fields(DetectorSettings)}


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a network finds in one picture, before overlaps are thinned out."""

    boxes: FloatArray  # (N, 4) xyxy in pixels of the network's input
    scores: FloatArray  # (N,)
    labels: IntArray  # (N,) from 0
    embeddings: FloatArray | None = None  # (N, D)


class OutOfMemory(Exception):
    """The device has no room for so many pictures at a time."""


class Network(Protocol):
    """A network on some run-time."""

    spec: InputSpec
    names: tuple[str, ...]  # of the classes
    workers: int  # threads that should run it at a time

    def find(self, canvas: Image, least: float, labels: IntArray) -> list[Candidates]:
        """Of (B, H, W, 3) uint8 BGR: the candidates of these classes that score `least` or more."""
        ...


class NetworkDetector:
    """Finds the objects in pictures of any sizes."""

    def __init__(
        self, network: Network, settings: DetectorSettings, follows_shape: bool = False
    ) -> None:
        """`follows_shape`: where no size is wanted, an input of the picture's shape."""
        self.settings = settings
        self.network = network
        self.labels = choose_classes(settings.classes, network.names)
        self._size = resolve_input_size(wanted_size(settings), network.spec)
        self._follows_shape = follows_shape and wanted_size(settings) is None
        self._batch = settings.batch
        self._nms = NmsSettings(
            kind=settings.nms,
            iou=settings.nms_iou,
            max_detections=settings.max_det,
            score_floor=settings.conf,  # which soft NMS lowers some below
        )

    @property
    def workers(self) -> int:
        """How many threads should call it at a time."""
        return self.network.workers

    @property
    def size(self) -> Size:
        """Width and height that the network runs at, or of an input as large."""
        return self._size

    def __call__(self, images: list[Image]) -> list[Detections]:
        found: list[Detections] = []
        while len(found) < len(images):
            some = [as_bgr(image) for image in images[len(found) : len(found) + self._batch]]
            try:
                found += self._detect(some)
            except OutOfMemory:
                self._halve_batch(len(some))
        return found

    def _detect(self, images: Sequence[Image]) -> list[Detections]:
        groups = groupby(images, self._size_for)
        return [each for size, alike in groups for each in self._detect_at(size, list(alike))]

    def _size_for(self, image: Image) -> Size:
        if not self._follows_shape:
            return self._size
        height, width = image.shape[:2]
        return match_aspect(self._size, (width, height), self.network.spec.stride)

    def _detect_at(self, size: Size, images: Sequence[Image]) -> list[Detections]:
        canvas, letterboxes = make_batch(images, self.network.spec, size)
        candidates = self.network.find(canvas, self.settings.conf, self.labels)
        return list(self._thin_out(candidates, letterboxes))

    def _thin_out(
        self, candidates: Sequence[Candidates], letterboxes: Sequence[Letterbox]
    ) -> Iterator[Detections]:
        for found, placed in zip(candidates, letterboxes, strict=True):
            kept = nms(found.boxes, found.scores, found.labels, self._nms)
            restored = placed.restore(kept.boxes)
            inside = boxes.clip(restored, *placed.size)
            sound = np.all(inside[:, 2:] > inside[:, :2], axis=1)  # not wholly in the margin
            sound &= (np.abs(restored) < FARTHEST / 2).all(axis=1)
            looks = None if found.embeddings is None else found.embeddings[kept.rows[sound]]
            yield Detections(restored[sound], kept.scores[sound], kept.labels[sound], looks)

    def _halve_batch(self, tried: int) -> None:
        if tried == 1:
            raise MachineError("the device has no room for one picture: give a smaller --imgsz")
        self._batch = tried // 2
        import sys

        print(f"mot: out of memory: going on with --batch {self._batch}", file=sys.stderr)


def wanted_size(settings: DetectorSettings) -> Size | int | None:
    """As `resolve_input_size` takes it."""
    if settings.width and settings.height:
        return settings.width, settings.height
    return settings.width or settings.height or None


def choose_classes(wanted: Sequence[str], names: Sequence[str]) -> IntArray:
    """Numbers of classes, of names or numbers; by default people, else all that there are."""
    if not wanted:
        people = [
            index for index, name in enumerate(names) if name in ("person", "body", "pedestrian")
        ]
        return np.array(people or range(len(names)), np.int64)
    numbers = [_class_number(word, names) for word in wanted]
    return np.unique(np.array(numbers, np.int64))


def _class_number(word: str, names: Sequence[str]) -> int:
    if word in names:
        return names.index(word)
    if word == "person" and len(names) == 1:
        return 0
    if not word.isdecimal():
        raise MotError(f"--classes {word}: {nearest(word, names)}")
    if int(word) >= len(names):
        raise MotError(f"--classes {word}: the network tells {len(names)} classes, from 0")
    return int(word)
