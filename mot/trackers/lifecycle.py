"""How tracks live: three ways, each shared by several methods. What is matched is corrected
before; here tracks are confirmed, lost, removed and born, and it is said which are reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mot.trackers.base import Candidates, Tracker, hits_needed
from mot.trackers.matching import Pairs
from mot.trackers.stages import Cost, Stages
from mot.trackers.table import CONFIRMED, LOST, TENTATIVE

Mask = npt.NDArray[np.bool_]


class SortLife(Tracker):
    """SORT: reported with enough detections in a row, and from the first frames at once."""

    settings: Any  # has min_hits and track_buffer

    def _live(self, found: Candidates, born: Mask, elapsed: float) -> Mask:
        settings, table = self.settings, self._table
        self._bear(found, born.nonzero()[0])
        reported: Mask = table.rows >= 0
        if self._frames > settings.min_hits:
            reported &= table.hits > settings.min_hits
        self._confirm(reported)
        alive = ~self._outlived(settings.track_buffer, elapsed)
        table.keep(alive)
        return reported[alive]


class ByteTrackLife(Tracker):
    """ByteTrack: confirmed at the second detection in a row, lost for a while, found again."""

    still_axes_when_lost: tuple[int, ...] = ()  # of the filter
    settings: Any  # has track_buffer, and duplicate_iou where duplicates are looked for

    def _before_prediction(self) -> None:
        """A lost track no longer grows or shrinks."""
        if self.still_axes_when_lost:
            lost = (self._table.phases == LOST).nonzero()[0]
            for axis in self.still_axes_when_lost:
                self._table.state[1, axis, lost] = 0

    def _live(
        self,
        found: Candidates,
        stages: Stages,
        born: Mask,
        elapsed: float,
        cost: Cost | None = None,
    ) -> Mask:
        """With the `cost` of all pairs, 1 - IoU, duplicates are removed too."""
        table = self._table
        unseen = (table.phases == TENTATIVE) & stages.free_tracks
        table.phases[(table.phases == CONFIRMED) & stages.free_tracks] = LOST
        self._confirm(table.rows >= 0)
        dead = unseen | self._outlived(self._lifetime, elapsed)
        if cost is not None:
            dead |= self._duplicates(cost, stages.pairs(), self.settings.duplicate_iou)
        table.keep(~dead)
        self._bear(found, born.nonzero()[0])
        if self._frames == 1:
            self._confirm(table.rows >= 0)
        reported: Mask = (table.phases == CONFIRMED) & (table.rows >= 0)
        return reported

    @property
    def _lifetime(self) -> float:
        """Seconds without a detection."""
        buffer: float = self.settings.track_buffer
        return buffer

    def _duplicates(self, cost: Cost, pairs: Pairs, min_iou: float) -> npt.NDArray[np.bool_]:
        """Of a lost track and one that was matched to a detection which covers it, the younger.

        `cost` is 1 - IoU of all tracks and candidates.
        """
        table = self._table
        double = np.zeros(len(table), np.bool_)
        lost = (table.phases == LOST).nonzero()[0]
        tracks, found = pairs
        if len(lost) and len(tracks):
            rows, columns = (cost[lost[:, None], found] < 1 - min_iou).nonzero()
            rows, columns = lost[rows], tracks[columns]
            older = table.age[rows] - table.idle[rows] > table.age[columns]
            double[np.where(older, columns, rows)] = True
        return double


class DeepSortLife(Tracker):
    """DeepSORT: confirmed after some detections in a row, reported for a moment without one."""

    settings: Any  # has n_init, max_age, track_buffer and report_missed

    def _live(self, found: Candidates, stages: Stages, elapsed: float) -> Mask:
        settings, table = self.settings, self._table
        unseen = (table.phases == TENTATIVE) & stages.free_tracks
        self._confirm((table.rows >= 0) & (table.hits >= hits_needed(settings.n_init, elapsed)))
        dead = unseen | self._outlived(settings.track_buffer, elapsed, settings.max_age)
        table.keep(~dead)
        self._bear(found, stages.free_found.nonzero()[0])
        recent = ~self._outlived(settings.report_missed, elapsed)
        reported: Mask = (table.phases == CONFIRMED) & recent
        return reported
