"""Of each identity switch: whether the ids came from, or went to, another person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mot.evaluation.clear import ClearMatches
from mot.evaluation.scene import SequencePairs
from mot.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Exchanges:
    """Of each switch; people and ids by number, -1: nobody, frames from 0."""

    scene: SequencePairs
    new_id: IntArray
    old_id: IntArray
    giver: IntArray  # who had the new id shortly before
    given: IntArray  # the last frame in which he had it
    heir: IntArray  # who got the old id, since then or shortly after the switch
    inherited: IntArray  # the first frame in which he has it

    def describe(self, index: int) -> str:
        """In words, with the names and frames of the files; nothing where there was none."""
        people, ids = self.scene.truth.names, self.scene.result.names
        giver, heir = self.giver[index], self.heir[index]
        if giver >= 0 and giver == heir:
            return f"ids exchanged with person {people[giver]}"
        parts = []
        if giver >= 0:
            until = f"until frame {self.given[index] + 1}"
            parts.append(f"id {ids[self.new_id[index]]} was person {people[giver]}'s {until}")
        if heir >= 0:
            since = f"in frame {self.inherited[index] + 1}"
            parts.append(f"id {ids[self.old_id[index]]} went to person {people[heir]} {since}")
        return ", ".join(parts)


def find_exchanges(scene: SequencePairs, clear: ClearMatches, soon: float) -> Exchanges:
    """`soon` is in frames."""
    pairs = scene.pairs[clear.pairs]
    person, frame = scene.truth.ids[pairs.truth], scene.truth.frames[pairs.truth]
    ids = scene.result.ids[pairs.result]
    now = np.flatnonzero(clear.is_switch)
    last, following = _neighbours(ids, frame)
    source, target = last[now], following[clear.before[now]]
    gave = (source >= 0) & (person[source] != person[now])
    gave &= frame[now] - frame[source] <= soon
    took = (target >= 0) & (person[target] != person[now])
    took &= frame[target] - frame[now] <= soon
    return Exchanges(
        scene,
        new_id=ids[now],
        old_id=ids[clear.before[now]],
        giver=np.where(gave, person[source], -1),
        given=frame[source],
        heir=np.where(took, person[target], -1),
        inherited=frame[target],
    )


def _neighbours(ids: IntArray, frames: IntArray) -> tuple[IntArray, IntArray]:
    """(M,) each match's last and next one of the same tracked id; -1: none."""
    order = np.lexsort((frames, ids))
    same = np.diff(ids[order]) == 0
    last, following = np.full((2, len(ids)), -1)
    last[order[1:][same]] = order[:-1][same]
    following[order[:-1][same]] = order[1:][same]
    return last, following
