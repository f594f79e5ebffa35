"""A detector from a Darknet `.cfg` and its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mot.detectors.coco import usual_names
from mot.detectors.darknet.cfg import Network, parse_cfg, read_text
from mot.detectors.network import DetectorSettings, NetworkDetector
from mot.detectors.select import digest, network_of
from mot.errors import MotError
from mot.runtime.load_report import Loaded
from mot.runtime.preprocess import InputSpec

if TYPE_CHECKING:
    from mot.detectors.darknet.model import DarknetModel


@dataclass(frozen=True, slots=True)
class DarknetSettings(DetectorSettings):
    model: str = ""  # the .cfg; its weights stand beside it, unless `weights` says where
    keeps_aspect: bool = False  # Darknet stretches pictures


def build(settings: DarknetSettings) -> NetworkDetector:
    cfg, weights, network = _given(settings)

    def key() -> str:
        names = class_names(cfg, network.classes)
        return digest((cfg, weights), names, settings.keeps_aspect, settings.partial)

    return NetworkDetector(network_of(settings, key, lambda: load_model(settings)), settings)


def load_model(settings: DarknetSettings) -> tuple[DarknetModel, InputSpec, tuple[str, ...]]:
    """The network as PyTorch runs it, the pictures that it wants, the names of its classes."""
    from mot.detectors.darknet.model import DarknetModel

    cfg, weights, network = _given(settings)
    model = DarknetModel(network)
    Loaded("", model.load(weights, settings.partial)).tell(weights)
    spec = spec_of(network, settings.keeps_aspect)
    return model.fold(), spec, class_names(cfg, network.classes)


def _given(settings: DarknetSettings) -> tuple[Path, Path, Network]:
    if not settings.model:
        raise MotError("the detector darknet needs a file: --detector NETWORK.cfg")
    cfg = Path(settings.model)
    network = parse_cfg(cfg)
    return cfg, Path(settings.weights) if settings.weights else _weights_beside(cfg), network


def spec_of(network: Network, keeps_aspect: bool) -> InputSpec:
    return InputSpec(
        (network.net.width, network.net.height), network.stride, keeps_aspect=keeps_aspect
    )


def _weights_beside(cfg: Path) -> Path:
    path = cfg.with_suffix(".weights")
    if not path.is_file():
        raise MotError(f"{path}: no weights beside {cfg.name}: give --weights FILE")
    return path


def class_names(cfg: Path, count: int) -> tuple[str, ...]:
    """Of a `.names` file beside the `.cfg`, else those of COCO, or one class of people."""
    path = cfg.with_suffix(".names")
    if path.is_file():
        names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
        if len(names) != count:
            raise MotError(f"{path}: {len(names)} names for the {count} classes of {cfg.name}")
        return names
    return usual_names(count)
