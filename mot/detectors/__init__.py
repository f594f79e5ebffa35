"""Detectors: images in, detections out."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class DetectorEntry(NamedTuple):
    """Where a detector is defined, as MODULE:NAME; nothing is imported before it is built."""

    build: str  # function or class, from settings to a detector
    settings: str  # dataclass
    load: str = ""  # function from settings to a PyTorch model with its spec and names, if any


def import_name(path: str) -> Any:
    """The object at MODULE:NAME."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _architecture(settings: str, build: str = "mot.detectors.architectures:build") -> DetectorEntry:
    return DetectorEntry(
        build,
        f"mot.detectors.models.architecture:{settings}",
        "mot.detectors.architectures:load_model",
    )


def _built_in(settings: str) -> DetectorEntry:
    return DetectorEntry(
        "mot.detectors.built_in:build",
        f"mot.detectors.built_in:{settings}",
        "mot.detectors.built_in:load_model",
    )


DETECTORS: dict[str, DetectorEntry] = {
    "person": _built_in("PersonSettings"),
    "joint": _built_in("JointSettings"),
    "motion": DetectorEntry(
        "mot.detectors.motion:MotionDetector", "mot.detectors.motion:MotionSettings"
    ),
    "darknet": DetectorEntry(
        "mot.detectors.darknet.detector:build",
        "mot.detectors.darknet.detector:DarknetSettings",
        "mot.detectors.darknet.detector:load_model",
    ),
    "onnx": DetectorEntry(
        "mot.detectors.onnx.network:build", "mot.detectors.onnx.network:OnnxSettings"
    ),
    "yolov3": _architecture("Yolov3Settings"),
    "retinanet": _architecture("RetinanetSettings"),
    "fasterrcnn": _architecture("FasterrcnnSettings"),
    "fcos": _architecture("FcosSettings"),
    "ssd": _architecture("SsdSettings"),
    "cfg": _architecture("CfgSettings"),
    "fairmot": _architecture("FairmotSettings", build="mot.detectors.built_in:build_fairmot"),
    "jde": _architecture("JdeSettings"),
    "safetensors": DetectorEntry(
        "mot.detectors.architectures:build_file",
        "mot.detectors.architectures:FileSettings",
        "mot.detectors.architectures:load_model",
    ),
}
BY_SUFFIX = {".cfg": "darknet", ".onnx": "onnx", ".safetensors": "safetensors"}
DEFAULT_DETECTOR = "person"
ENTRY_POINTS = "mot.detectors"  # group of the detectors of other packages
