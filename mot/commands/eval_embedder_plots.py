"""What an embedder does, as pictures: distances of pairs, and its worst confusions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mot.files import write_bytes
from mot.opencv import cv2
from mot.reports.reid import plot_distances
from mot.reports.reid_confusions import draw_worst, portraits_of
from mot.trackers.best import BestSettings
from mot.trackers.botsort import BotSort, BotSortSettings
from mot.trackers.deepsort import DeepSortSettings
from mot.trackers.strongsort import StrongSortSettings

if TYPE_CHECKING:
    from mot.commands.eval_embedder import Measured


def plot(measured: Measured, folder: Path) -> None:
    found = measured.found
    plot_distances(
        found.same, found.different, found.equal_error(), _thresholds(), folder / "distances.png"
    )
    gallery, queries, others = measured.gallery, measured.queries, measured.others
    sheet = draw_worst(gallery.name, portraits_of(gallery), queries, others, found)
    if sheet is not None:
        write_bytes(folder / "confusions.png", cv2.imencode(".png", sheet)[1].tobytes())


def _thresholds() -> Mapping[str, float]:
    """Cosine distances up to which trackers take two looks for one person."""
    return {
        "deepsort": DeepSortSettings().appearance_thresh,
        "strongsort, fairmot": StrongSortSettings().appearance_thresh,
        "best": BestSettings().appearance_thresh,
        # Of half the distance.
        "botsort": BotSortSettings().appearance_thresh / BotSort.appearance_weight,
    }
