"""Whom an embedder takes for whom: the worst of its confusions, on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from mot.reid.evaluation.crops import cut
from mot.reid.evaluation.galleries import Gallery
from mot.reid.evaluation.retrieval import Retrieval
from mot.reports.reid import Confusion, Person, draw_confusions
from mot.types import FloatArray, Image, IntArray

_MOST = 12


class Portraits(NamedTuple):
    """N crops of people, which are cut out when they are shown."""

    ids: IntArray  # (N,) who
    name: Callable[[int], str]  # of the crop of a row
    cut: Callable[[IntArray], Mapping[int, Image]]  # BGR, of some rows, by row


def portraits_of(gallery: Gallery) -> Portraits:
    return Portraits(gallery.ids, gallery.crops.name, partial(cut, gallery.crops))


def draw_worst(
    subject: str, portraits: Portraits, queries: IntArray, others: IntArray, found: Retrieval
) -> Image | None:
    """Of the rows that were looked for, and of those among which; None where nobody is confused
    with anybody."""
    worst = _worst(found, portraits.ids[queries], portraits.ids[others])
    if not len(worst):
        return None
    confused = int((found.rank[found.answerable] > 1).sum())
    title = (
        f"{subject}: of {int(found.answerable.sum())} queries {confused} have another person "
        "nearest; the worst, each pair of people once"
    )
    right, wrong = others[found.nearest[worst]].T
    rows = np.stack([queries[worst], wrong, right], axis=1)
    return draw_confusions(_confusions(portraits, rows, found.distances[worst]), title)


def _worst(found: Retrieval, ids: IntArray, other_ids: IntArray) -> IntArray:
    """The queries whose right one is the farthest beyond a wrong one."""
    both = np.flatnonzero((found.nearest >= 0).all(axis=1))
    right, wrong = found.distances[both].T
    order = both[np.argsort(wrong - right, kind="stable")]
    pairs = np.stack([ids, other_ids[found.nearest[:, 1]]], axis=1)
    _, first = np.unique(pairs[order], axis=0, return_index=True)
    return order[np.sort(first)[:_MOST]]


def _confusions(portraits: Portraits, rows: IntArray, distances: FloatArray) -> list[Confusion]:
    """Of (N, 3) rows, who was looked for, the wrong one and the right one, and (N, 2) distances to
    the right and the wrong one."""
    images = portraits.cut(rows.ravel())

    def person(row: int) -> Person:
        return Person(images[row], int(portraits.ids[row]), portraits.name(row))

    return [
        Confusion(person(query), person(wrong), person(right), (to_wrong, to_right))
        for (query, wrong, right), (to_right, to_wrong) in zip(
            rows.tolist(), distances.tolist(), strict=True
        )
    ]
