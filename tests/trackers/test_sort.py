"""SORT equals the paper, written here with filterpy's filter and lap's assignment."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import lap
import numpy as np
import numpy.typing as npt
import pytest
from support.tracking import (
    BOX,
    NOTHING,
    all_ids,
    detect,
    frames,
    match_reference_ids,
    run,
    walk,
    world,
)

from mot.trackers.sort import Sort, SortSettings
from mot.types import Detections, Frame

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import filterpy.kalman

Array = npt.NDArray[np.float64]


@dataclass
class ReferenceTrack:
    filter: filterpy.kalman.KalmanFilter
    id: int
    streak: int = 0  # consecutive detections after the first
    missed: int = 0
    row: int = -1

    @classmethod
    def spawn(cls, box: Array, row: int, track_id: int) -> ReferenceTrack:
        kalman = filterpy.kalman.KalmanFilter(dim_x=7, dim_z=4)
        kalman.F = np.eye(7) + np.eye(7, k=4)
        kalman.H = np.eye(4, 7)
        kalman.R = np.diag([1.0, 1, 10, 10])
        kalman.P = np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4])
        kalman.Q = np.diag([1, 1, 1, 1, 1e-2, 1e-2, 1e-4])
        kalman.x = np.concatenate([measure(box), np.zeros(3)])[:, None]
        return cls(kalman, track_id, row=row)

    @property
    def box(self) -> Array:
        x, y, area, aspect = self.filter.x[:4, 0]
        width = max(area * aspect, 0) ** 0.5
        height = area / width if width else 0.0
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def measure(box: Array) -> Array:
    """Center, area and aspect."""
    w, h = box[2] - box[0], box[3] - box[1]
    return np.array([box[0] + w / 2, box[1] + h / 2, w * h, w / h])


def overlap(a: Array, b: Array) -> float:
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(w, 0) * max(h, 0)
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


class Reference:
    """SORT with a minimum score of 0.5, a minimum IoU of 0.3, 3 hits and 1 lost frame."""

    def __init__(self) -> None:
        self.tracks: list[ReferenceTrack] = []
        self.frames = 0
        self.ids = itertools.count()

    def update(self, detections: Detections) -> list[ReferenceTrack]:
        self.frames += 1
        rows = np.flatnonzero(detections.scores >= 0.5)
        seen = detections.boxes.astype(np.float64)
        for track in self.tracks:
            track.filter.predict()
            track.missed += 1
            track.row = -1
        for track, row in self.assign(rows, seen):
            track.filter.update(measure(seen[row])[:, None])
            track.streak = track.streak + 1 if track.missed == 1 else 1
            track.missed, track.row = 0, row
        taken = {track.row for track in self.tracks}
        new = [row for row in rows if row not in taken]
        self.tracks += [ReferenceTrack.spawn(seen[row], row, next(self.ids)) for row in new]
        self.tracks = [track for track in self.tracks if track.missed <= 1]
        is_start = self.frames <= 3
        return [t for t in self.tracks if t.row >= 0 and (is_start or t.streak >= 3)]

    def assign(self, rows: npt.NDArray[np.int64], seen: Array) -> list[tuple[ReferenceTrack, int]]:
        if not self.tracks or not len(rows):
            return []
        cost = np.array([[1 - overlap(t.box, seen[row]) for row in rows] for t in self.tracks])
        _, chosen, _ = lap.lapjv(cost, extend_cost=True, cost_limit=0.7)
        pairs = zip(self.tracks, chosen, strict=True)
        return [(track, rows[column]) for track, column in pairs if column >= 0]


@pytest.mark.parametrize(("scene", "seed"), [("crowd", 1), ("crossing", 2), ("camera", 3)])
def test_equals_the_paper(scene, seed) -> None:
    stream = zip(world(seed, 200, scene), frames(), strict=False)
    our_ids, reported = match_reference_ids(Reference(), Sort(), stream)
    assert reported > 500
    assert sorted(our_ids.values()) == list(range(1, len(our_ids) + 1))


def test_a_track_is_reported_after_its_hits_and_immediately_in_the_first_frames() -> None:
    early = [len(tracks) for tracks in run(Sort(), walk(6))]
    late = [len(tracks) for tracks in run(Sort(), [*[NOTHING] * 9, *walk(6)])][9:]
    assert early == [1, 1, 1, 1, 1, 1]
    assert late == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("missing", "ids"), [(1, [1]), (2, [1, 2])])
def test_a_track_survives_one_missed_frame(missing, ids) -> None:
    stream = walk(20)
    stream[8 : 8 + missing] = [NOTHING] * missing
    assert all_ids(run(Sort(), stream)) == ids


def test_settings_are_used() -> None:
    stream = walk(12)
    stream[5:8] = [NOTHING] * 3
    results = run(Sort(SortSettings(min_hits=0, track_buffer=0.5)), stream)
    assert [tracks.ids.tolist() for tracks in results] == [[1]] * 5 + [[]] * 3 + [[1]] * 4


@pytest.mark.parametrize("score", [0.49, 0.0, -1.0])
def test_low_scores_are_not_used(score) -> None:
    low = detect([BOX, [500, 100, 540, 200]], scores=[0.9, score])
    assert [tracks.detections.tolist() for tracks in run(Sort(), [low] * 5)] == [[0]] * 5


def test_classes_are_not_matched_with_each_other() -> None:
    """A box whose class alternates is two tracks, each detected in every second frame."""
    stream = [detect(BOX, labels=[index % 2]) for index in range(20)]
    results = run(Sort(SortSettings(min_hits=0)), stream)
    assert [tracks.ids.tolist() for tracks in results] == [[1], [2]] * 10
    assert [tracks.labels.tolist() for tracks in results] == [[0], [1]] * 10


# Time


@pytest.mark.parametrize("speed", [2.0, 9.0])
def test_half_the_frame_rate_gives_the_same_tracks(speed) -> None:
    stream = walk(60, speed)
    full, half = run(Sort(), stream)[::2], run(Sort(), stream[::2], frames(15))
    assert [tracks.ids.tolist() for tracks in full] == [tracks.ids.tolist() for tracks in half]
    for one, other in zip(full[10:], half[10:], strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.5)


def test_prediction_bridges_a_gap_in_time() -> None:
    """After half a second at 9 pixels a frame the last box is far away, the prediction is not."""
    stream = walk(60, speed=9)
    kept = [*range(30), *range(45, 60)]
    clock = [Frame(None, index + 1, index / 30) for index in kept]
    results = run(Sort(), [stream[index] for index in kept], clock)
    assert [tracks.ids.tolist() for tracks in results] == [[1]] * len(kept)


@pytest.mark.parametrize("fps", [5, 15, 30, 60])
def test_a_track_survives_one_missed_frame_at_any_rate(fps) -> None:
    stream = walk(20, speed=1)
    stream[10] = NOTHING
    assert all_ids(run(Sort(), stream, frames(fps))) == [1]
