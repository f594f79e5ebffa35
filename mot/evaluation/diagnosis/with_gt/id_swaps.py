"""Which id switches are swaps: the id came from, or went to, another gt track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.clear import ClearMatches
from mot.evaluation.sequence_pairs import SequencePairs
from mot.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class IdSwaps:
    """Of each of S id switches. Tracks are numbers of the box tables, -1: none; frames from 0."""

    seq: SequencePairs
    new_id: IntArray  # result track after the switch
    old_id: IntArray  # result track before the switch
    previous_owner: IntArray  # gt track that had the new id shortly before
    last_owned: IntArray  # its last frame with it
    next_owner: IntArray  # gt track that has the old id since, or gets it shortly after
    first_owned: IntArray  # its first frame with it

    def describe(self, index: int) -> str:
        """In words, with the ids and frames of the files; empty if it is no swap."""
        gt_ids, result_ids = self.seq.gt.file_ids, self.seq.result.file_ids
        previous, following = self.previous_owner[index], self.next_owner[index]
        if previous >= 0 and previous == following:
            return f"ids swapped with gt track {gt_ids[previous]}"
        parts = []
        if previous >= 0:
            owner = f"gt track {gt_ids[previous]} until frame {self.last_owned[index] + 1}"
            parts.append(f"id {result_ids[self.new_id[index]]} was on {owner}")
        if following >= 0:
            owner = f"gt track {gt_ids[following]} in frame {self.first_owned[index] + 1}"
            parts.append(f"id {result_ids[self.old_id[index]]} went to {owner}")
        return ", ".join(parts)


def find_id_swaps(seq: SequencePairs, clear: ClearMatches, max_frames: float) -> IdSwaps:
    """For each id switch, look for other owners of its ids within `max_frames` frames."""
    pairs = seq.pairs[clear.pairs]
    gt_track, frame = seq.gt.ids[pairs.gt], seq.gt.frames[pairs.gt]
    ids = seq.result.ids[pairs.result]
    now = np.flatnonzero(clear.is_switch)
    previous, following = _adjacent_matches(ids, frame)
    source, target = previous[now], following[clear.previous[now]]
    has_source = (source >= 0) & (gt_track[source] != gt_track[now])
    has_source &= frame[now] - frame[source] <= max_frames
    has_target = (target >= 0) & (gt_track[target] != gt_track[now])
    has_target &= frame[target] - frame[now] <= max_frames
    return IdSwaps(
        seq,
        new_id=ids[now],
        old_id=ids[clear.previous[now]],
        previous_owner=np.where(has_source, gt_track[source], -1),
        last_owned=frame[source],
        next_owner=np.where(has_target, gt_track[target], -1),
        first_owned=frame[target],
    )


def _adjacent_matches(ids: IntArray, frames: IntArray) -> tuple[IntArray, IntArray]:
    """(M,) the previous and the next match of the same result track; -1: none."""
    order = np.lexsort((frames, ids))
    same = np.diff(ids[order]) == 0
    previous, following = np.full((2, len(ids)), -1)
    previous[order[1:][same]] = order[:-1][same]
    following[order[:-1][same]] = order[1:][same]
    return previous, following
