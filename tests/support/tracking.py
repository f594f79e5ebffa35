"""Streams of detections for trackers, and what to compare of their results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from mot.config import build_tracker
from mot.synthetic import make_world
from mot.synthetic.world import Moment
from mot.types import Detections, Frame, Tracker, Tracks

Array = npt.NDArray[np.float64]


BOX = np.array([100.0, 100, 140, 200])
NOTHING = Detections.empty()


def unit(vectors: npt.ArrayLike) -> Array:
    array = np.asarray(vectors, np.float64)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


EMBEDDINGS = unit(np.random.default_rng(0).normal(size=(1000, 16)))  # of different identities


def detect(
    xyxy: npt.ArrayLike,
    identities: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
) -> Detections:
    """Detections with the embeddings of these identities (rows of `EMBEDDINGS`)."""
    array = np.asarray(xyxy, np.float32).reshape(-1, 4)
    embeddings = EMBEDDINGS[np.arange(len(array)) if identities is None else np.asarray(identities)]
    return Detections.from_boxes(array, scores, labels, embeddings)


def walk(count: int, speed: float = 2.0, box: Array = BOX, identity: int = 0) -> list[Detections]:
    """One object at a constant speed, detected without error."""
    step = np.array([speed, 0, speed, 0])
    return [detect(np.asarray(box) + index * step, [identity]) for index in range(count)]


@cache
def moments(scene: str, seed: int, count: int) -> list[Moment]:
    return list(make_world(scene, seed, render=False).moments(count))


def world(seed: int = 1, count: int = 60, scene: str = "crowd") -> list[Detections]:
    return [moment.detections for moment in moments(scene, seed, count)]


def frames(fps: float = 30.0, start: float = 0.0) -> Iterator[Frame]:
    return (Frame(None, index, start + (index - 1) / fps) for index in itertools.count(1))


def run(
    tracker: Tracker | str, stream: Iterable[Detections], clock: Iterable[Frame] | None = None
) -> list[Tracks]:
    tracker = build_tracker(tracker) if isinstance(tracker, str) else tracker
    return [tracker.update(*pair) for pair in zip(stream, clock or frames(), strict=False)]


def as_lists(results: Iterable[Tracks]) -> list[tuple]:
    columns = ("ids", "boxes", "scores", "labels", "detections")
    return [tuple(getattr(tracks, name).tolist() for name in columns) for tracks in results]


def match_reference_ids(reference, tracker, stream) -> tuple[dict[int, int], int]:
    """The id of each track of a reference implementation, and the number of reported boxes.

    Asserts that both report the same detections and boxes in every frame, and that the ids agree.
    """
    our_ids: dict[int, int] = {}
    reported = 0
    for detections, frame in stream:
        expected = {track.row: track for track in reference.update(detections)}
        found = tracker.update(detections, frame)
        assert sorted(found.detections) == sorted(expected)
        for number, row, box in zip(found.ids, found.detections, found.boxes, strict=True):
            np.testing.assert_allclose(box, expected[row].box, atol=1e-3)
            assert our_ids.setdefault(expected[row].id, number) == number
        reported += len(found)
    return our_ids, reported


def ids_by_row(results: Iterable[Tracks]) -> list[dict[int, int]]:
    """For each frame, the track id of each row of its detections."""
    return [
        {row: number for row, number in zip(t.detections.tolist(), t.ids.tolist(), strict=True)}
        for t in results
    ]


def all_ids(results: Iterable[Tracks]) -> list[int]:
    """All track ids in order of first report."""
    return list(dict.fromkeys(number for tracks in results for number in tracks.ids.tolist()))


def count_id_switches(results: Iterable[Tracks], truth: Iterable[Moment]) -> int:
    """How often the track id of an identity changes."""
    last: dict[int, int] = {}
    count = 0
    for found, moment in zip(ids_by_row(results), truth, strict=True):
        for row, number in found.items():
            identity = int(moment.identities[row]) if row >= 0 else 0
            if identity:
                count += last.get(identity, number) != number
                last[identity] = number
    return count


HOSTILE = {
    "no area": [[50, 50, 50, 50]],
    "no width": [[50, 50, 50, 90]],
    "no height": [[50, 50, 90, 50]],
    "tiny": [[50, 50, 50.001, 50.001]],
    "outside": [[-900, -900, -800, -700], [9e4, 9e4, 9.1e4, 9.2e4]],
    "huge": [[-1e6, -1e6, 1e6, 1e6]],
    "as far as boxes may lie": [[0, 0, 1e9, 1e9]],
    "all": [BOX, BOX, [50, 50, 50, 50], [-900, -900, -800, -700], [0, 0, 1e5, 1e5]],
}


def shifted(stream: list[Detections], shifts: Array) -> list[Detections]:
    """The stream seen by a moving camera; `shifts` are (T, 2) integer pixels."""
    moved = [d.boxes + np.tile(shift, 2) for d, shift in zip(stream, shifts, strict=True)]
    return [
        replace(d, boxes=xyxy.astype(np.float32)) for d, xyxy in zip(stream, moved, strict=True)
    ]
