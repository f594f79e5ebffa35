"""The detectors that come with mot: people, in pictures of any size, on ONNX Runtime or PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mot.detectors.architectures import FileSettings, LoadedModel
from mot.detectors.architectures import load_model as load_family
from mot.detectors.network import DetectorSettings, NetworkDetector, common_settings
from mot.detectors.select import ready_network
from mot.errors import MotError
from mot.model_zoo import SHIPPED
from mot.runtime.onnx_session import cpu_block

WIDE = 16  # channels: a file of the same network for CPUs that take so many at a time


@dataclass(frozen=True, slots=True)
class PersonSettings(DetectorSettings):
    """As of any network, but that it has its own weights."""

    # The score from which on precision and recall are best balanced, for trackers that take all.
    SURE: ClassVar[float] = 0.5
    follows_shape: bool = True  # without a size, an input of 640x384 pixels in the picture's shape


@dataclass(frozen=True, slots=True)
class JointSettings(PersonSettings):
    """Of the one that finds the same people, and tells what they look like."""


_NAMES: dict[type[PersonSettings], str] = {PersonSettings: "person", JointSettings: "joint"}


def build(settings: PersonSettings) -> NetworkDetector:
    name = _NAMES[type(settings)]
    if settings.weights:
        raise MotError(
            f"--weights {settings.weights}: {name} has its own: --detector FILE runs others"
        )
    file = SHIPPED / (f"{name}{WIDE}.onnx" if cpu_block() == WIDE else f"{name}.onnx")
    network = ready_network(settings, file, lambda: load_model(settings))
    return NetworkDetector(network, settings, settings.follows_shape)


def load_model(settings: PersonSettings) -> LoadedModel:
    """The network, to be exported, or trained further."""
    path = SHIPPED / f"{_NAMES[type(settings)]}.safetensors"
    return load_family(FileSettings(model=str(path), **common_settings(settings)))
