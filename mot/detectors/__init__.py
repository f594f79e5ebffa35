"""Images in, detections out."""

from __future__ import annotations

# Name -> module, function or class, its settings. Nothing is imported before a detector is built.
DETECTORS: dict[str, tuple[str, str, str]] = {
    "person": ("mot.detectors.person", "build", "PersonSettings"),
    "joint": ("mot.detectors.person", "build", "JointSettings"),
    "motion": ("mot.detectors.motion", "MotionDetector", "MotionSettings"),
    "darknet": ("mot.detectors.darknet_detector", "build", "DarknetSettings"),
    "onnx": ("mot.detectors.onnx", "build", "OnnxSettings"),
    "yolov3": ("mot.detectors.families", "build", "Yolov3Settings"),
    "retinanet": ("mot.detectors.families", "build", "RetinanetSettings"),
    "fasterrcnn": ("mot.detectors.families", "build", "FasterrcnnSettings"),
    "fcos": ("mot.detectors.families", "build", "FcosSettings"),
    "ssd": ("mot.detectors.families", "build", "SsdSettings"),
    "cfg": ("mot.detectors.families", "build", "CfgSettings"),
    "fairmot": ("mot.detectors.families", "build", "FairmotSettings"),
    "jde": ("mot.detectors.families", "build", "JdeSettings"),
    "safetensors": ("mot.detectors.families", "build_file", "FileSettings"),
}
# What runs a file, by its suffix.
BY_SUFFIX = {".cfg": "darknet", ".onnx": "onnx", ".safetensors": "safetensors"}
DEFAULT_DETECTOR = "person"
ENTRY_POINTS = "mot.detectors"  # the group in which other packages add theirs
