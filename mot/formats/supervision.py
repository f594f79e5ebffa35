"""Roboflow supervision's `Detections`, to and from ours. The package is not needed to read one."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mot.errors import MotError
from mot.types import Detections, Tracks

_EMBEDDINGS = "embeddings"  # their name among the data of a supervision value


class SupervisionDetections(Protocol):
    """What is read of a `supervision.Detections`."""

    xyxy: npt.NDArray[Any]
    confidence: npt.NDArray[Any] | None
    class_id: npt.NDArray[Any] | None
    tracker_id: npt.NDArray[Any] | None
    data: dict[str, Any]


def to_supervision(tracks: Tracks | Detections) -> Any:
    """A `supervision.Detections` of one frame; ids go into `tracker_id`."""
    try:
        supervision = import_module("supervision")
    except ImportError:
        raise MotError("supervision is not installed: pip install supervision") from None
    data = {}
    if isinstance(tracks, Detections) and tracks.embeddings is not None:
        data = {_EMBEDDINGS: tracks.embeddings.copy()}
    return supervision.Detections(
        xyxy=tracks.boxes.copy(),
        confidence=tracks.scores.copy(),
        class_id=tracks.labels.copy(),
        tracker_id=tracks.ids.copy() if isinstance(tracks, Tracks) else None,
        data=data,
    )


def from_supervision(detections: SupervisionDetections) -> Detections:
    """Where it has no confidence it is 1, where it has no class 0."""
    return Detections.from_boxes(
        detections.xyxy,
        detections.confidence,
        detections.class_id,
        detections.data.get(_EMBEDDINGS),
    )


def tracks_from_supervision(detections: SupervisionDetections) -> Tracks:
    """The rows with an id from 0; trackers give -1 to what they do not follow yet."""
    found = from_supervision(detections)
    if detections.tracker_id is None:
        if len(found):
            raise MotError("supervision Detections without tracker_id: run a tracker on them first")
        return Tracks.empty()
    ids = np.asarray(detections.tracker_id, np.int64)
    rows = np.flatnonzero(ids >= 0)
    return Tracks(ids[rows], found.boxes[rows], found.scores[rows], found.labels[rows], rows)
