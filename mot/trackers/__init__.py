"""Detections of each frame in, tracks out. NumPy and SciPy alone."""

from __future__ import annotations

# Name -> module, class, settings. Nothing is imported before a tracker is built.
TRACKERS: dict[str, tuple[str, str, str]] = {
    "bytetrack": ("mot.trackers.bytetrack", "ByteTrack", "ByteTrackSettings"),
    "sort": ("mot.trackers.sort", "Sort", "SortSettings"),
}
DEFAULT_TRACKER = "sort"
