"""Running a detector over frames: batches, threads, and filters of its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from mot.errors import MotError
from mot.types import Detections, Frame

_PERSON_LABELS = {"person": (0, 1)}  # 0 in files without classes, 1 in MOTChallenge's ground truth


def detect_in_batches(
    frames: Iterable[Frame],
    detect: Callable[[list[Frame]], list[Detections]],
    batch: int = 1,
    workers: int = 1,
) -> Iterator[tuple[Frame, Detections]]:
    """Each frame with its detections, in order; `workers` threads are a few batches ahead."""
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
                    done, found = waiting.popleft()
                    yield from zip(done, found.result(), strict=True)
            for done, found in waiting:
                yield from zip(done, found.result(), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def filter_detections(
    detections: Detections, min_score: float | None, labels: Sequence[int] | None
) -> Detections:
    """The detections with at least this score and one of these labels; None keeps all."""
    if min_score is None and labels is None:
        return detections
    kept = np.ones(len(detections), np.bool_)
    if min_score is not None:
        kept &= detections.scores >= min_score
    if labels is not None:
        kept &= np.isin(detections.labels, labels)
    return detections[kept]


def class_labels(
    classes: Sequence[str | int] | None, names: Sequence[str]
) -> tuple[int, ...] | None:
    """The labels of classes given by name or number."""
    if classes is None:
        return None
    labels: list[int] = []
    for word in map(str, classes):
        if word in names:
            labels.append(list(names).index(word))
        elif word in _PERSON_LABELS:
            labels.extend(_PERSON_LABELS[word])
        elif word.isdecimal():
            labels.append(int(word))
        else:
            raise MotError(f"--classes {word}: give class numbers, or person")
    return tuple(labels)
