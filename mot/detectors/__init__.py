"""Images in, detections out."""

from __future__ import annotations

# Name -> module, function or class, its settings. Nothing is imported before a detector is built.
DETECTORS: dict[str, tuple[str, str, str]] = {
    "motion": ("mot.detectors.motion", "MotionDetector", "MotionSettings"),
    "darknet": ("mot.detectors.darknet_detector", "build", "DarknetSettings"),
    "onnx": ("mot.detectors.onnx", "build", "OnnxSettings"),
}
# What runs a file, by its suffix.
BY_SUFFIX = {".cfg": "darknet", ".onnx": "onnx"}
DEFAULT_DETECTOR = "motion"
ENTRY_POINTS = "mot.detectors"  # the group in which other packages add theirs
