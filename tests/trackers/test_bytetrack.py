"""ByteTrack equals the paper, written here with filterpy's filter and lap's assignment."""

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

from mot.trackers.bytetrack import ByteTrack, ByteTrackSettings
from mot.types import Detections

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import filterpy.kalman

Array = npt.NDArray[np.float64]
HIGH, LOW, NEW, BUFFER = 0.6, 0.1, 0.7, 30


def measure(box: Array) -> Array:
    """Center, aspect and height."""
    w, h = box[2] - box[0], box[3] - box[1]
    return np.array([box[0] + w / 2, box[1] + h / 2, w / h, h])


def overlap(a: Array, b: Array) -> float:
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(w, 0) * max(h, 0)
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


@dataclass(eq=False)
class ReferenceTrack:
    filter: filterpy.kalman.KalmanFilter
    id: int
    start: int
    row: int
    seen: int  # frame of the last detection
    confirmed: bool
    lost: bool = False

    @property
    def box(self) -> Array:
        x, y, aspect, height = self.filter.x[:4, 0]
        half = np.array([aspect * height, height]) / 2
        return np.concatenate([(x, y) - half, (x, y) + half])

    def predict(self) -> None:
        if self.lost:
            self.filter.x[7] = 0
        height = self.filter.x[3, 0]
        place, speed = height / 20, height / 160
        noise = np.array([place, place, 1e-2, place, speed, speed, 1e-5, speed])
        self.filter.predict(Q=np.diag(noise**2))
        self.row = -1

    def update(self, box: Array, row: int, frame: int) -> None:
        place = self.filter.x[3, 0] / 20
        noise = np.array([place, place, 1e-1, place])
        self.filter.update(measure(box)[:, None], R=np.diag(noise**2))
        self.row, self.seen, self.confirmed, self.lost = row, frame, True, False


class Reference:
    """Stages: confirmed and lost tracks with high scores, confirmed with low scores, then new."""

    def __init__(self) -> None:
        self.tracks: list[ReferenceTrack] = []
        self.frame = 0
        self.ids = itertools.count()

    def update(self, detections: Detections) -> list[ReferenceTrack]:
        self.frame += 1
        self.seen, self.scores = detections.boxes.astype(np.float64), detections.scores
        high = [*np.flatnonzero(self.scores > HIGH)]
        low = [*np.flatnonzero((self.scores > LOW) & (self.scores <= HIGH))]
        confirmed = [track for track in self.tracks if track.confirmed]
        new = [track for track in self.tracks if not track.confirmed]
        followed = [track for track in confirmed if not track.lost]
        for track in self.tracks:
            track.predict()
        left = self.assign(confirmed, high, 0.9, fused=True)
        self.assign([track for track in followed if track.row < 0], low, 0.5, fused=False)
        left = self.assign(new, left, 0.7, fused=True)
        for track in followed:
            track.lost = track.row < 0
        self.remove()
        self.tracks += [self.spawn(row) for row in left if self.scores[row] >= NEW]
        return [track for track in self.tracks if track.confirmed and track.row >= 0]

    def assign(
        self, tracks: list[ReferenceTrack], rows: list[int], limit: float, fused: bool
    ) -> list[int]:
        """The unmatched rows."""
        if not tracks or not rows:
            return rows
        similarity = np.array([[overlap(t.box, self.seen[row]) for row in rows] for t in tracks])
        if fused:
            similarity = similarity * self.scores[rows]
        _, chosen, _ = lap.lapjv(1 - similarity, extend_cost=True, cost_limit=limit)
        taken = [(track, rows[c]) for track, c in zip(tracks, chosen, strict=True) if c >= 0]
        for track, row in taken:
            track.update(self.seen[row], row, self.frame)
        return [row for row in rows if row not in {row for _, row in taken}]

    def remove(self) -> None:
        """Remove unconfirmed tracks without a match, expired tracks, and the younger of duplicates.

        Like our tracker, it compares a lost track with the detection of the other track.
        """
        self.tracks = [
            track
            for track in self.tracks
            if track.row >= 0 or (track.confirmed and self.frame - track.seen <= BUFFER)
        ]
        lost = [track for track in self.tracks if track.lost]
        found = [track for track in self.tracks if track.row >= 0]
        duplicates = [
            two if one.seen - one.start > two.seen - two.start else one
            for one, two in itertools.product(lost, found)
            if overlap(one.box, self.seen[two.row]) > 0.85
        ]
        self.tracks = [track for track in self.tracks if track not in duplicates]

    def spawn(self, row: int) -> ReferenceTrack:
        height = self.seen[row][3] - self.seen[row][1]
        place, speed = height / 10, height / 16
        kalman = filterpy.kalman.KalmanFilter(dim_x=8, dim_z=4)
        kalman.F, kalman.H = np.eye(8) + np.eye(8, k=4), np.eye(4, 8)
        kalman.P = np.diag(np.square([place, place, 1e-2, place, speed, speed, 1e-5, speed]))
        kalman.x = np.concatenate([measure(self.seen[row]), np.zeros(4)])[:, None]
        first = self.frame == 1
        return ReferenceTrack(kalman, next(self.ids), self.frame, row, self.frame, first)


