"""Who is who over several data sets: numbers from 0 without gaps, as networks are taught them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mot.datasets.dataset import Annotations, DataSet
from mot.types import IntArray

NOBODY = -1  # the identity of who is not told


def numbered(datasets: Sequence[DataSet], kinds: Sequence[str]) -> tuple[list[DataSet], int]:
    """The data sets with such identities, and how many there are. Of the kind `boxes` each object
    is someone else, of `none` nobody is known, else they are as the data set tells."""
    count = 0
    renumbered = []
    for data, kind in zip(datasets, kinds, strict=True):
        ids, known = _numbers(data.annotations, kind)
        renumbered.append(data.with_ids(np.where(ids == NOBODY, NOBODY, ids + count)))
        count += known
    return renumbered, count


def _numbers(annotations: Annotations, kind: str) -> tuple[IntArray, int]:
    """(N,) from 0, and how many differ; of objects that are ignored nobody is."""
    told = annotations.ids
    if kind != "told":
        told = np.arange(len(told)) if kind == "boxes" else np.full(len(told), NOBODY)
    someone = (told != NOBODY) & ~annotations.ignored
    known, numbers = np.unique(told[someone], return_inverse=True)
    ids = np.full(len(told), NOBODY, np.int64)
    ids[someone] = numbers
    return ids, len(known)
