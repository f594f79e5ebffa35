"""The tracks of one tracker: a structure of arrays, one entry a track, in order of birth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.trackers.kalman import State

Column = npt.NDArray[Any]

# The life of a track; one that is removed leaves the table.
TENTATIVE, CONFIRMED, LOST = np.int8(0), np.int8(1), np.int8(2)


class TrackTable:
    """Every array's last axis is the track; `extra` holds what one method alone needs."""

    def __init__(self, **extra: Column) -> None:
        self.state: State = np.zeros((5, 4, 0))
        self.phases = np.zeros(0, np.int8)
        self.ids = np.zeros(0, np.int64)  # 0 until confirmed
        self.hits = np.zeros(0, np.int64)  # detections in a row
        self.idle = np.zeros(0)  # frames of 1/30 s since the last detection
        self.scores = np.zeros(0, np.float32)  # of the last detection
        self.labels = np.zeros(0, np.int64)
        self.rows = np.zeros(0, np.int64)  # of this frame's detection, or -1
        self.extra = extra

    def __len__(self) -> int:
        return len(self.phases)

    def step(self, elapsed: float) -> None:
        """A new frame, in which no track has a detection yet."""
        self.idle += elapsed
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
        count = len(rows)
        born = {
            "state": state,
            "phases": np.full(count, TENTATIVE),
            "ids": np.zeros(count, np.int64),
            "hits": np.ones(count, np.int64),
            "idle": np.zeros(count),
            "scores": scores,
            "labels": labels,
            "rows": rows,
        }
        for name, column in born.items():
            setattr(self, name, np.concatenate([getattr(self, name), column], axis=-1))
        for name, column in extra.items():
            self.extra[name] = np.concatenate([self.extra[name], column], axis=-1)

    def keep(self, alive: npt.NDArray[np.bool_]) -> None:
        """Remove the others."""
        if alive.all():
            return
        for name, column in vars(self).items():
            if name != "extra":
                setattr(self, name, column[..., alive])
        self.extra = {name: column[..., alive] for name, column in self.extra.items()}
