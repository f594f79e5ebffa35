"""Detections of each frame in, tracks out. NumPy and SciPy alone."""

from __future__ import annotations

# Name -> module, class, settings. Nothing is imported before a tracker is built.
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
