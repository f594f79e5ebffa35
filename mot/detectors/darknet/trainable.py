"""Any network that a Darknet `.cfg` draws, as a family: trained, and saved with its drawing."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mot.detectors.architectures import CfgSettings, JdeSettings, classes_of
from mot.detectors.darknet.cfg import Network, parse_text, read_text
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

if TYPE_CHECKING:
    from mot.detectors.darknet.model import DarknetModel

Settings = CfgSettings
Drawn = TypeVar("Drawn", CfgSettings, JdeSettings)


def create(settings: Settings) -> DarknetModel:
    from mot.detectors.darknet.model import DarknetModel

    return DarknetModel(network_of(settings))


def network_of(settings: Drawn) -> Network:
    """As it is drawn, for the classes that are told."""
    network = _network(settings.network)
    names = classes_of(settings.names).names
    if len(names) != network.classes:
        raise MotError(f"names = {list(names)}: {network.path} is of {network.classes} classes")
    return network


def spec_of(settings: Drawn) -> InputSpec:
    network = _network(settings.network)
    size = network.net.width, network.net.height
    return InputSpec(size, network.stride, keeps_aspect=settings.keeps_aspect)


def complete(settings: Drawn) -> Drawn:
    """With the drawing itself, which outlives its file."""
    return replace(settings, network=_text(settings.network)[1])


def _network(network: str) -> Network:
    return parse_text(*_text(network))


def _text(network: str) -> tuple[Path, str]:
    """What to call it, and the drawing."""
    if not network:
        raise MotError("the detector cfg needs a drawing: --set detector.network=FILE.cfg")
    if "\n" in network:
        return Path("its .cfg"), network
    shipped = resources.files("mot").joinpath("configs", "networks", f"{network}.cfg")
    if shipped.is_file():
        return Path(f"{network}.cfg"), shipped.read_text("utf-8")
    return Path(network), read_text(Path(network))
