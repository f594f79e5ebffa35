"""What an embedder does, as pictures: distances of pairs, and its worst confusions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mot.appearance.crops import cut
from mot.files import write_bytes
from mot.opencv import cv2
from mot.reports.looks import Confusion, Person, draw_confusions, plot_distances
from mot.trackers.best import BestSettings
from mot.trackers.botsort import BotSort, BotSortSettings
from mot.trackers.deepsort import DeepSortSettings
from mot.trackers.strongsort import StrongSortSettings
from mot.types import IntArray

if TYPE_CHECKING:
    from mot.cli.evaluating_embedder import Measured

_MOST = 12  # confusions


def plot(measured: Measured, folder: Path) -> None:
    found = measured.found
    plot_distances(
        found.same, found.different, found.equal_error(), _thresholds(), folder / "distances.png"
    )
    queries = _worst(measured)
    if len(queries):
        confused = int((found.rank[found.answerable] > 1).sum())
        title = (
            f"{measured.gallery.name}: of {int(found.answerable.sum())} queries {confused} have "
            "another person nearest; the worst, each pair of people once"
        )
        sheet = draw_confusions(_confusions(measured, queries), title)
        encoded = cv2.imencode(".png", sheet)[1].tobytes()
        write_bytes(folder / "confusions.png", encoded)


def _thresholds() -> Mapping[str, float]:
    """Cosine distances up to which trackers take two looks for one person."""
    return {
        "deepsort": DeepSortSettings().appearance_thresh,
        "strongsort, fairmot": StrongSortSettings().appearance_thresh,
        "best": BestSettings().appearance_thresh,
        # Of half the distance.
        "botsort": BotSortSettings().appearance_thresh / BotSort.looks_weight,
    }


def _worst(measured: Measured) -> IntArray:
    """The queries whose right one is the farthest beyond a wrong one."""
    found, ids = measured.found, measured.gallery.ids
    both = np.flatnonzero((found.nearest >= 0).all(axis=1))
    right, wrong = found.distances[both].T
    order = both[np.argsort(wrong - right, kind="stable")]
    pairs = np.stack([ids[measured.queries], ids[measured.others[found.nearest[:, 1]]]], axis=1)
    _, first = np.unique(pairs[order], axis=0, return_index=True)
    return order[np.sort(first)[:_MOST]]


def _confusions(measured: Measured, queries: IntArray) -> list[Confusion]:
    crops, ids = measured.gallery.crops, measured.gallery.ids
    right, wrong = measured.others[measured.found.nearest[queries]].T
    rows = np.stack([measured.queries[queries], wrong, right], axis=1)
    images = cut(crops, rows.ravel())

    def person(row: int) -> Person:
        return Person(images[row], int(ids[row]), crops.name(row))

    distances = measured.found.distances[queries].tolist()
    return [
        Confusion(person(query), person(other), person(same), (to_other, to_same))
        for (query, other, same), (to_same, to_other) in zip(rows.tolist(), distances, strict=True)
    ]
