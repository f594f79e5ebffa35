"""Conversion to and from Roboflow's `supervision.Detections`. Reading one needs no supervision."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mot.errors import MotError
from mot.types import Detections, Tracks

_EMBEDDINGS = "embeddings"  # key in `supervision.Detections.data`


class SupervisionDetections(Protocol):
    """The attributes of a `supervision.Detections` that are read."""

    xyxy: npt.NDArray[Any]
    confidence: npt.NDArray[Any] | None
    class_id: npt.NDArray[Any] | None
    tracker_id: npt.NDArray[Any] | None
    data: dict[str, Any]


def to_supervision(value: Tracks | Detections) -> Any:
    """A `supervision.Detections` with copies of the arrays.

    Track ids become `tracker_id`, labels `class_id`, scores `confidence`; embeddings of detections
    are in `data["embeddings"]`.

    >>> from mot.types import Detections
    >>> to_supervision(Detections.from_boxes([[10, 20, 50, 120]], [0.5])).xyxy.tolist()
    [[10.0, 20.0, 50.0, 120.0]]
    """
    try:
        supervision = import_module("supervision")
    except ImportError:
        raise MotError("supervision is not installed: pip install supervision") from None
    data = {}
    if isinstance(value, Detections) and value.embeddings is not None:
        data = {_EMBEDDINGS: value.embeddings.copy()}
    return supervision.Detections(
        xyxy=value.boxes.copy(),
        confidence=value.scores.copy(),
        class_id=value.labels.copy(),
        tracker_id=value.ids.copy() if isinstance(value, Tracks) else None,
        data=data,
    )


def from_supervision(detections: SupervisionDetections) -> Detections:
    """Detections from a `supervision.Detections`, such as those of an Ultralytics model.

    A missing `confidence` is 1, a missing `class_id` is 0; `tracker_id` is ignored (see
    `tracks_from_supervision`). `data["embeddings"]`, (N, D), become embeddings.
    """
    return Detections.from_boxes(
        detections.xyxy,
        detections.confidence,
        detections.class_id,
        detections.data.get(_EMBEDDINGS),
    )


def tracks_from_supervision(detections: SupervisionDetections) -> Tracks:
    """Tracks from a `supervision.Detections` with `tracker_id`.

    Rows with a negative id, which trackers give to unconfirmed objects, are left out.
    """
    found = from_supervision(detections)
    if detections.tracker_id is None:
        if len(found):
            raise MotError("supervision Detections without tracker_id: run a tracker on them first")
        return Tracks.empty()
    ids = np.asarray(detections.tracker_id, np.int64)
    rows = np.flatnonzero(ids >= 0)
    return Tracks(ids[rows], found.boxes[rows], found.scores[rows], found.labels[rows], rows)
