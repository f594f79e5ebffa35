"""Who is who over several datasets: numbers from 0 without gaps, as networks are taught them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mot.datasets.dataset import Annotations, DataSet
from mot.types import IntArray

UNKNOWN_ID = -1


def numbered(datasets: Sequence[DataSet], kinds: Sequence[str]) -> tuple[list[DataSet], int]:
    """The datasets with such identities, and how many there are. Of the kind `boxes` each object
    is someone else, with `none` no identity is known, else they are as annotated."""
    count = 0
    renumbered = []
    for data, kind in zip(datasets, kinds, strict=True):
        ids, known = _numbers(data.annotations, kind)
        renumbered.append(data.with_ids(np.where(ids == UNKNOWN_ID, UNKNOWN_ID, ids + count)))
        count += known
    return renumbered, count


def _numbers(annotations: Annotations, kind: str) -> tuple[IntArray, int]:
    """(N,) from 0, and how many differ; ignored objects have none."""
    source = annotations.ids
    if kind != "annotated":
        count = len(source)
        source = np.arange(count) if kind == "boxes" else np.full(count, UNKNOWN_ID)
    is_known = (source != UNKNOWN_ID) & ~annotations.ignored
    values, numbers = np.unique(source[is_known], return_inverse=True)
    ids = np.full(len(source), UNKNOWN_ID, np.int64)
    ids[is_known] = numbers
    return ids, len(values)
