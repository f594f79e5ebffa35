"""The camera's motion from one frame to the next, as a (2, 3) affine of the image.

From the images, shrunk and with the people masked out: by sparse optical flow (as in BoT-SORT),
by ORB features, or by maximising the enhanced correlation coefficient (ECC, as in StrongSORT); or
from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.errors import MotError, suggest
from mot.opencv import cv2
from mot.rowreader import line_of_row, read_rows
from mot.types import FARTHEST, Detections, FloatArray, Frame, Image

Affine = npt.NDArray[np.float64]  # (2, 3)
Points = npt.NDArray[np.float32]  # (N, 2)

_WIDTH = 480  # pixels that images are shrunk to
_LEAST_POINTS = 8
_MOST_CORNERS = 600
_FARTHEST = 0.3  # of the image's width; a larger shift is a failure, not a motion
_IDENTITY = np.eye(2, 3)


class CameraMotion:
    """Estimates the motion of one stream; where that fails, the camera is taken to stand still."""

    def __init__(self, method: str = "flow") -> None:
        if method not in METHODS:
            raise MotError(f"unknown camera method {method!r}: {suggest(method, METHODS)}")
        self._estimate = METHODS[method]
        self._last: tuple[Image, Image] | None = None  # gray image and mask
        self.failures = 0

    def __call__(self, frame: Frame, detections: Detections) -> Affine:
        if frame.image is None:  # a hole in a sequence: the next image is compared with the last
            self.failures += 1
            return _IDENTITY.copy()
        scale = min(1.0, _WIDTH / frame.image.shape[1])
        height, width = frame.image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.cvtColor(cv2.resize(frame.image, size), cv2.COLOR_BGR2GRAY)
        here = grey, _background(grey, detections.boxes * np.float32(scale))
        last, self._last = self._last, here
        if last is None or last[0].shape != grey.shape:
            return _IDENTITY.copy()
        try:
            motion = self._estimate(last, here)
        except cv2.error:  # too small or too thin an image, or no convergence
            motion = None
        if motion is None or not _is_likely(motion, grey.shape[1]):
            self.failures += 1
            return _IDENTITY.copy()
        motion[:, 2] /= scale
        return motion


def _background(grey: Image, people: FloatArray) -> Image:
    """255 outside of all detections."""
    mask = np.full(grey.shape, 255, np.uint8)
    height, width = grey.shape
    for left, top, right, bottom in np.clip(people, 0, [width, height] * 2).astype(int).tolist():
        mask[top : bottom + 1, left : right + 1] = 0
    return mask


def _is_likely(motion: Affine, width: int) -> bool:
    sound = bool(np.isfinite(motion).all()) and abs(np.linalg.det(motion[:, :2]) - 1) < 0.3
    return sound and float(np.abs(motion[:, 2]).max()) < _FARTHEST * width


def _flow(last: tuple[Image, Image], here: tuple[Image, Image]) -> Affine | None:
    start = cv2.goodFeaturesToTrack(last[0], _MOST_CORNERS, 0.01, 4, mask=last[1])
    if start is None or len(start) < _LEAST_POINTS:
        return None
    end, found, _ = cv2.calcOpticalFlowPyrLK(last[0], here[0], start, None)
    kept = found.reshape(-1) == 1
    return _fit(start.reshape(-1, 2)[kept], end.reshape(-1, 2)[kept])


def _orb(last: tuple[Image, Image], here: tuple[Image, Image]) -> Affine | None:
    detector = cv2.ORB_create(nfeatures=_MOST_CORNERS, fastThreshold=7)
    keys, about = detector.detectAndCompute(last[0], last[1])
    other_keys, other_about = detector.detectAndCompute(here[0], here[1])
    if about is None or other_about is None:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(about, other_about)
    start = np.array([keys[pair.queryIdx].pt for pair in pairs], np.float32)
    end = np.array([other_keys[pair.trainIdx].pt for pair in pairs], np.float32)
    return _fit(start.reshape(-1, 2), end.reshape(-1, 2))


def _ecc(last: tuple[Image, Image], here: tuple[Image, Image]) -> Affine | None:
    motion = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    _, motion = cv2.findTransformECC(
        last[0], here[0], motion, cv2.MOTION_EUCLIDEAN, stop, here[1], 5
    )
    return np.asarray(motion, np.float64)


def _fit(start: Points, end: Points) -> Affine | None:
    """A rotation, scale and shift that most points agree on."""
    if len(start) < _LEAST_POINTS:
        return None
    motion, inliers = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=1.5)
    if motion is None or np.count_nonzero(inliers) < _LEAST_POINTS:
        return None
    return np.asarray(motion, np.float64)


METHODS: dict[str, Callable[[tuple[Image, Image], tuple[Image, Image]], Affine | None]] = {
    "flow": _flow,
    "ecc": _ecc,
    "orb": _orb,
}


class MotionFile:
    """Motions that were estimated before: frame - 1, then the affine row by row, a line a frame."""

    def __init__(self, path: Path) -> None:
        table = read_rows(path, 7, (0.0,) * 7)
        sound = (np.abs(table) < FARTHEST).all(axis=1)
        if not sound.all():
            line = line_of_row(path, int(sound.argmin()))
            raise MotError(f"{path}:{line}: a number is not finite, or too large")
        frames, motions = table[:, 0].astype(int) + 1, table[:, 1:].reshape(-1, 2, 3)
        self._motions = dict(zip(frames.tolist(), motions, strict=True))
        self._last: int | None = None  # the frame that was asked for last
        self.failures = 0  # frames that the file does not hold

    def __call__(self, frame: Frame, detections: Detections) -> Affine:
        """From the last frame that was asked for, over those that were left out."""
        first = frame.index if self._last is None else self._last + 1
        self._last = frame.index
        full = np.eye(3)
        for index in range(first, frame.index + 1):
            step = self._motions.get(index)
            if step is None:
                self.failures += 1
            else:
                full = np.vstack([step, [0, 0, 1]]) @ full
        return full[:2]


def open_camera(name: str, folder: Path | None) -> CameraMotion | MotionFile:
    """By a method's name, or from a file, which may lie in the folder of the sequence."""
    if name in METHODS:
        return CameraMotion(name)
    beside = folder / name if folder else None
    path = beside if beside and beside.is_file() else Path(name)
    if not path.exists() and not path.suffix:
        raise MotError(f"--camera {name}: no such file or method: {suggest(name, METHODS)}")
    return MotionFile(path)


def with_camera(
    detected: Iterable[tuple[Frame, Detections]],
    estimate: Callable[[Frame, Detections], Affine],
) -> Iterator[tuple[Frame, Detections]]:
    """The frames with the camera's motion, for any tracker."""
    for frame, detections in detected:
        yield replace(frame, motion=estimate(frame, detections)), detections
