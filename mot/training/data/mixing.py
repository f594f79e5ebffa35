"""Several datasets in one epoch, each as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np
import numpy.typing as npt

from mot.types import IntArray


def mixed(
    datasets: Sequence[Sized],
    weights: Sequence[float] | None = None,
    length: int | None = None,
    seed: int = 0,
    epoch: int = 0,
) -> IntArray:
    """(N, 2) the dataset and the image of each step, shuffled; the same for a seed and epoch.

    A image of a dataset of weight 2 comes twice as often as one of weight 1; of weight 0.5, half
    of the images come. With a `length` all weights are scaled until it is met.
    """
    sizes = np.array([len(each) for each in datasets], np.float64)
    counts = _counts(sizes * (1.0 if weights is None else np.array(weights, np.float64)), length)
    rng = np.random.default_rng([seed, epoch])
    parts = [np.zeros((0, 2), np.int64)]
    for index, (each, count) in enumerate(zip(datasets, counts.tolist(), strict=True)):
        rows = _rows(len(each), count, rng)
        parts.append(np.stack([np.full(count, index), rows], axis=1))
    steps: IntArray = rng.permutation(np.concatenate(parts))
    return steps


def _counts(shares: npt.NDArray[np.float64], length: int | None) -> IntArray:
    """Integers as near to the fractions as their sum allows."""
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError("there is no image to choose, or a weight is negative")
    total = round(float(shares.sum())) if length is None else length
    exact = shares * (total / shares.sum())
    counts: IntArray = np.floor(exact + 1e-9).astype(np.int64)
    most_left_out = np.argsort(counts - exact, kind="stable")
    counts[most_left_out[: total - counts.sum()]] += 1
    return counts


def _rows(size: int, count: int, rng: np.random.Generator) -> IntArray:
    """Each image as often as any other, or once more."""
    cycles, rest = divmod(count, size) if size else (0, 0)
    rows = [np.tile(np.arange(size), cycles), rng.permutation(size)[:rest]]
    return np.concatenate(rows)