@pytest.mark.parametrize(("scene", "seed"), [("crowd", 1), ("crossing", 2), ("camera", 3)])
def test_equals_the_paper(scene, seed) -> None:
    stream = zip(world(seed, 150, scene), frames(), strict=False)
    our_ids, reported = match_reference_ids(Reference(), ByteTrack(), stream)
    assert reported > 1000
    assert len(set(our_ids.values())) == len(our_ids)


@pytest.mark.parametrize(("score", "ids"), [(0.3, [1]), (0.05, [1, 2])])
def test_low_scores_extend_a_track_but_start_none(score, ids) -> None:
    """The score is low for longer than the buffer."""
    low = [detect(d.boxes, scores=[score]) for d in walk(60)]
    stream = [*walk(10), *low[10:50], *walk(60)[50:]]
    results = run(ByteTrack(), stream)
    assert all_ids(results) == ids
    assert {len(t) for t in results[10:50]} == {int(score > LOW)}
    assert all_ids(run(ByteTrack(), low)) == []


@pytest.mark.parametrize(("missed", "ids"), [(30, [1]), (31, [1, 2])])
def test_a_lost_track_keeps_its_id_within_the_buffer(missed, ids) -> None:
    stream = walk(60, speed=0)
    stream[10 : 10 + missed] = [NOTHING] * missed
    assert all_ids(run(ByteTrack(), stream)) == ids


def test_the_buffer_is_in_seconds() -> None:
    stream = walk(60, speed=0)
    stream[10:30] = [NOTHING] * 20
    assert all_ids(run(ByteTrack(), stream, frames(30))) == [1]
    assert all_ids(run(ByteTrack(), stream, frames(10))) == [1, 2]


@pytest.mark.parametrize(("limit", "last"), [(0.85, [1, 3]), (1.0, [1, 2])])
def test_the_younger_of_two_duplicates_is_removed(limit, last) -> None:
    """A second track overlaps the first and is lost: it is removed as a duplicate."""
    one, two = detect(BOX), detect([BOX, BOX + 1])
    tracker = ByteTrack(ByteTrackSettings(duplicate_iou=limit))
    results = run(tracker, [*[one] * 10, *[two] * 10, *[one] * 5, *[two] * 3])
    assert results[19].ids.tolist() == [1, 2]
    assert all(tracks.ids.tolist() == [1] for tracks in results[20:25])
    assert results[-1].ids.tolist() == last


def test_a_track_starts_from_a_high_score_only() -> None:
    medium = [detect(d.boxes, scores=[0.65]) for d in walk(10)]
    assert all_ids(run(ByteTrack(), medium)) == []
    assert all_ids(run(ByteTrack(), [*walk(3), *medium[3:]])) == [1]


def test_a_track_is_reported_from_its_second_detection() -> None:
    results = run(ByteTrack(), [NOTHING, *walk(4)])
    assert [len(tracks) for tracks in results] == [0, 0, 1, 1, 1]
    assert all_ids(run(ByteTrack(), [NOTHING, *walk(1), NOTHING, *walk(1)])) == []
