"""Batches of P identities with K crops of each (Hermans et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mot.training.data.sampling import EpochOrder, mix_datasets
from mot.types import IntArray

_GROUPS = 3  # key of a random stream, beside those of `sampling`


@dataclass(frozen=True, slots=True)
class IdentitySamplerSettings:
    num_instances: int  # K: crops of an identity in a batch
    batch: int  # crops, over all processes
    seed: int = 0
    ranks: int = 1  # number of processes

    def __post_init__(self) -> None:
        group = self.num_instances * self.ranks
        if self.batch % group or self.batch < 1:
            raise ValueError(
                f"batch = {self.batch} must be a multiple of {group}: {self.num_instances} crops "
                f"of each identity (augment.num_instances), in {self.ranks} "
                f"process{'es' * (self.ranks > 1)}"
            )


def identity_order(
    ids: IntArray,
    counts: Sequence[int],
    weights: Sequence[float],
    settings: IdentitySamplerSettings,
) -> EpochOrder:
    """Over the concatenated crops of datasets.

    Each crop is drawn as often as the weight of its dataset, in groups of K of one identity. If the
    number of crops of an identity is not a multiple of K, some are repeated: even a single one
    makes a group. The groups of an identity are distributed over the epoch; an incomplete batch is
    left out. `BatchSampler` gives complete groups to each process.

    Args:
        ids: (N,) identities of the crops.
        counts: number of crops of each dataset.
    """
    starts = np.cumsum([0, *counts])
    sets = [range(count) for count in counts]

    def order(epoch: int) -> IntArray:
        mixed = mix_datasets(sets, weights, seed=settings.seed, epoch=epoch)
        rows = starts[mixed[:, 0]] + mixed[:, 1]
        rng = np.random.default_rng([_GROUPS, settings.seed, epoch])
        return _order_batches(_group(rows, ids, settings.num_instances, rng), settings)

    return order


def _group(rows: IntArray, ids: IntArray, num_instances: int, rng: np.random.Generator) -> IntArray:
    """(G, K) crops of one identity per row; the rows of an identity are far apart."""
    rows = rows[np.argsort(ids[rows], kind="stable")]
    _, starts, counts = np.unique(ids[rows], return_index=True, return_counts=True)
    groups = -(-counts // num_instances)
    identity = np.repeat(np.arange(len(counts)), groups)  # (G,)
    number = np.arange(len(identity)) - np.repeat(np.cumsum(groups) - groups, groups)
    index = number[:, None] * num_instances + np.arange(num_instances)  # (G, K) in the identity
    crops: IntArray = rows[starts[identity, None] + index % counts[identity, None]]
    when = (number + rng.random(len(counts))[identity]) / groups[identity]
    return crops[np.argsort(when, kind="stable")]


def _order_batches(groups: IntArray, settings: IdentitySamplerSettings) -> IntArray:
    """(N,) crops of complete batches, in which every n-th crop belongs to one process."""
    per_batch = settings.batch // settings.num_instances
    count = max(1, len(groups) // per_batch)
    taken = np.arange(count * per_batch) % len(groups)  # too few groups are repeated
    shares = groups[taken].reshape(count, settings.ranks, -1)  # of each process, in each batch
    return shares.transpose(0, 2, 1).reshape(-1)
