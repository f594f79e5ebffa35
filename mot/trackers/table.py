"""The tracks of one tracker: a structure of arrays, one entry a track, in order of birth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.trackers.kalman import State

Column = npt.NDArray[Any]

# The life of a track; one that is removed leaves the table.
TENTATIVE, CONFIRMED, LOST = 0, 1, 2


class TrackTable:
    """The last axis of a column is the track; of `extra`, one method's own columns, the first."""

    def __init__(self, **extra: Column) -> None:
        self._bind(np.zeros((5, 4, 0)), np.zeros((5, 0), np.int64), np.zeros((3, 0)), extra)

    def _bind(
        self,
        state: State,
        whole: npt.NDArray[np.int64],
        real: npt.NDArray[np.float64],
        extra: dict[str, Column],
    ) -> None:
        """The columns are views of two arrays, so that births and deaths copy few."""
        self.state, self._whole, self._real, self.extra = state, whole, real, extra
        self.ids = whole[0]  # 0 until confirmed
        self.phases = whole[1]
        self.hits = whole[2]  # detections in a row
        self.labels = whole[3]
        self.rows = whole[4]  # of this frame's detection, or -1
        self.idle = real[0]  # frames of 1/30 s since the last detection
        self.scores = real[1]  # of the last detection
        self.age = real[2]  # frames of 1/30 s since birth

    def __len__(self) -> int:
        return len(self.ids)

    def step(self, elapsed: float) -> None:
        """A new frame, in which no track has a detection yet."""
        self.idle += elapsed
        self.age += elapsed
        self.rows.fill(-1)

    def hit(self, tracks: Column, rows: Column, scores: Column) -> None:
        """The tracks that these detections belong to."""
        self.rows[tracks] = rows
        self.scores[tracks] = scores
        self.idle[tracks] = 0
        self.hits[tracks] += 1

    def append(
        self, state: State, rows: Column, scores: Column, labels: Column, **extra: Column
    ) -> None:
        """Tentative tracks born of these detections."""
        whole = np.zeros((5, len(rows)), np.int64)
        whole[1], whole[2], whole[3], whole[4] = TENTATIVE, 1, labels, rows
        real = np.zeros((3, len(rows)))
        real[1] = scores
        self._bind(
            np.concatenate([self.state, state], axis=2),
            np.concatenate([self._whole, whole], axis=1),
            np.concatenate([self._real, real], axis=1),
            {name: np.concatenate([column, extra[name]]) for name, column in self.extra.items()},
        )

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Remove the others."""
        if alive.all():
            return
        kept = alive.nonzero()[0]
        self._bind(
            self.state.take(kept, axis=2),
            self._whole.take(kept, axis=1),
            self._real.take(kept, axis=1),
            {name: column[kept] for name, column in self.extra.items()},
        )
