"""StrongSORT (Du et al., IEEE TMM 2023), one track at a time.

DeepSORT with the paper's changes of section 3.2: EMA, NSA Kalman, motion cost, one assignment in
place of the cascade, and camera motion. Ids are given when a track is confirmed, oldest track
first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from support.oracle_kalman import CHI2_95, Array, AspectKalman, assign, by_score, iou
from support.oracle_worlds import Reported

from mot.types import Detections


@dataclass(eq=False)
class Track:
    kalman: AspectKalman
    embedding: Array  # the moving average, of length 1
    row: int
    hits: int = 1
    age: int = 0  # frames since the last detection
    id: int = 0  # 0 until confirmed


@dataclass(eq=False)
class StrongSortOracle:
    min_score: float = 0.6
    max_cost: float = 0.4
    appearance_weight: float = 0.98  # lambda
    momentum: float = 0.9  # alpha
    max_iou_distance: float = 0.7
    hits_to_confirm: int = 3
    max_age: int = 30  # frames
    max_reported_age: int = 1  # frames that a track is reported at its prediction
    tracks: list[Track] = field(default_factory=list)
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.boxes = detections.boxes.astype(np.float64)
        self.scores = detections.scores.astype(np.float64)
        vectors = detections.embeddings.astype(np.float64)
        self.embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for track in self.tracks:
            track.kalman.predict()
            if motion is not None:
                track.kalman.warp(motion)
            track.row, track.age = -1, track.age + 1
        rows = [row for row in by_score(detections) if self.scores[row] >= self.min_score]
        confirmed = [track for track in self.tracks if track.id]
        rows = self.match(confirmed, rows, self.mixed_cost(confirmed, rows), self.max_cost)
        recent = [track for track in self.tracks if track.row < 0 and track.age == 1]
        rows = self.match(recent, rows, self.iou_cost(recent, rows), self.max_iou_distance)
        self.confirm_and_remove()
        for row in rows:
            self.tracks.append(Track(AspectKalman(self.boxes[row]), self.embeddings[row], row))
        reported = [t for t in self.tracks if t.id and t.age <= self.max_reported_age]
        return {track.id: Reported(track.kalman.box, track.row) for track in reported}

    def mixed_cost(self, tracks: list[Track], rows: list[int]) -> Array:
        """C = lambda A_a + (1 - lambda) A_m, within the gate of the motion distance A_m."""
        cost = np.full((len(tracks), len(rows)), np.inf)
        for i, track in enumerate(tracks):
            distances = track.kalman.squared_mahalanobis([self.boxes[row] for row in rows])
            for j, row in enumerate(rows):
                if distances[j] <= CHI2_95:
                    appearance = 1 - track.embedding @ self.embeddings[row]
                    weight = self.appearance_weight
                    cost[i, j] = weight * appearance + (1 - weight) * distances[j]
        return cost

    def iou_cost(self, tracks: list[Track], rows: list[int]) -> Array:
        cost = np.zeros((len(tracks), len(rows)))
        for i, track in enumerate(tracks):
            for j, row in enumerate(rows):
                cost[i, j] = 1 - iou(track.kalman.box, self.boxes[row])
        return cost

    def match(
        self, tracks: list[Track], rows: list[int], cost: Array, max_cost: float
    ) -> list[int]:
        """Match and update; the rows left. Departure: pairs beyond the limit are kept out of it."""
        pairs = assign(cost, max_cost)
        for i, j in pairs:
            self.observe(tracks[i], rows[j])
        taken = {rows[j] for _, j in pairs}
        return [row for row in rows if row not in taken]

    def observe(self, track: Track, row: int) -> None:
        """NSA Kalman: R (1 - score); EMA: e = alpha e + (1 - alpha) f."""
        # Not in the paper: the factor is at least 0.001, so that a score of 1 leaves some noise.
        track.kalman.update(self.boxes[row], max(1 - self.scores[row], 1e-3))
        mean = self.momentum * track.embedding + (1 - self.momentum) * self.embeddings[row]
        track.embedding = mean / np.linalg.norm(mean)
        track.row, track.age, track.hits = row, 0, track.hits + 1

    def confirm_and_remove(self) -> None:
        """Unconfirmed tracks are removed at the first frame without a detection."""
        for track in self.tracks:
            if track.row >= 0 and track.hits >= self.hits_to_confirm and not track.id:
                self.ids += 1
                track.id = self.ids
        self.tracks = [
            track
            for track in self.tracks
            if track.row >= 0 or (track.id and track.age <= self.max_age)
        ]
