"""The architectures by name: models from settings and weights files, and detectors that run them.

Models need PyTorch; this module does not, so that an exported network runs without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mot.detectors.darknet.trainable import embed_network
from mot.detectors.models.architecture import (
    Architecture,
    ArchitectureSettings,
    CfgSettings,
    FairmotSettings,
    FasterrcnnSettings,
    FcosSettings,
    JdeSettings,
    RetinanetSettings,
    SsdSettings,
    Yolov3Settings,
    resolve_classes,
)
from mot.detectors.network import DetectorSettings, NetworkDetector, common_settings
from mot.detectors.published import find_published
from mot.detectors.select import open_network
from mot.errors import MotError, suggest
from mot.runtime.onnx_cache import digest
from mot.runtime.preprocess import InputSpec, resolve_input_size
from mot.runtime.safetensors_metadata import read_metadata

if TYPE_CHECKING:
    from mot.detectors.models.base import DetectionModel

ARCHITECTURES: dict[str, type[ArchitectureSettings]] = {
    kind.architecture: kind
    for kind in (
        Yolov3Settings,
        RetinanetSettings,
        FasterrcnnSettings,
        FcosSettings,
        SsdSettings,
        CfgSettings,
        FairmotSettings,
        JdeSettings,
    )
}


@dataclass(frozen=True, slots=True)
class FileSettings(DetectorSettings):
    """Settings of a `.safetensors` file whose metadata names its architecture."""

    model: str = ""


class LoadedModel(NamedTuple):
    model: DetectionModel[Any]
    spec: InputSpec
    names: tuple[str, ...]  # of the classes
    settings: ArchitectureSettings  # with those of the weights file


def build(settings: ArchitectureSettings) -> NetworkDetector:
    """A detector of any architecture, from its weights file."""
    if not settings.weights:
        name = settings.architecture
        raise MotError(f"{name} needs weights: --weights FILE, or --detector FILE.safetensors")
    settings, path = resolve_weights(settings)

    def key() -> str:
        return digest((path,), checkpoint_metadata(settings), settings.partial)

    network = open_network(str(path), settings, key, lambda: load_model(settings))
    return NetworkDetector(network, settings)


def build_file(settings: FileSettings) -> NetworkDetector:
    """A detector from a `.safetensors` file whose metadata names its architecture."""
    return build(_settings_of_file(settings))


def _settings_of_file(settings: FileSettings) -> ArchitectureSettings:
    path = Path(settings.model)
    architecture = str(read_metadata(path).get("architecture"))
    if architecture not in ARCHITECTURES:
        raise MotError(f"{path}: names no architecture: --detector NAME --weights {path}")
    common = common_settings(settings)
    if common["weights"]:
        raise MotError(f"--weights {common['weights']}: {path} has its own: give one of the two")
    return ARCHITECTURES[architecture](**{**common, "weights": str(path)})


def load_model(settings: ArchitectureSettings | FileSettings) -> LoadedModel:
    """The model in float32 on the CPU; untrained if the settings name no weights."""
    if isinstance(settings, FileSettings):
        settings = _settings_of_file(settings)
    architecture = _import_architecture(settings)
    path = None
    if settings.weights:
        settings, path = resolve_weights(settings)
    model = architecture.create(settings)
    if path:
        from mot.runtime.checkpoints import load_weights

        load_weights(model, path, settings.partial).log(path)
    spec = architecture.input_spec(settings)
    size = resolve_input_size(settings.input_size, spec)
    spec = dataclasses.replace(spec, size=size, amodal=settings.amodal)
    return LoadedModel(model, spec, resolve_classes(settings.names).names, settings)


def _import_architecture(settings: ArchitectureSettings) -> Architecture[ArchitectureSettings]:
    module, _, name = settings.implementation.partition(":")
    try:
        kind: type[Architecture[ArchitectureSettings]] = getattr(import_module(module), name)
    except ImportError as error:
        needed = error.name or error
        raise MotError(
            f"{settings.architecture} needs {needed}: pip install 'mot-tracking[torch]'"
        ) from None
    return kind()


def resolve_weights(settings: ArchitectureSettings) -> tuple[ArchitectureSettings, Path]:
    """The settings with those that the weights imply, and the weights file."""
    path, implied = find_published(settings.weights, settings.architecture)
    if path.suffix == ".safetensors":
        implied = _read_settings(path, settings.architecture)
    size = {"width": settings.width, "height": settings.height}
    given = size if any(size.values()) else {}
    return dataclasses.replace(settings, **{**implied, **given}), path


def _read_settings(path: Path, architecture: str) -> dict[str, Any]:
    """The settings in the metadata of a weights file, checked."""
    metadata = read_metadata(path)
    named = metadata.get("architecture", architecture)
    if named != architecture:
        raise MotError(f"{path}: holds the architecture {named!r}: --detector {path}")
    values = metadata.get("settings", {})
    if not isinstance(values, Mapping):
        raise MotError(f"{path}: its settings are no table")
    kind = ARCHITECTURES[architecture]
    return {key: _check_setting(path, kind, key, value) for key, value in values.items()}


def _check_setting(path: Path, kind: type[ArchitectureSettings], key: str, value: Any) -> Any:
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    common = {field.name for field in dataclasses.fields(DetectorSettings)}
    trained = {"width", "height"} | defaults.keys() - common
    if key not in trained:
        raise MotError(f"{path}: unknown setting {key!r}: {suggest(key, trained)}")
    value = tuple(value) if isinstance(value, list) else value
    if type(value) is not type(defaults[key]) or (isinstance(value, int | float) and value < 0):
        raise MotError(f"{path}: its {key} = {value!r} must be like {defaults[key]!r}")
    return value


def checkpoint_metadata(settings: ArchitectureSettings) -> dict[str, Any]:
    """The metadata of a weights file of a network with these settings."""
    if isinstance(settings, CfgSettings | JdeSettings) and settings.network:
        settings = embed_network(settings)  # the weights outlive the .cfg file
    common = {field.name for field in dataclasses.fields(DetectorSettings)} - {"width", "height"}
    values = dataclasses.asdict(settings)
    return {
        "architecture": settings.architecture,
        "settings": {key: value for key, value in values.items() if key not in common},
        "names": resolve_classes(settings.names).names,
    }
