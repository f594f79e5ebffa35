"""The tracks of one tracker as a structure of arrays: one entry per track, oldest first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.trackers.kalman import State

Column = npt.NDArray[Any]

# Phases of a track; a removed one leaves the table.
TENTATIVE, CONFIRMED, LOST = 0, 1, 2


class TrackTable:
    """Columns of all tracks. `extra` holds the columns of one method.

    Tracks are on the last axis; in `extra` on the first.
    """

    def __init__(self, **extra: Column) -> None:
        self._bind(np.zeros((5, 4, 0)), np.zeros((5, 0), np.int64), np.zeros((3, 0)), extra)

    def _bind(
        self,
        state: State,
        integers: npt.NDArray[np.int64],
        floats: npt.NDArray[np.float64],
        extra: dict[str, Column],
    ) -> None:
        """The columns are views of two arrays, so that adding and removing tracks copies few."""
        self.state, self._integers, self._floats, self.extra = state, integers, floats, extra
        self.ids = integers[0]  # 0 until confirmed
        self.phases = integers[1]
        self.hits = integers[2]  # consecutive detections
        self.labels = integers[3]
        self.rows = integers[4]  # row of the frame's detection, or -1
        self.idle = floats[0]  # frames of 1/30 s since the last detection
        self.scores = floats[1]  # of the last detection
        self.age = floats[2]  # frames of 1/30 s since the first detection

    def __len__(self) -> int:
        return len(self.ids)

    def step(self, elapsed: float) -> None:
        """Begin a new frame, in which no track has a detection yet."""
        self.idle += elapsed
        self.age += elapsed
        self.rows.fill(-1)

    def hit(self, tracks: Column, rows: Column, scores: Column) -> None:
        """Assign detections to these tracks."""
        self.rows[tracks] = rows
        self.scores[tracks] = scores
        self.idle[tracks] = 0
        self.hits[tracks] += 1

    def append(
        self, state: State, rows: Column, scores: Column, labels: Column, **extra: Column
    ) -> None:
        """Add tentative tracks for these detections."""
        integers = np.zeros((5, len(rows)), np.int64)
        integers[1], integers[2], integers[3], integers[4] = TENTATIVE, 1, labels, rows
        floats = np.zeros((3, len(rows)))
        floats[1] = scores
        self._bind(
            np.concatenate([self.state, state], axis=2),
            np.concatenate([self._integers, integers], axis=1),
            np.concatenate([self._floats, floats], axis=1),
            {name: np.concatenate([column, extra[name]]) for name, column in self.extra.items()},
        )

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Remove all other tracks."""
        if alive.all():
            return
        kept = alive.nonzero()[0]
        self._bind(
            self.state.take(kept, axis=2),
            self._integers.take(kept, axis=1),
            self._floats.take(kept, axis=1),
            {name: column[kept] for name, column in self.extra.items()},
        )
