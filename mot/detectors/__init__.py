"""Images in, detections out."""

from __future__ import annotations

# Name -> module, class. Nothing is imported before a detector is built.
DETECTORS: dict[str, tuple[str, str]] = {
    "motion": ("mot.detectors.motion", "MotionDetector"),
}
DEFAULT_DETECTOR = "motion"
