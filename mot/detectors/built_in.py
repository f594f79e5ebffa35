"""The built-in detectors `person` and `joint`, on ONNX Runtime or PyTorch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from mot.detectors import architectures
from mot.detectors.architectures import FileSettings, LoadedModel
from mot.detectors.models.architecture import FairmotSettings
from mot.detectors.network import DetectorSettings, NetworkDetector, common_settings
from mot.detectors.select import open_exported_network
from mot.errors import MotError
from mot.model_zoo import SHIPPED
from mot.runtime.onnx_session import cpu_block

WIDE_BLOCK = 16  # channels: CPUs that convolve so many at a time have a file of their own


@dataclass(frozen=True, slots=True)
class PersonSettings(DetectorSettings):
    name: ClassVar[str] = "person"
    sure_score: ClassVar[float | None] = 0.5

    follows_shape: bool = True  # default input: 640x384 pixels in the aspect ratio of the image


@dataclass(frozen=True, slots=True)
class JointSettings(PersonSettings):
    """Settings of the detector of the same persons with embeddings."""

    name: ClassVar[str] = "joint"


def build(settings: PersonSettings) -> NetworkDetector:
    """A built-in detector, with its own weights."""
    name = settings.name
    if settings.weights:
        raise MotError(
            f"--weights {settings.weights}: {name} has its own: --detector FILE runs others"
        )
    suffix = WIDE_BLOCK if cpu_block() == WIDE_BLOCK else ""
    file = SHIPPED / f"{name}{suffix}.onnx"
    network = open_exported_network(name, settings, file, lambda: load_model(settings))
    return NetworkDetector(network, settings, settings.follows_shape)


def load_model(settings: PersonSettings) -> LoadedModel:
    """The PyTorch model of a built-in detector."""
    path = SHIPPED / f"{settings.name}.safetensors"
    return architectures.load_model(FileSettings(model=str(path), **common_settings(settings)))


def build_fairmot(settings: FairmotSettings) -> NetworkDetector:
    """A FairMOT network from its weights file; without one, `joint`, which returns the same."""
    if settings.weights:
        return architectures.build(settings)
    print("mot: fairmot without weights: using the built-in joint instead", file=sys.stderr)
    return build(JointSettings(**common_settings(settings)))
