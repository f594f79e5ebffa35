"""The values that cross every border: a frame, its detections, its tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice
FARTHEST = 1e9  # pixels; the areas of boxes within it are exact enough in float32
_COLUMNS = (4, 5, 6)  # of an array of detections: a box, its score, its label
_SHOWN_ROWS = 20  # of an HTML table


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a stream; `image` is None where only its detections are known."""

    image: Image | None  # (H, W, 3) uint8 BGR
    index: int  # from 1
    time: float  # seconds on the stream's own clock
    # (2, 3) affine from the previous frame's pixels to this one's, where camera motion is known
    motion: npt.NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        size = "no image" if self.image is None else f"{self.image.shape[1]}x{self.image.shape[0]}"
        return f"Frame({self.index}, {self.time:.3f} s, {size})"


class Detection(NamedTuple):
    """One row of `Detections`."""

    box: FloatArray  # (4,) xyxy
    score: float
    label: int
    name: str  # of its class; the label in digits where names are not known
    embedding: FloatArray | None  # (D,)


class Track(NamedTuple):
    """One row of `Tracks`."""

    id: int
    box: FloatArray  # (4,) xyxy
    score: float
    label: int
    name: str  # of its class; the label in digits where names are not known
    detection: int  # row of the frame's Detections; -1: predicted only


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """The objects detected in one frame. Arrays are read-only; zero rows are valid.

    Args:
        boxes: (N, 4) float32 xyxy, pixels of the original image, half-open.
        scores: (N,) float32, 0 to 1.
        labels: (N,) int64 class numbers.
        embeddings: (N, D) float32 appearance vectors, or None.
        names: class names by label; empty where they are not known.

    >>> found = Detections.from_boxes([[10, 20, 50, 120], [80, 25, 110, 118]], [0.9, 0.4])
    >>> found[found.scores > 0.5].boxes.tolist()
    [[10.0, 20.0, 50.0, 120.0]]
    >>> [round(score, 1) for _, score, *_ in found]
    [0.9, 0.4]
    """

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray
    embeddings: FloatArray | None = None
    names: tuple[str, ...] = ()

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
        """From anything array-like, a single box included; scores default to 1, labels to 0."""
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
    def from_array(cls, array: npt.ArrayLike) -> Detections:
        """From (N, 4), (N, 5) or (N, 6) rows: x1, y1, x2, y2, score, label.

        >>> Detections.from_array([[10, 20, 50, 120, 0.9, 2]]).labels.tolist()
        [2]
        """
        rows: Any = np.asarray(array)
        if rows.size == 0:
            return cls.empty()
        if rows.ndim != 2 or rows.shape[1] not in _COLUMNS or rows.dtype.kind not in "fiu":
            raise ValueError(
                f"an array of detections must have the shape (N, 4), (N, 5) or (N, 6) (x1, y1, x2, "
                f"y2, score, label), not {rows.shape} of {rows.dtype}"
            )
        scores = rows[:, 4] if rows.shape[1] > 4 else None
        labels = rows[:, 5].astype(np.int64) if rows.shape[1] > 5 else None
        return cls.from_boxes(rows[:, :4], scores, labels)

    @classmethod
    def empty(cls) -> Detections:
        return cls.from_boxes(np.zeros((0, 4), np.float32))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """All rows in order; embeddings are kept only where every non-empty part has them.

        >>> one = Detections.from_boxes([0, 0, 5, 5])
        >>> len(Detections.concatenate([one, Detections.empty(), one]))
        2
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.empty()
        embeddings = [part.embeddings for part in parts if part.embeddings is not None]
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate(embeddings) if len(embeddings) == len(parts) else None,
            parts[0].names,
        )

    @property
    def area(self) -> FloatArray:
        """(N,) square pixels."""
        return _area(self.boxes)

    @property
    def class_names(self) -> list[str]:
        """The class name of each row; its label in digits where names are not known."""
        return _class_names(self.labels, self.names)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: IndexArray) -> Detections:
        """The chosen rows, by mask, index array or slice."""
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        return Detections(
            self.boxes[rows], self.scores[rows], self.labels[rows], embeddings, self.names
        )

    def __iter__(self) -> Iterator[Detection]:
        embeddings = [None] * len(self) if self.embeddings is None else self.embeddings
        columns = (self.boxes, self.scores.tolist(), self.labels.tolist(), self.class_names)
        return map(Detection, *columns, embeddings)

    def __repr__(self) -> str:
        vectors = "" if self.embeddings is None else f", embeddings of {self.embeddings.shape[1]}"
        return f"Detections({_counts(self.class_names)}{vectors})"

    def _repr_html_(self) -> str:
        rows = ((d.name, f"{d.score:.2f}", *_rounded(d.box)) for d in self)
        return _html_table(repr(self), ("class", "score", "x1", "y1", "x2", "y2"), rows)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tracks:
    """The objects tracked in one frame. Arrays are read-only; zero rows are valid.

    Args:
        ids: (M,) int64 from 1, unique within a tracker.
        boxes: (M, 4) float32 xyxy, pixels of the original image.
        scores: (M,) float32.
        labels: (M,) int64 class numbers.
        detections: (M,) int64 row of the frame's `Detections`; -1: predicted only.
        names: class names by label; empty where they are not known.
    """

    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    labels: IntArray
    detections: IntArray
    names: tuple[str, ...] = ()

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

    @property
    def area(self) -> FloatArray:
        """(M,) square pixels."""
        return _area(self.boxes)

    @property
    def class_names(self) -> list[str]:
        """The class name of each row; its label in digits where names are not known."""
        return _class_names(self.labels, self.names)

    def to_dataframe(self, frame: Frame | None = None) -> Any:
        """A pandas DataFrame, one row a track; with `frame` also its index and time.

        Columns: frame, time, id, x1, y1, x2, y2, score, label, name. Needs pandas.
        """
        from importlib import import_module

        try:
            pandas = import_module("pandas")
        except ImportError:
            raise ImportError("Tracks.to_dataframe needs pandas: pip install pandas") from None
        columns: dict[str, Any] = {}
        if frame is not None:
            columns = {"frame": [frame.index] * len(self), "time": [frame.time] * len(self)}
        columns["id"] = self.ids
        columns |= dict(zip(("x1", "y1", "x2", "y2"), self.boxes.T, strict=True))
        columns |= {"score": self.scores, "label": self.labels, "name": self.class_names}
        return pandas.DataFrame(columns)

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
            self.names,
        )

    def __iter__(self) -> Iterator[Track]:
        scores, labels, rows = self.scores.tolist(), self.labels.tolist(), self.detections.tolist()
        return map(Track, self.ids.tolist(), self.boxes, scores, labels, self.class_names, rows)

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.ids[:8].tolist()))
        more = ", ..." if len(self) > 8 else ""
        return f"Tracks({_counts(self.class_names)}, ids [{shown}{more}])"

    def _repr_html_(self) -> str:
        rows = ((str(t.id), t.name, f"{t.score:.2f}", *_rounded(t.box)) for t in self)
        return _html_table(repr(self), ("id", "class", "score", "x1", "y1", "x2", "y2"), rows)


@runtime_checkable
class Detector(Protocol):
    """Finds objects in images. Subclasses inherit the defaults of the attributes."""

    names: tuple[str, ...] = ()  # of its classes, by label; empty where it has none
    workers: int = 1  # threads that may, and should, call it at a time
    batch: int = 1  # images per call
    is_stateful: bool = False  # the result depends on the images seen before

    def __call__(self, images: list[Image]) -> list[Detections]:
        """One `Detections` for each of the (H, W, 3) uint8 BGR images, of any sizes."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Follows the objects of one stream. Subclasses inherit the defaults of the attributes."""

    uses_embeddings: bool = False  # matching improves with them
    needs_embeddings: bool = False  # matching is not possible without them
    min_embedding_score: float = 0.0  # detections below it are matched by their boxes alone
    low_score_threshold: float | None = None  # the lowest score used, where low ones are used

    def update(
        self,
        detections: Detections | npt.ArrayLike | None,
        image: Frame | Image | None = None,
        time: float | None = None,
    ) -> Tracks:
        """The tracks of the next frame, given its detections."""
        ...

    def reset(self) -> None:
        """Forget everything: the next frame is the first, the next id is 1."""
        ...


