"""BoostTrack (Stanojevic and Todorovic, 2024), one track at a time.

S = IoU + l_IoU c IoU + l_Mh S_Mh + l_shape c S_shape, where c is the confidence of the detection
times that of the track. Ids are given when a track is first reported, oldest track first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from support.oracle_kalman import CHI2_95, Array, AspectKalman, assign, by_score, iou
from support.oracle_worlds import Reported

from mot.types import Detections


def shape_similarity(a: Array, b: Array) -> float:
    """exp(-(|w_a - w_b| / max(w_a, w_b) + |h_a - h_b| / max(h_a, h_b)))"""
    sizes = zip(a[2:] - a[:2], b[2:] - b[:2], strict=True)
    return math.exp(-sum(abs(one - other) / max(one, other) for one, other in sizes))


@dataclass(eq=False)
class Track:
    kalman: AspectKalman  # departure from the paper: the filter of DeepSORT
    confidence: float  # the score of its last detection
    row: int
    streak: int = 0  # consecutive detections after the first
    missed: int = 0  # frames since the last detection
    id: int = 0


@dataclass(eq=False)
class BoostTrackOracle:
    low_score: float = 0.1
    min_score: float = 0.6
    boost: float = 0.65  # beta_c
    min_iou: float = 0.3
    lambda_iou: float = 0.5
    lambda_mahalanobis: float = 0.25
    lambda_shape: float = 0.25
    min_hits: int = 3
    max_age: int = 30  # frames
    tracks: list[Track] = field(default_factory=list)
    frame: int = 0
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.frame += 1
        self.boxes = detections.boxes.astype(np.float64)
        self.scores = detections.scores.astype(np.float64)
        for track in self.tracks:
            track.kalman.predict()
            if motion is not None:
                track.kalman.warp(motion)
            track.row, track.missed = -1, track.missed + 1
        self.predicted = [track.kalman.box for track in self.tracks]
        rows = [row for row in by_score(detections) if self.scores[row] >= self.low_score]
        likely = [row for row in rows if self.boosted(row) >= self.min_score]
        for track, row in self.match(likely):
            track.kalman.update(self.boxes[row])
            track.streak = track.streak + 1 if track.missed == 1 else 1
            track.confidence, track.row, track.missed = float(self.scores[row]), row, 0
        taken = {track.row for track in self.tracks}
        # Departure: a boosted score does not start a track.
        new = [row for row in rows if self.scores[row] >= self.min_score and row not in taken]
        for row in new:
            kalman = AspectKalman(self.boxes[row])
            self.tracks.append(Track(kalman, float(self.scores[row]), row))
        return self.report()

    def boosted(self, row: int) -> float:
        """Detecting likely objects: c = max(c, beta_c * max_j IoU(d, t_j)).

        Departure: there is no boost of detections far from all tracks.
        """
        overlaps = [iou(box, self.boxes[row]) for box in self.predicted]
        return max(self.scores[row], self.boost * max(overlaps, default=0.0))

    def match(self, rows: list[int]) -> list[tuple[Track, int]]:
        """Departure: pairs below the minimum IoU are kept out of the assignment."""
        cost = np.full((len(self.tracks), len(rows)), np.inf)
        for i, track in enumerate(self.tracks):
            for j, row in enumerate(rows):
                overlap = iou(self.predicted[i], self.boxes[row])
                if overlap >= self.min_iou:
                    cost[i, j] = 1 - self.similarity(track, self.predicted[i], overlap, row)
        return [(self.tracks[i], rows[j]) for i, j in assign(cost, 1.0)]

    def similarity(self, track: Track, predicted: Array, overlap: float, row: int) -> float:
        confidence = track.confidence * self.scores[row]
        # Departure: linear in the squared distance, without the softmax.
        distance = track.kalman.squared_mahalanobis([self.boxes[row]])[0]
        closeness = max(1 - distance / CHI2_95, 0)
        shape = shape_similarity(predicted, self.boxes[row])
        similarity = overlap + self.lambda_iou * confidence * overlap
        similarity += self.lambda_mahalanobis * closeness
        return similarity + self.lambda_shape * confidence * shape

    def report(self) -> dict[int, Reported]:
        """Tracks with a detection, of enough consecutive ones."""
        reported = {}
        for track in self.tracks:
            proven = track.streak >= self.min_hits or self.frame <= self.min_hits
            if track.row >= 0 and proven:
                if not track.id:
                    self.ids += 1
                    track.id = self.ids
                reported[track.id] = Reported(track.kalman.box, track.row)
        self.tracks = [track for track in self.tracks if track.missed <= self.max_age]
        return reported
