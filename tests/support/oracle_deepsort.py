"""DeepSORT (Wojke et al., ICIP 2017), one track at a time.

The paper's section 2.1, track handling; 2.2, the assignment problem; 2.3, the matching cascade
(Listing 1). Ids are given when a track is confirmed, oldest track first.
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
    gallery: list[Array]  # the last embeddings, of length 1
    row: int
    hits: int = 1
    age: int = 0  # frames since the last detection
    id: int = 0  # 0 until confirmed

    def appearance_distance(self, embedding: Array) -> float:
        """d2: the smallest cosine distance to the gallery."""
        return min(1 - float(known @ embedding) for known in self.gallery)


@dataclass(eq=False)
class DeepSortOracle:
    max_appearance_distance: float = 0.2
    budget: int = 100  # L_k, embeddings in a gallery
    max_iou_distance: float = 0.7
    hits_to_confirm: int = 3
    max_age: int = 30  # A_max, frames
    max_reported_age: int = 1  # frames that a track is reported at its prediction
    tracks: list[Track] = field(default_factory=list)
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.boxes = detections.boxes.astype(np.float64)
        vectors = detections.embeddings.astype(np.float64)
        self.embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for track in self.tracks:
            track.kalman.predict()
            if motion is not None:
                track.kalman.warp(motion)
            track.row, track.age = -1, track.age + 1
        rows = self.match_in_cascade(by_score(detections))
        rows = self.match_iou(rows)
        self.confirm_and_remove()
        for row in rows:
            kalman = AspectKalman(self.boxes[row])
            self.tracks.append(Track(kalman, [self.embeddings[row]], row))
        reported = [t for t in self.tracks if t.id and t.age <= self.max_reported_age]
        return {track.id: Reported(track.kalman.box, track.row) for track in reported}

    def match_in_cascade(self, rows: list[int]) -> list[int]:
        """Listing 1: for n = 1, 2, ..., the confirmed tracks of age n; the rows left.

        Departure: n = A_max + 1 is matched as well, after A_max frames without a detection.
        """
        confirmed = [track for track in self.tracks if track.id]
        for age in range(1, self.max_age + 2):
            tracks = [track for track in confirmed if track.age == age]
            cost = self.gated_cost(tracks, rows)
            rows = self.match(tracks, rows, cost, self.max_appearance_distance)
        return rows

    def gated_cost(self, tracks: list[Track], rows: list[int]) -> Array:
        """d2, where the squared Mahalanobis distance d1 is within its 95 % gate (lambda = 0)."""
        cost = np.full((len(tracks), len(rows)), np.inf)
        for i, track in enumerate(tracks):
            distances = track.kalman.squared_mahalanobis([self.boxes[row] for row in rows])
            for j, row in enumerate(rows):
                if distances[j] <= CHI2_95:
                    cost[i, j] = track.appearance_distance(self.embeddings[row])
        return cost

    def match_iou(self, rows: list[int]) -> list[int]:
        """Unconfirmed tracks and unmatched ones of age 1; the rows left."""
        tracks = [track for track in self.tracks if track.row < 0 and track.age == 1]
        cost = np.zeros((len(tracks), len(rows)))
        for i, track in enumerate(tracks):
            for j, row in enumerate(rows):
                cost[i, j] = 1 - iou(track.kalman.box, self.boxes[row])
        return self.match(tracks, rows, cost, self.max_iou_distance)

    def match(
        self, tracks: list[Track], rows: list[int], cost: Array, max_cost: float
    ) -> list[int]:
        """Departure: pairs beyond the limit are kept out of the assignment."""
        pairs = assign(cost, max_cost)
        for i, j in pairs:
            self.observe(tracks[i], rows[j])
        taken = {rows[j] for _, j in pairs}
        return [row for row in rows if row not in taken]

    def observe(self, track: Track, row: int) -> None:
        track.kalman.update(self.boxes[row])
        track.gallery = [*track.gallery, self.embeddings[row]][-self.budget :]
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
