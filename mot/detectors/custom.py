"""A user's own function or model as a detector, whatever shape its results have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mot.errors import MotError
from mot.formats.supervision import from_supervision
from mot.types import Detections, Detector, Image, as_detections

_LIST_NAMES = frozenset(("images", "frames", "imgs", "batch"))


class CustomDetector(Detector):
    """Calls a function of one image, or of a list of images, and converts what it returns.

    Args:
        function: (H, W, 3) uint8 BGR image -> `Detections`, an (N, 4), (N, 5) or (N, 6) array
            (x1, y1, x2, y2, score, label), supervision's `Detections`, or None; or a list of
            images -> a list of these.
        takes_list: whether it takes a list; None: found out at the first call.
        batch: images per call, where it takes a list.

    >>> detector = CustomDetector(lambda image: [[10, 20, 50, 120, 0.9]])
    >>> detector([np.zeros((200, 100, 3), np.uint8)])
    [Detections(1 object)]
    """

    def __init__(
        self, function: Callable[[Any], Any], takes_list: bool | None = None, batch: int = 1
    ) -> None:
        self.function = function
        self.batch = batch
        self._takes_list = _declares_list(function) if takes_list is None else takes_list

    def __call__(self, images: list[Image]) -> list[Detections]:
        if not images:
            return []
        if self._takes_list is None:
            return self._first_call(images)
        if self._takes_list:
            return self._call_with_list(images)
        return [_converted(self.function(image)) for image in images]

    def _first_call(self, images: list[Image]) -> list[Detections]:
        """Try a single image; a function of a list fails on it, or answers for its rows."""
        try:
            results = [_converted(self.function(image)) for image in images]
        except Exception as single_error:
            try:
                results = self._call_with_list(images)
            except Exception:
                raise single_error from None
            self._takes_list = True
            return results
        self._takes_list = False
        return results

    def _call_with_list(self, images: list[Image]) -> list[Detections]:
        results = self.function(images)
        if not isinstance(results, Sequence) or len(results) != len(images):
            raise MotError(
                f"the detector was called with {len(images)} images and must return a list with "
                f"one result each, not {_described(results)}"
            )
        return [_converted(result) for result in results]


def _declares_list(function: Callable[[Any], Any]) -> bool | None:
    """What the first parameter's name or annotation says; None: nothing."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()))
    except (ValueError, TypeError, StopIteration):
        return None
    annotation = str(first.annotation).lower()
    if first.name in _LIST_NAMES or annotation.startswith(("list", "sequence", "typing.list")):
        return True
    return False if first.name in ("image", "frame", "img") else None


def _converted(result: Any) -> Detections:
    """One image's result as `Detections`."""
    if hasattr(result, "xyxy") and hasattr(result, "confidence"):  # supervision's, or a likeness
        return from_supervision(result)
    try:
        return as_detections(result)
    except (ValueError, TypeError) as error:
        raise MotError(f"a detector returned {_described(result)}: {error}") from None


def _described(result: Any) -> str:
    shape = np.shape(result) if isinstance(result, np.ndarray | list | tuple) else None
    return type(result).__name__ + (f" of shape {shape}" if shape is not None else "")
