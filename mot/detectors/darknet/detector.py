"""A detector from a Darknet `.cfg` file and its `.weights`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mot.detectors.coco import default_names
from mot.detectors.darknet.cfg import Network, parse_cfg, read_text
from mot.detectors.network import DetectorSettings, NetworkDetector
from mot.detectors.select import open_network
from mot.errors import MotError
from mot.runtime.onnx_cache import digest
from mot.runtime.preprocess import InputSpec

if TYPE_CHECKING:
    from mot.detectors.darknet.model import DarknetModel


@dataclass(frozen=True, slots=True)
class DarknetSettings(DetectorSettings):
    model: str = ""  # the .cfg; without `weights`, the .weights file beside it is used
    keeps_aspect: bool = False  # Darknet stretches images


class LoadedDarknet(NamedTuple):
    model: DarknetModel
    spec: InputSpec
    names: tuple[str, ...]  # of the classes


def build(settings: DarknetSettings) -> NetworkDetector:
    cfg, weights, network = _read_files(settings)

    def key() -> str:
        names = _read_names(cfg, network.classes)
        return digest((cfg, weights), names, settings.keeps_aspect, settings.partial)

    opened = open_network(settings.model, settings, key, lambda: load_model(settings))
    return NetworkDetector(opened, settings)


def load_model(settings: DarknetSettings) -> LoadedDarknet:
    """The PyTorch model with its weights, batch norms folded."""
    from mot.detectors.darknet.model import DarknetModel
    from mot.runtime.checkpoints import LoadReport

    cfg, weights, network = _read_files(settings)
    model = DarknetModel(network)
    LoadReport("", model.load(weights, settings.partial)).log(weights)
    spec = InputSpec(
        (network.net.width, network.net.height), network.stride, keeps_aspect=settings.keeps_aspect
    )
    return LoadedDarknet(model.fold(), spec, _read_names(cfg, network.classes))


def _read_files(settings: DarknetSettings) -> tuple[Path, Path, Network]:
    """Paths of the `.cfg` and the weights, and the parsed network."""
    if not settings.model:
        raise MotError("the detector darknet needs a file: --detector NETWORK.cfg")
    cfg = Path(settings.model)
    network = parse_cfg(cfg)
    if settings.weights:
        return cfg, Path(settings.weights), network
    weights = cfg.with_suffix(".weights")
    if not weights.is_file():
        raise MotError(f"{weights}: no weights beside {cfg.name}: give --weights FILE")
    return cfg, weights, network


def _read_names(cfg: Path, count: int) -> tuple[str, ...]:
    """Class names from a `.names` file beside the `.cfg`; otherwise COCO's, or person."""
    path = cfg.with_suffix(".names")
    if path.is_file():
        names = tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
        if len(names) != count:
            raise MotError(f"{path}: {len(names)} names for the {count} classes of {cfg.name}")
        return names
    return default_names(count)
