"""What crosses every border: a frame, what was detected in it, what is tracked in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
FARTHEST = 1e9  # pixels; areas of boxes within it are sound in float32
IndexArray = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a stream; `image` is None where only its detections are known."""

    image: Image | None  # (H, W, 3) uint8 BGR
    index: int  # from 1
    time: float  # seconds on the stream's own clock
    # (2, 3) affine from the last frame's pixels to this one's, where the camera's motion is known
    motion: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects detected in one frame. The arrays are read-only; none at all is ordinary."""

    boxes: FloatArray  # (N, 4) xyxy, pixels of the original image, half-open
    scores: FloatArray  # (N,)
    labels: IntArray  # (N,)
    embeddings: FloatArray | None = None  # (N, D)

    def __post_init__(self) -> None:
        boxes = _boxes(self.boxes, "detection", FARTHEST)
        count = len(boxes)
        _set(self, "boxes", boxes)
        _set(self, "scores", _column(self.scores, count, np.float32, "scores"))
        _set(self, "labels", _column(self.labels, count, np.int64, "labels"))
        if self.embeddings is not None:
            _set(self, "embeddings", _matrix(self.embeddings, count, "embeddings"))

    @classmethod
    def from_boxes(
        cls,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        embeddings: npt.ArrayLike | None = None,
    ) -> Detections:
        """From anything array-like, one box too; scores default to 1, labels to 0."""
        array: Any = np.asarray(boxes, np.float32)
        if array.size == 0:
            array = np.zeros((0, 4), np.float32)
        elif array.shape == (4,):
            array = array[None]
        count = len(array)
        return cls(
            array,
            np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.zeros(count, np.int64) if labels is None else np.asarray(labels, np.int64),
            None if embeddings is None else np.asarray(embeddings, np.float32),
        )

    @classmethod
    def empty(cls) -> Detections:
        return cls.from_boxes(np.zeros((0, 4), np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: IndexArray) -> Detections:
        """The chosen rows, by mask, index array or slice."""
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows], embeddings)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The objects followed in one frame. The arrays are read-only."""

    ids: IntArray  # (M,) from 1, unique within a tracker
    boxes: FloatArray  # (M, 4) xyxy
    scores: FloatArray  # (M,)
    labels: IntArray  # (M,)
    detections: IntArray  # (M,) row of the frame's Detections; -1: predicted only

    def __post_init__(self) -> None:
        boxes = _boxes(self.boxes, "track", 10 * FARTHEST)  # a filter may overshoot
        count = len(boxes)
        _set(self, "boxes", boxes)
        _set(self, "scores", _column(self.scores, count, np.float32, "scores"))
        for name in ("ids", "labels", "detections"):
            _set(self, name, _column(getattr(self, name), count, np.int64, name))

    @classmethod
    def empty(cls) -> Tracks:
        none = np.zeros(0, np.int64)
        return cls(none, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), none, none)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: IndexArray) -> Tracks:
        """The chosen rows, by mask, index array or slice."""
        return Tracks(
            self.ids[rows],
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
            self.detections[rows],
        )


class Detector(Protocol):
    """Images of any sizes in, one `Detections` for each out."""

    def __call__(self, images: list[Image]) -> list[Detections]: ...


class Tracker(Protocol):
    """Follows one stream, frame by frame."""

    def update(self, detections: Detections, frame: Frame) -> Tracks: ...

    def reset(self) -> None: ...


def _set(owner: object, name: str, array: npt.NDArray[Any]) -> None:
    view = array.view()
    view.setflags(write=False)
    object.__setattr__(owner, name, view)


def _boxes(values: npt.ArrayLike, what: str, farthest: float) -> FloatArray:
    boxes = np.asarray(values, np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{what} boxes must have the shape (N, 4), not {boxes.shape}")
    # NaN fails both comparisons; the sum of squares is a quick bound on the largest.
    in_order = (boxes[:, 2:] >= boxes[:, :2]).all()
    near = _square_sum(boxes) <= farthest**2 or np.abs(boxes).max() <= farthest
    if not (in_order and near):
        _name_bad_row(boxes, what, farthest)
    return boxes


def _name_bad_row(boxes: FloatArray, what: str, farthest: float) -> NoReturn:
    near = np.abs(boxes).max(axis=1) <= farthest
    row = int((near & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)).argmin())
    fault = "reversed (x2 < x1 or y2 < y1)"
    if not np.isfinite(boxes[row]).all():
        fault = "not finite"
    elif not near[row]:
        fault = f"farther than {farthest:g} pixels away"
    raise ValueError(f"{what} box in row {row} is {fault}: {boxes[row].tolist()}")


def _square_sum(array: FloatArray) -> float:
    flat = array.reshape(-1)
    return float(np.dot(flat, flat))  # which does not warn of an overflow


def _column(values: npt.ArrayLike, count: int, dtype: Any, what: str) -> npt.NDArray[Any]:
    column = np.asarray(values, dtype)
    if column.shape != (count,):
        raise ValueError(f"{what} must have the shape ({count},), not {column.shape}")
    quickly_sound = dtype is not np.float32 or _square_sum(column) < FARTHEST
    if not quickly_sound and not np.isfinite(column).all():
        row = np.flatnonzero(~np.isfinite(column))[0]
        raise ValueError(f"{what}: row {row} is not finite")
    return column


def _matrix(values: npt.ArrayLike, count: int, what: str) -> FloatArray:
    matrix = np.asarray(values, np.float32)
    if matrix.ndim != 2 or len(matrix) != count:
        raise ValueError(f"{what} must have the shape ({count}, D), not {matrix.shape}")
    if not np.isfinite(matrix).all():
        row = np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0]
        raise ValueError(f"{what}: row {row} is not finite")
    return matrix
