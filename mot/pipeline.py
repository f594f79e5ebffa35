"""Frames -> detections -> tracks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from mot.config import build_detector, build_tracker, detector_settings_for
from mot.detectors import DEFAULT_DETECTOR
from mot.motfile import read_detections
from mot.reid import DEFAULT_EMBEDDER, NO_EMBEDDER
from mot.settings import settings_of
from mot.trackers import DEFAULT_TRACKER
from mot.types import Detections, Detector, Frame, Image, Tracker, Tracks
from mot.video import open_source

Detect = Callable[[list[Frame]], list[Detections]]


def detections_of(
    frames: Iterable[Frame], detect: Detect, batch: int = 1, workers: int = 1
) -> Iterator[tuple[Frame, Detections]]:
    """Each frame with what is detected in it; several `workers` look at frames ahead of it."""
    remaining = iter(frames)
    groups = iter(lambda: list(islice(remaining, batch)), [])
    if workers == 1:
        for group in groups:
            yield from zip(group, detect(group), strict=True)
        return
    waiting: deque[tuple[list[Frame], Future[list[Detections]]]] = deque()
    with ThreadPoolExecutor(workers, "mot-detect") as pool:
        try:
            for group in groups:
                waiting.append((group, pool.submit(detect, group)))
                if len(waiting) > workers:
                    yield from _next_done(waiting)
            while waiting:
                yield from _next_done(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _next_done(
    waiting: deque[tuple[list[Frame], Future[list[Detections]]]],
) -> Iterator[tuple[Frame, Detections]]:
    group, found = waiting.popleft()
    return zip(group, found.result(), strict=True)


def follow(
    detected: Iterable[tuple[Frame, Detections]], tracker: Tracker
) -> Generator[tuple[Frame, Tracks], None, None]:
    """Each frame with the tracks in it."""
    for frame, detections in detected:
        yield frame, tracker.update(detections, frame)


def from_images(detector: Detector) -> Detect:
    """Detect with a network or anything else that looks at pictures."""

    def detect(frames: list[Frame]) -> list[Detections]:
        return detector([_image_of(frame) for frame in frames])

    return detect


def workers_of(detector: Detector | None) -> int:
    """How many threads may, and had better, call it at a time."""
    return int(getattr(detector, "workers", 1))


def from_table(table: Mapping[int, Detections]) -> Detect:
    """Detections that were made before, by frame."""
    nothing = Detections.empty()
    return lambda frames: [table.get(frame.index, nothing) for frame in frames]


def only(detect: Detect, min_score: float | None, labels: Iterable[int] | None) -> Detect:
    """Without the detections of a lower score or of another class."""
    if min_score is None and labels is None:
        return detect
    wanted = None if labels is None else list(labels)

    def choose(detections: Detections) -> Detections:
        chosen = np.ones(len(detections), np.bool_)
        if min_score is not None:
            chosen &= detections.scores >= min_score
        if wanted is not None:
            chosen &= np.isin(detections.labels, wanted)
        return detections[chosen]

    return lambda frames: [choose(detections) for detections in detect(frames)]


def embedder_for(tracker: Tracker, given: str | None, detects: bool) -> str | None:
    """As it is named; else the built-in one, for trackers that use it, where pictures are looked at
    anyway, to detect, or nothing can be done without."""
    if given:
        return None if given == NO_EMBEDDER else given
    if not getattr(tracker, "uses_embeddings", False):
        return None
    is_wanted = detects or getattr(tracker, "needs_embeddings", False)
    return DEFAULT_EMBEDDER if is_wanted else None


def min_embedding_score(tracker: Tracker) -> float:
    """The score below which detections are matched by overlap alone."""
    return float(settings_of(tracker).get("track_high_thresh", 0.0))


def looked_at(
    detected: Iterable[tuple[Frame, Detections]],
    embedder: str,
    least: float,
    anew: bool,
    threads: int | None = None,
) -> Iterator[tuple[Frame, Detections]]:
    """The same detections, with what those look like that score `least`; `anew`: also where a
    detector told it."""
    from mot.reid.embedder import attach_embeddings
    from mot.reid.open import open_embedder

    return attach_embeddings(detected, open_embedder(embedder, threads), anew, least)


def _image_of(frame: Frame) -> Image:
    if frame.image is None:
        raise ValueError(f"frame {frame.index} has no image to detect in")
    return frame.image


def track(
    source: str | Path | int,
    detections: str | Path | None = None,
    detector: str = DEFAULT_DETECTOR,
    tracker: str = DEFAULT_TRACKER,
    embedder: str | None = None,
) -> Iterator[tuple[Frame, Tracks]]:
    """Follow the people of a video, camera, stream or folder of pictures, frame by frame.

    `detections` is a MOTChallenge file; without it the detector looks at the pictures. `embedder`
    sees what people look like: a file, a name, or none; without it the built-in one, as far as the
    tracker has a use for it.
    """
    table = None if detections is None else read_detections(detections)
    follower = build_tracker(tracker)
    settings = detector_settings_for(settings_of(follower), detector, {})
    looker = build_detector(detector, **settings) if table is None else None
    detect = from_table(table or {}) if looker is None else from_images(looker)
    eyes = embedder_for(follower, embedder, detects=looker is not None)
    with open_source(source) as frames:
        detected = detections_of(frames, detect, workers=workers_of(looker))
        if eyes:
            detected = looked_at(
                detected, eyes, min_embedding_score(follower), embedder is not None
            )
        yield from follow(detected, follower)
