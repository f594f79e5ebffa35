"""OC-SORT (Cao et al., CVPR 2023), one track at a time.

Section 4.1, observation-centric re-update (ORU); 4.2, observation-centric momentum (OCM), and
recovery (OCR). Ids are given when a track is first reported, oldest track first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from support.oracle_kalman import AreaKalman, Array, assign, by_score, iou, move_box
from support.oracle_worlds import Reported

from mot.types import Detections


def center(box: Array) -> Array:
    return (box[:2] + box[2:]) / 2


def unit_vector(start: Array, end: Array) -> Array:
    """The direction from one box to another; zero between equal centers."""
    way = center(end) - center(start)
    length = np.linalg.norm(way)
    return way / length if length > 0 else np.zeros(2)


@dataclass(eq=False)
class Track:
    kalman: AreaKalman
    observations: dict[int, Array]  # by frame
    frozen: AreaKalman  # the filter after the last observation
    row: int
    direction: Array = field(default_factory=lambda: np.zeros(2))
    streak: int = 0  # consecutive detections after the first
    id: int = 0

    @property
    def last_frame(self) -> int:
        return max(self.observations)

    @property
    def last_box(self) -> Array:
        return self.observations[self.last_frame]

    def earlier(self, frame: int, delta_t: int) -> Array:
        """The observation `delta_t` frames ago, or the next later one, or the last one."""
        for age in range(delta_t, 0, -1):
            if frame - age in self.observations:
                return self.observations[frame - age]
        return self.last_box

    def predict(self) -> None:
        """Areas do not become negative."""
        if self.kalman.mean[2] + self.kalman.mean[6] <= 0:
            self.kalman.mean[6] = 0
        self.kalman.predict()
        self.row = -1

    def reupdate(self, box: Array, frame: int) -> None:
        """ORU: z_t = z_t1 + (t - t1) / (t2 - t1) * (z_t2 - z_t1) in center, width and height."""
        start, t1 = self.last_box, self.last_frame
        self.kalman = self.frozen.copy()
        for t in range(t1 + 1, frame):
            self.kalman.predict()
            self.kalman.update(start + (t - t1) / (frame - t1) * (box - start))
        self.kalman.predict()

    def observe(self, box: Array, row: int, frame: int, delta_t: int) -> None:
        missed = frame - self.last_frame > 1
        self.streak = 1 if missed else self.streak + 1
        if missed:
            self.reupdate(box, frame)
        # Departure from the authors' code: the last box of the path is applied once, not twice.
        self.kalman.update(box)
        self.direction = unit_vector(self.earlier(frame, delta_t), box)
        self.observations = {t: z for t, z in self.observations.items() if frame - t < delta_t}
        self.observations[frame], self.row = box, row
        self.frozen = self.kalman.copy()

    def move(self, motion: Array) -> None:
        """Camera motion, as in Deep OC-SORT: filters, observations and direction move."""
        self.kalman.warp(motion)
        self.frozen.warp(motion)
        self.observations = {t: move_box(box, motion) for t, box in self.observations.items()}
        turned = motion[:, :2] @ self.direction
        length = np.linalg.norm(turned)
        self.direction = turned / length if length > 0 else turned


@dataclass(eq=False)
class OcSortOracle:
    min_score: float = 0.6
    low_score: float = 0.1  # of the ByteTrack stage
    use_low_scores: bool = False
    min_iou: float = 0.3
    min_hits: int = 3
    max_age: int = 30  # frames
    delta_t: int = 3  # frames
    inertia: float = 0.2  # lambda
    tracks: list[Track] = field(default_factory=list)
    frame: int = 0
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.frame += 1
        self.boxes = detections.boxes.astype(np.float64)
        self.scores = detections.scores.astype(np.float64)
        rows = by_score(detections)
        high = [row for row in rows if self.scores[row] > self.min_score]
        low = [row for row in rows if self.low_score <= self.scores[row] <= self.min_score]
        for track in self.tracks:
            track.predict()
            if motion is not None:
                track.move(motion)
        pairs = self.match_with_momentum(high)
        if self.use_low_scores:
            pairs += self.match_iou(pairs, low, [track.kalman.box for track in self.tracks])
        pairs += self.match_iou(pairs, high, [track.last_box for track in self.tracks])  # OCR
        for track, row in pairs:
            track.observe(self.boxes[row], row, self.frame, self.delta_t)
        matched = {row for _, row in pairs}
        self.tracks += [self.new_track(row) for row in high if row not in matched]
        return self.report()

    def match_with_momentum(self, rows: list[int]) -> list[tuple[Track, int]]:
        """IoU and OCM: cost = -IoU + lambda * C_v, with C_v in [-1/2, 1/2].

        C_v grows with the angle between the direction of the track and that to the detection; as
        in the authors' code it is weighted by the score. Departure: pairs below the minimum IoU are
        kept out of the assignment.
        """
        cost = np.full((len(self.tracks), len(rows)), np.inf)
        for i, track in enumerate(self.tracks):
            predicted, earlier = track.kalman.box, track.earlier(self.frame, self.delta_t)
            for j, row in enumerate(rows):
                overlap = iou(predicted, self.boxes[row])
                if overlap <= self.min_iou:
                    continue
                intention = unit_vector(earlier, self.boxes[row])
                angle = np.arccos(np.clip(intention @ track.direction, -1, 1))
                momentum = (angle / np.pi - 0.5) if track.direction.any() else 0.0
                cost[i, j] = 1 - overlap + self.inertia * momentum * self.scores[row]
        return [(self.tracks[i], rows[j]) for i, j in assign(cost, 1.0)]

    def match_iou(
        self, pairs: list[tuple[Track, int]], rows: list[int], boxes: list[Array]
    ) -> list[tuple[Track, int]]:
        """Unmatched tracks, at these boxes, with unmatched detections."""
        taken_tracks, taken_rows = {id(track) for track, _ in pairs}, {row for _, row in pairs}
        left = [(track, box) for track, box in zip(self.tracks, boxes, strict=True)]
        left = [(track, box) for track, box in left if id(track) not in taken_tracks]
        rows = [row for row in rows if row not in taken_rows]
        cost = np.array([[1 - iou(box, self.boxes[row]) for row in rows] for _, box in left])
        cost = cost.reshape(len(left), len(rows))
        return [(left[i][0], rows[j]) for i, j in assign(cost, 1 - self.min_iou)]

    def new_track(self, row: int) -> Track:
        kalman = AreaKalman(self.boxes[row])
        return Track(kalman, {self.frame: self.boxes[row]}, kalman.copy(), row)

    def report(self) -> dict[int, Reported]:
        """Tracks with a detection, of enough consecutive ones; their boxes are the observations."""
        reported = {}
        for track in self.tracks:
            proven = track.streak >= self.min_hits or self.frame <= self.min_hits
            if track.row >= 0 and proven:
                if not track.id:
                    self.ids += 1
                    track.id = self.ids
                reported[track.id] = Reported(track.last_box, track.row)
        self.tracks = [t for t in self.tracks if self.frame - t.last_frame <= self.max_age]
        return reported
