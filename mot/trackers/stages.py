"""Matching in stages: each matches the tracks and candidates that earlier ones left."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mot.trackers.matching import Pairs, match

Cost = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


class Stage(NamedTuple):
    """Inputs and result of one stage, for `mot explain`."""

    name: str
    cost: Cost  # (N, M) of all tracks and candidates
    limit: float  # pairs from this cost on are not matched
    tracks: npt.NDArray[np.int64]  # rows of the tracks that took part
    found: npt.NDArray[np.int64]  # columns of the candidates that took part
    pairs: Pairs


class CostTerms(NamedTuple):
    """The terms of a cost, (N, M) each, before a method weights them."""

    overlap: Cost  # 1 - IoU with the prediction; infinite between classes
    appearance: Cost | None = None  # cosine distances; infinite without an embedding
    motion: Cost | None = None  # squared Mahalanobis distances, if the method uses them
    appearance_weight: float = 1.0  # of appearance in a mixed cost; motion has the rest
    appearance_share: float = 0.0  # of appearance added to an overlap cost


class Trace(NamedTuple):
    """The matching of one frame; row i of a stage's cost is the track `ids[i]`."""

    ids: npt.NDArray[np.int64]  # (N,) 0 for a track without an id yet
    rows: npt.NDArray[np.int64]  # (M,) rows of the candidates in the frame's detections
    stages: list[Stage]
    terms: CostTerms | None = None


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
        """Match free tracks and candidates.

        Args:
            name: of the stage, for `mot explain`.
            cost: (N, M) of all tracks and candidates; infinite for excluded pairs.
            limit: only pairs of a lower cost are matched.
            tracks: (N,) tracks that take part; None: all.
            found: (M,) candidates that take part; None: all.
        """
        rows = _free(self.free_tracks, tracks)
        columns = _free(self.free_found, found)
        pairs: Pairs = rows[:0], columns[:0]
        if len(rows) and len(columns):
            is_full = cost.shape == (len(rows), len(columns))
            chosen, taken = match(cost if is_full else cost[rows[:, None], columns], limit)
            pairs = rows[chosen], columns[taken]
            self.free_tracks[pairs[0]] = False
            self.free_found[pairs[1]] = False
            self._pairs.append(pairs)
        if self._record is not None:
            self._record.append(Stage(name, cost, limit, rows, columns, pairs))

    def pairs(self) -> Pairs:
        """The tracks and candidates of all matched pairs."""
        if not self._pairs:
            none = np.zeros(0, np.int64)
            return none, none
        if len(self._pairs) == 1:
            return self._pairs[0]
        tracks, found = zip(*self._pairs, strict=True)
        return np.concatenate(tracks), np.concatenate(found)


def _free(free: Mask, mask: Mask | None) -> npt.NDArray[np.int64]:
    return (free if mask is None else free & mask).nonzero()[0]
