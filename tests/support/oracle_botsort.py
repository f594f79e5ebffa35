"""BoT-SORT (Aharon et al., 2022), one track at a time.

ByteTrack's three matchings (Algorithm 1) with a filter of width and height (3.1), camera motion
(3.2) and the fusion of IoU with appearance (3.3). Ids are given when a track is confirmed, oldest
track first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from support.oracle_kalman import Array, SizeKalman, assign, by_score, iou
from support.oracle_worlds import Reported

from mot.types import Detections


@dataclass(eq=False)
class Track:
    kalman: SizeKalman
    embedding: Array | None  # the moving average, of length 1
    born: int  # frame
    seen: int  # frame of the last detection
    row: int
    id: int = 0  # 0 until confirmed
    lost: bool = False


@dataclass(eq=False)
class BotSortOracle:
    high_score: float = 0.6
    low_score: float = 0.1
    new_score: float = 0.7
    max_cost: float = 0.8  # of the first matching
    max_low_cost: float = 0.5  # of that with low scores
    max_unconfirmed_cost: float = 0.7
    max_iou_distance: float = 0.5  # theta_iou
    max_appearance_distance: float = 0.25  # theta_emb
    momentum: float = 0.9  # alpha of the moving average
    max_age: int = 30  # frames
    duplicate_iou: float = 0.85
    tracks: list[Track] = field(default_factory=list)
    frame: int = 0
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.frame += 1
        self.read(detections)
        rows = by_score(detections)
        high = [row for row in rows if self.scores[row] > self.high_score]
        low = [row for row in rows if self.low_score <= self.scores[row] <= self.high_score]
        confirmed = [track for track in self.tracks if track.id]
        unconfirmed = [track for track in self.tracks if not track.id]
        followed = [track for track in confirmed if not track.lost]
        self.predict(motion)
        high = self.match(confirmed, high, self.fused_cost, self.max_cost)
        followed_left = [track for track in followed if track.row < 0]
        self.match(followed_left, low, self.iou_cost, self.max_low_cost)
        high = self.match(unconfirmed, high, self.fused_cost, self.max_unconfirmed_cost)
        for track in followed:
            track.lost = track.row < 0
        self.confirm()
        self.remove()
        self.tracks += [self.new_track(row) for row in high if self.scores[row] >= self.new_score]
        if self.frame == 1:
            self.confirm()
        return {t.id: Reported(t.kalman.box, t.row) for t in self.tracks if t.id and t.row >= 0}

    def read(self, detections: Detections) -> None:
        self.boxes = detections.boxes.astype(np.float64)
        self.scores = detections.scores.astype(np.float64)
        self.embeddings = None
        if detections.embeddings is not None:
            vectors = detections.embeddings.astype(np.float64)
            self.embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def predict(self, motion: Array | None) -> None:
        """Lost tracks keep their size. Departure: unconfirmed tracks are predicted as well."""
        for track in self.tracks:
            if track.lost:
                track.kalman.mean[6:] = 0
            track.kalman.predict()
            if motion is not None:
                track.kalman.warp(motion)
            track.row = -1

    def match(
        self,
        tracks: list[Track],
        rows: list[int],
        cost_of: Callable[[Track, int], float],
        max_cost: float,
    ) -> list[int]:
        """Match these tracks with these detections; the rows left."""
        cost = np.array([[cost_of(track, row) for row in rows] for track in tracks])
        pairs = assign(cost.reshape(len(tracks), len(rows)), max_cost)
        for i, j in pairs:
            self.observe(tracks[i], rows[j])
        taken = {rows[j] for _, j in pairs}
        return [row for row in rows if row not in taken]

    def iou_cost(self, track: Track, row: int) -> float:
        return 1 - iou(track.kalman.box, self.boxes[row])

    def fused_cost(self, track: Track, row: int) -> float:
        """min(d_iou, d_cos), d_cos where both are below their thresholds; IoU times the score."""
        overlap = iou(track.kalman.box, self.boxes[row])
        cost = 1 - overlap * self.scores[row] if overlap > 0 else np.inf
        if self.embeddings is None or track.embedding is None:
            return cost
        appearance = 0.5 * (1 - track.embedding @ self.embeddings[row])
        near = 1 - overlap <= self.max_iou_distance
        similar = appearance <= self.max_appearance_distance
        return min(cost, appearance) if near and similar else cost

    def observe(self, track: Track, row: int) -> None:
        """Departure: embeddings are also updated from detections of low scores."""
        track.kalman.update(self.boxes[row])
        if self.embeddings is not None and track.embedding is not None:
            mean = self.momentum * track.embedding + (1 - self.momentum) * self.embeddings[row]
            track.embedding = mean / np.linalg.norm(mean)
        track.row, track.seen, track.lost = row, self.frame, False

    def confirm(self) -> None:
        """A track is confirmed at its second detection; in the first frame at once."""
        for track in self.tracks:
            if track.row >= 0 and not track.id:
                self.ids += 1
                track.id = self.ids

    def remove(self) -> None:
        """Unconfirmed tracks without a detection, those lost for too long, and duplicates."""
        self.tracks = [t for t in self.tracks if t.id and self.frame - t.seen <= self.max_age]
        duplicates = self.duplicates()
        self.tracks = [track for track in self.tracks if track not in duplicates]

    def duplicates(self) -> list[Track]:
        """Of a lost track and a matched one with about the same box, the younger.

        Departure: the lost track is compared with the detection of the other, not its filtered box.
        """
        duplicates = []
        for lost in (track for track in self.tracks if track.lost):
            for found in (track for track in self.tracks if track.row >= 0):
                if iou(lost.kalman.box, self.boxes[found.row]) > self.duplicate_iou:
                    lost_is_older = lost.seen - lost.born > self.frame - found.born
                    duplicates.append(found if lost_is_older else lost)
        return duplicates

    def new_track(self, row: int) -> Track:
        embedding = None if self.embeddings is None else self.embeddings[row]
        return Track(SizeKalman(self.boxes[row]), embedding, self.frame, self.frame, row)
