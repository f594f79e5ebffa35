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


class Stages:
    """The matching of N tracks and M candidates."""

    def __init__(self, tracks: int, found: int, trace: list[Stage] | None = None) -> None:
        self.free_tracks = np.ones(tracks, np.bool_)
        self.free_found = np.ones(found, np.bool_)
        self._pairs: list[Pairs] = []
        self._trace = trace

    def match(self, name: str, cost: Cost, limit: float, tracks: Mask, found: Mask) -> None:
        """Match the free ones of these tracks and candidates; `cost` is of all of them."""
        rows = (tracks & self.free_tracks).nonzero()[0]
        columns = (found & self.free_found).nonzero()[0]
        if not (len(rows) and len(columns)):
            return
        chosen, taken = match(cost[rows[:, None], columns], limit)
        pairs = rows[chosen], columns[taken]
        self.free_tracks[pairs[0]] = False
        self.free_found[pairs[1]] = False
        self._pairs.append(pairs)
        if self._trace is not None:
            self._trace.append(Stage(name, cost, limit, rows, columns, pairs))

    def pairs(self) -> Pairs:
        """All that were matched."""
        if not self._pairs:
            none = np.zeros(0, np.int64)
            return none, none
        tracks, found = zip(*self._pairs, strict=True)
        return np.concatenate(tracks), np.concatenate(found)
