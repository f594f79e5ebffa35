"""What the people of a video look like, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from mot import boxes
from mot.appearance.embedder import Embedder
from mot.boxes import Boxes
from mot.errors import MotError
from mot.types import Detections, FloatArray, Frame, Image, IntArray

_STILL = 0.7  # IoU of two boxes from which somebody has hardly moved
_APART = 0.05  # IoU up to which nobody else is in a box
_AGAIN = 4  # frames that a look serves for, after its own


class _Seen(NamedTuple):
    """The people of a frame."""

    boxes: Boxes  # (N, 4)
    looks: FloatArray  # (N, D)
    served: IntArray  # (N,) in how many frames each look has stood for a later one


_NOBODY = _Seen(np.zeros((0, 4), np.float32), np.zeros((0, 0), np.float32), np.zeros(0, np.int64))


def with_looks(
    detected: Iterable[tuple[Frame, Detections]],
    embedder: Embedder,
    anew: bool = True,
    least: float = 0.0,
) -> Iterator[tuple[Frame, Detections]]:
    """The same detections, with what they look like, from a score of `least` on; nothing is known
    of the others. `anew`: also where a detector told it."""
    watch = Watch(embedder, least)
    for frame, found in detected:
        if found.embeddings is not None and not anew:
            yield frame, found
            continue
        if frame.image is None:
            raise MotError(f"frame {frame.index} has no picture for --embedder to look at")
        looks = watch(frame.image, found)
        yield frame, Detections(found.boxes, found.scores, found.labels, looks)


class Watch:
    """Looks at the people of one frame after the other. Somebody who hardly moved, and whose box
    nobody else is in, still looks as in the frame before: such people are looked at now and then.
    """

    def __init__(self, embedder: Embedder, least: float = 0.0) -> None:
        self._embedder = embedder
        self._least = least
        self._before = _NOBODY

    def __call__(self, image: Image, found: Detections) -> FloatArray | None:
        """(N, D) zeros of those who score less than `least`, unless all do."""
        self._before = self._seen(image, found) if len(found) else _NOBODY
        return self._before.looks if len(found) else None

    def _seen(self, image: Image, found: Detections) -> _Seen:
        wanted = found.scores >= self._least
        if not wanted.any():
            wanted = np.ones_like(wanted)
        same = np.where(wanted, _same(found.boxes, self._before), -1)
        known, unknown = np.flatnonzero(same >= 0), np.flatnonzero(wanted & (same < 0))
        anew = self._embedder(image, found.boxes[unknown]) if len(unknown) else _NOBODY.looks
        dims = max(anew.shape[1], self._before.looks.shape[1])
        looks = np.zeros((len(found), dims), np.float32)
        served = np.full(len(found), _AGAIN)
        if len(unknown):
            looks[unknown], served[unknown] = anew, 0
        if len(known):
            looks[known] = self._before.looks[same[known]]
            served[known] = self._before.served[same[known]] + 1
        return _Seen(found.boxes, looks, served)


def _same(xyxy: Boxes, before: _Seen) -> IntArray:
    """(N,) the row whose look serves once more; -1: none does."""
    if not len(before.boxes):
        return np.full(len(xyxy), -1)
    shared = boxes.iou(xyxy, before.boxes)
    nearest = shared.argmax(1)
    is_same = (shared.max(1) >= _STILL) & (before.served[nearest] < _AGAIN)
    is_same &= (shared > _APART).sum(1) == 1
    is_same &= (boxes.iou(xyxy, xyxy) > _APART).sum(1) == 1  # which is its own
    return np.where(is_same, nearest, -1)
