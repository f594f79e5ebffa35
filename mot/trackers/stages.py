"""Matching in stages: each takes what the earlier ones left."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mot.trackers.matching import Pairs, match

Cost = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


class Stage(NamedTuple):
    """What one stage saw and decided, for `mot explain`."""

    name: str
    cost: Cost  # (N, M) of all tracks and candidates
    limit: float
    tracks: npt.NDArray[np.int64]  # those that took part
    found: npt.NDArray[np.int64]
    pairs: Pairs


class Parts(NamedTuple):
    """What costs are made of, (N, M) each, before a method weighs it."""

    overlap: Cost  # 1 - IoU with the prediction; infinite between classes
    looks: Cost | None = None  # cosine distances to the memory; infinite where it holds nothing
    motion: Cost | None = None  # squared Mahalanobis distances, of methods that use them
    appearance_weight: float = 1.0  # with which the looks come into a cost; the motion has the rest
    appearance_share: float = 0.0  # with which they come on top of a cost of overlaps


class Trace(NamedTuple):
    """How one frame was matched; row i of a stage's cost is the track `ids[i]`."""

    ids: npt.NDArray[np.int64]  # (N,) 0 for a track that has none yet
    rows: npt.NDArray[np.int64]  # (M,) of the frame's detections
    stages: list[Stage]
    parts: Parts | None = None


class Stages:
    """The matching of N tracks and M candidates."""

    def __init__(self, tracks: int, found: int, record: list[Stage] | None = None) -> None:
        self.free_tracks = np.ones(tracks, np.bool_)
        self.free_found = np.ones(found, np.bool_)
        self._pairs: list[Pairs] = []
        self._record = record

    def match(
        self,
        name: str,
        cost: Cost,
        limit: float,
        tracks: Mask | None = None,
        found: Mask | None = None,
    ) -> None:
        """Match the free ones of these tracks and candidates, or of all; `cost` is of all."""
        rows = _chosen(self.free_tracks, tracks)
        columns = _chosen(self.free_found, found)
        pairs: Pairs = rows[:0], columns[:0]
        if len(rows) and len(columns):
            whole = cost.shape == (len(rows), len(columns))
            chosen, taken = match(cost if whole else cost[rows[:, None], columns], limit)
            pairs = rows[chosen], columns[taken]
            self.free_tracks[pairs[0]] = False
            self.free_found[pairs[1]] = False
            self._pairs.append(pairs)
        if self._record is not None:
            self._record.append(Stage(name, cost, limit, rows, columns, pairs))

    def pairs(self) -> Pairs:
        """All that were matched."""
        if not self._pairs:
            none = np.zeros(0, np.int64)
            return none, none
        if len(self._pairs) == 1:
            return self._pairs[0]
        tracks, found = zip(*self._pairs, strict=True)
        return np.concatenate(tracks), np.concatenate(found)


def _chosen(free: Mask, wanted: Mask | None) -> npt.NDArray[np.int64]:
    return (free if wanted is None else free & wanted).nonzero()[0]