def as_detections(value: Detections | npt.ArrayLike | None) -> Detections:
    """Detections from `None`, an (N, 4), (N, 5) or (N, 6) array, or `Detections` themselves."""
    if isinstance(value, Detections):
        return value
    return Detections.empty() if value is None else Detections.from_array(value)


def _class_names(labels: IntArray, names: tuple[str, ...]) -> list[str]:
    return [names[i] if 0 <= i < len(names) else str(i) for i in labels.tolist()]


def _counts(class_names: list[str]) -> str:
    """Such as `3 objects: 2 person, 1 car`; digits alone are not worth naming."""
    total = f"{len(class_names)} object{'s' * (len(class_names) != 1)}"
    kinds = [name for name in dict.fromkeys(class_names) if not name.lstrip("-").isdecimal()]
    counts = ", ".join(f"{class_names.count(name)} {name}" for name in kinds)
    return f"{total}: {counts}" if counts else total


def _rounded(box: FloatArray) -> tuple[str, ...]:
    return tuple(f"{side:.1f}" for side in box.tolist())


def _html_table(title: str, header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    """A small table for notebooks; rows beyond the first few are only counted in the title."""
    from html import escape
    from itertools import islice

    head = "".join(f"<th>{name}</th>" for name in header)
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in islice(cells, _SHOWN_ROWS))
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{body}</table>"


def _area(boxes: FloatArray) -> FloatArray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


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
