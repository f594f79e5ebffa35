"""Detections of each frame in, tracks out. NumPy and SciPy alone.

>>> from mot.trackers import ByteTrack, ByteTrackSettings
>>> tracker = ByteTrack(ByteTrackSettings(track_buffer=2.0))
>>> tracker.update([[10, 20, 50, 120, 0.9]]).ids.tolist()
[1]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mot.trackers.best import Best, BestSettings
    from mot.trackers.boosttrack import BoostTrack, BoostTrackSettings
    from mot.trackers.botsort import BotSort, BotSortSettings
    from mot.trackers.bytetrack import ByteTrack, ByteTrackSettings
    from mot.trackers.cbiou import CBIoU, CBIoUSettings
    from mot.trackers.deepsort import DeepSort, DeepSortSettings
    from mot.trackers.fairmot import FairMot, FairMotSettings
    from mot.trackers.ocsort import OcSort, OcSortSettings
    from mot.trackers.sort import Sort, SortSettings
    from mot.trackers.strongsort import StrongSort, StrongSortSettings

# Name -> module, class, settings. Nothing is imported before a tracker is used.
TRACKERS: dict[str, tuple[str, str, str]] = {
    "best": ("mot.trackers.best", "Best", "BestSettings"),
    "boosttrack": ("mot.trackers.boosttrack", "BoostTrack", "BoostTrackSettings"),
    "botsort": ("mot.trackers.botsort", "BotSort", "BotSortSettings"),
    "bytetrack": ("mot.trackers.bytetrack", "ByteTrack", "ByteTrackSettings"),
    "cbiou": ("mot.trackers.cbiou", "CBIoU", "CBIoUSettings"),
    "deepsort": ("mot.trackers.deepsort", "DeepSort", "DeepSortSettings"),
    "fairmot": ("mot.trackers.fairmot", "FairMot", "FairMotSettings"),
    "ocsort": ("mot.trackers.ocsort", "OcSort", "OcSortSettings"),
    "sort": ("mot.trackers.sort", "Sort", "SortSettings"),
    "strongsort": ("mot.trackers.strongsort", "StrongSort", "StrongSortSettings"),
}
DEFAULT_TRACKER = "best"
__all__ = [
    "DEFAULT_TRACKER",
    "TRACKERS",
    "Best",
    "BestSettings",
    "BoostTrack",
    "BoostTrackSettings",
    "BotSort",
    "BotSortSettings",
    "ByteTrack",
    "ByteTrackSettings",
    "CBIoU",
    "CBIoUSettings",
    "DeepSort",
    "DeepSortSettings",
    "FairMot",
    "FairMotSettings",
    "OcSort",
    "OcSortSettings",
    "Sort",
    "SortSettings",
    "StrongSort",
    "StrongSortSettings",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, *names in TRACKERS.values():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'mot.trackers' has no attribute {name!r}")
