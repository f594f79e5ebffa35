"""Images in, detections out."""

from __future__ import annotations

# Name -> module, function or class, its settings. Nothing is imported before a detector is built.
DETECTORS: dict[str, tuple[str, str, str]] = {
    "person": ("mot.detectors.built_in", "build", "PersonSettings"),
    "joint": ("mot.detectors.built_in", "build", "JointSettings"),
    "motion": ("mot.detectors.motion", "MotionDetector", "MotionSettings"),
    "darknet": ("mot.detectors.darknet.detector", "build", "DarknetSettings"),
    "onnx": ("mot.detectors.onnx.network", "build", "OnnxSettings"),
    "yolov3": ("mot.detectors.architectures", "build", "Yolov3Settings"),
    "retinanet": ("mot.detectors.architectures", "build", "RetinanetSettings"),
    "fasterrcnn": ("mot.detectors.architectures", "build", "FasterrcnnSettings"),
    "fcos": ("mot.detectors.architectures", "build", "FcosSettings"),
    "ssd": ("mot.detectors.architectures", "build", "SsdSettings"),
    "cfg": ("mot.detectors.architectures", "build", "CfgSettings"),
    "fairmot": ("mot.detectors.architectures", "build", "FairmotSettings"),
    "jde": ("mot.detectors.architectures", "build", "JdeSettings"),
    "safetensors": ("mot.detectors.architectures", "build_file", "FileSettings"),
}
# What runs a file, by its suffix.
BY_SUFFIX = {".cfg": "darknet", ".onnx": "onnx", ".safetensors": "safetensors"}
DEFAULT_DETECTOR = "person"
ENTRY_POINTS = "mot.detectors"  # the group in which other packages add theirs
