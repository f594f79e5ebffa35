"""C-BIoU (Yang et al., WACV 2023), one track at a time.

Section 3.2, buffered IoU; 3.3, cascaded matching and the motion estimate. Ids are given when a
track is confirmed, oldest track first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from support.oracle_kalman import Array, assign, by_score, iou, move_box
from support.oracle_worlds import Reported

from mot.types import Detections


def buffered(box: Array, ratio: float) -> Array:
    """(x - b w, y - b h, w + 2 b w, h + 2 b h), in corners."""
    margin = np.tile(ratio * (box[2:] - box[:2]), 2)
    return box + margin * [-1, -1, 1, 1]


@dataclass(eq=False)
class Track:
    observations: list[tuple[int, Array]]  # frame and box, the last ones
    row: int
    id: int = 0  # 0 until confirmed

    @property
    def last_frame(self) -> int:
        return self.observations[-1][0]

    @property
    def last_box(self) -> Array:
        return self.observations[-1][1]

    def predicted(self, frame: int) -> Array:
        """The last observation moved on at the mean velocity over those remembered."""
        (first_frame, first), (last_frame, last) = self.observations[0], self.observations[-1]
        if first_frame == last_frame:
            return last
        velocity = (last - first) / (last_frame - first_frame)
        box = last + (frame - last_frame) * velocity
        return np.concatenate([box[:2], np.maximum(box[2:], box[:2])])  # sizes are not negative


@dataclass(eq=False)
class CBIoUOracle:
    min_score: float = 0.6
    buffers: tuple[float, ...] = (0.3, 0.5)  # b1, b2
    # Not in the paper: the minimum buffered IoU.
    min_iou: float = 0.3
    memory: int = 5  # observations
    max_age: int = 30  # frames
    tracks: list[Track] = field(default_factory=list)
    frame: int = 0
    ids: int = 0

    def update(self, detections: Detections, motion: Array | None = None) -> dict[int, Reported]:
        self.frame += 1
        self.boxes = detections.boxes.astype(np.float64)
        rows = [row for row in by_score(detections) if detections.scores[row] >= self.min_score]
        for track in self.tracks:
            track.row = -1
            if motion is not None:
                track.observations = [(t, move_box(z, motion)) for t, z in track.observations]
        rows = self.match_in_cascade(rows)
        self.confirm_and_remove()
        self.tracks += [Track([(self.frame, self.boxes[row])], row) for row in rows]
        if self.frame == 1:  # tracks of the first frame are confirmed at once, as in ByteTrack
            self.confirm_and_remove()
        return {t.id: Reported(t.last_box, t.row) for t in self.tracks if t.id and t.row >= 0}

    def match_in_cascade(self, rows: list[int]) -> list[int]:
        """All tracks with a small buffer, then those left with a large one; the rows left."""
        for ratio in self.buffers:
            tracks = [track for track in self.tracks if track.row < 0]
            cost = np.zeros((len(tracks), len(rows)))
            for i, track in enumerate(tracks):
                predicted = buffered(track.predicted(self.frame), ratio)
                for j, row in enumerate(rows):
                    cost[i, j] = 1 - iou(predicted, buffered(self.boxes[row], ratio))
            for i, j in assign(cost, 1 - self.min_iou):
                self.observe(tracks[i], rows[j])
            taken = {track.row for track in self.tracks}
            rows = [row for row in rows if row not in taken]
        return rows

    def observe(self, track: Track, row: int) -> None:
        track.observations.append((self.frame, self.boxes[row]))
        track.observations = track.observations[-self.memory :]
        track.row = row

    def confirm_and_remove(self) -> None:
        """Not in the paper: confirmed at the second of two consecutive detections."""
        for track in self.tracks:
            if track.row >= 0 and not track.id:
                self.ids += 1
                track.id = self.ids
        self.tracks = [t for t in self.tracks if t.id and self.frame - t.last_frame <= self.max_age]
