"""Which crops make up each batch of an epoch: P people, K crops of each (Hermans et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mot.training.data.mixing import mixed
from mot.training.data.sampling import Order
from mot.types import IntArray

_GROUPS = 3  # what is drawn: numbers of an epoch that repeat no others


@dataclass(frozen=True, slots=True)
class PersonSettings:
    each: int  # crops of a person in a batch
    batch: int  # crops, over all processes
    seed: int = 0
    ranks: int = 1  # processes

    def __post_init__(self) -> None:
        group = self.each * self.ranks
        if self.batch % group or self.batch < 1:
            raise ValueError(
                f"batch = {self.batch} must be a multiple of {group}: {self.each} crops of each "
                f"person (augment.each), in {self.ranks} process{'es' * (self.ranks > 1)}"
            )


def by_person(
    ids: IntArray, counts: Sequence[int], weights: Sequence[float], wanted: PersonSettings
) -> Order:
    """Of crops of the people `ids` in datasets of so many crops, one behind the other.

    Each crop comes as often as the weight of its dataset says, in a group of K of its person.
    Whose crops are no multiple of K has some of them once more: even a single one makes a group.
    The groups of a person are spread over the epoch; an incomplete batch waits for another epoch.
    Of `Batches`, each process gets complete groups.
    """
    starts = np.cumsum([0, *counts])
    sets = [range(count) for count in counts]

    def order(epoch: int) -> IntArray:
        steps = mixed(sets, weights, seed=wanted.seed, epoch=epoch)
        rows = starts[steps[:, 0]] + steps[:, 1]
        rng = np.random.default_rng([_GROUPS, wanted.seed, epoch])
        return _batched(_grouped(rows, ids, wanted.each, rng), wanted)

    return order


def _grouped(rows: IntArray, ids: IntArray, each: int, rng: np.random.Generator) -> IntArray:
    """(G, K) crops of one person in each row, those of a person far from one another."""
    rows = rows[np.argsort(ids[rows], kind="stable")]
    _, starts, counts = np.unique(ids[rows], return_index=True, return_counts=True)
    groups = -(-counts // each)
    person = np.repeat(np.arange(len(counts)), groups)  # (G,)
    number = np.arange(len(person)) - np.repeat(np.cumsum(groups) - groups, groups)
    place = number[:, None] * each + np.arange(each)  # (G, K) among the crops of the person
    crops: IntArray = rows[starts[person, None] + place % counts[person, None]]
    when = (number + rng.random(len(counts))[person]) / groups[person]
    return crops[np.argsort(when, kind="stable")]


def _batched(groups: IntArray, wanted: PersonSettings) -> IntArray:
    """(N,) crops in their order, every n-th for a process, in complete batches."""
    people = wanted.batch // wanted.each
    count = max(1, len(groups) // people)
    taken = np.arange(count * people) % len(groups)  # of too few some come again
    shares = groups[taken].reshape(count, wanted.ranks, -1)  # of each batch, for each process
    return shares.transpose(0, 2, 1).reshape(-1)
