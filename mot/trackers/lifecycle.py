"""Lifecycles of tracks after matching: confirmed, lost, removed, spawned, reported.

Three lifecycles, each shared by several methods.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from mot.trackers.base import BaseTracker, Candidates, hits_needed
from mot.trackers.stages import Stages
from mot.trackers.table import CONFIRMED, LOST, TENTATIVE

Mask = npt.NDArray[np.bool_]


class SortLifecycleSettings(Protocol):
    @property
    def min_hits(self) -> int: ...

    @property
    def track_buffer(self) -> float: ...


class SortLifecycle(BaseTracker):
    """SORT: reported after enough consecutive detections, and at once in the first frames."""

    settings: SortLifecycleSettings

    def _update_lifecycle(self, found: Candidates, spawned: Mask, elapsed: float) -> Mask:
        settings, table = self.settings, self._table
        self._spawn(found, spawned.nonzero()[0])
        reported: Mask = table.rows >= 0
        if self._frames > settings.min_hits:
            reported &= table.hits > settings.min_hits
        self._confirm(reported)
        alive = ~self._is_expired(settings.track_buffer, elapsed)
        table.keep(alive)
        return reported[alive]


class ByteTrackLifecycleSettings(Protocol):
    @property
    def track_buffer(self) -> float: ...


class ByteTrackLifecycle(BaseTracker):
    """ByteTrack: confirmed at the second consecutive detection, lost for a while, revived."""

    still_axes_when_lost: tuple[int, ...] = ()  # of the filter
    settings: ByteTrackLifecycleSettings

    def _before_prediction(self) -> None:
        """Lost tracks keep their size."""
        if self.still_axes_when_lost:
            lost = (self._table.phases == LOST).nonzero()[0]
            for axis in self.still_axes_when_lost:
                self._table.state[1, axis, lost] = 0

    def _update_lifecycle(
        self,
        found: Candidates,
        stages: Stages,
        spawned: Mask,
        elapsed: float,
        covers: Mask | None = None,
    ) -> Mask:
        """`covers`: (N, M) candidates that cover a track; if given, duplicates are removed too."""
        table = self._table
        unseen = (table.phases == TENTATIVE) & stages.free_tracks
        table.phases[(table.phases == CONFIRMED) & stages.free_tracks] = LOST
        self._confirm(table.rows >= 0)
        dead = unseen | self._is_expired(self._lifetime, elapsed)
        if covers is not None:
            dead |= self._duplicates(covers, stages)
        table.keep(~dead)
        self._spawn(found, spawned.nonzero()[0])
        if self._frames == 1:
            self._confirm(table.rows >= 0)
        reported: Mask = (table.phases == CONFIRMED) & (table.rows >= 0)
        return reported

    @property
    def _lifetime(self) -> float:
        """Seconds without a detection."""
        return self.settings.track_buffer

    def _duplicates(self, covers: Mask, stages: Stages) -> Mask:
        """(N,) the younger of a lost track and of a matched one whose detection covers it."""
        table = self._table
        duplicates = np.zeros(len(table), np.bool_)
        lost = (table.phases == LOST).nonzero()[0]
        tracks, found = stages.pairs()
        if len(lost) and len(tracks):
            rows, columns = covers[lost[:, None], found].nonzero()
            rows, columns = lost[rows], tracks[columns]
            older = table.age[rows] - table.idle[rows] > table.age[columns]
            duplicates[np.where(older, columns, rows)] = True
        return duplicates


class DeepSortLifecycleSettings(Protocol):
    @property
    def n_init(self) -> int: ...

    @property
    def max_age(self) -> int: ...

    @property
    def track_buffer(self) -> float: ...

    @property
    def report_missed(self) -> float: ...


class DeepSortLifecycle(BaseTracker):
    """DeepSORT: confirmed after `n_init` consecutive detections, reported briefly without one."""

    settings: DeepSortLifecycleSettings

    def _update_lifecycle(self, found: Candidates, stages: Stages, elapsed: float) -> Mask:
        settings, table = self.settings, self._table
        unseen = (table.phases == TENTATIVE) & stages.free_tracks
        self._confirm((table.rows >= 0) & (table.hits >= hits_needed(settings.n_init, elapsed)))
        dead = unseen | self._is_expired(settings.track_buffer, elapsed, settings.max_age)
        table.keep(~dead)
        self._spawn(found, stages.free_found.nonzero()[0])
        recent = ~self._is_expired(settings.report_missed, elapsed)
        reported: Mask = (table.phases == CONFIRMED) & recent
        return reported
