"""The architecture of any Darknet `.cfg`: trained from scratch, and saved with its text."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mot.detectors.darknet.cfg import Network, parse_text, read_text
from mot.detectors.models.architecture import (
    Architecture,
    CfgSettings,
    JdeSettings,
    resolve_classes,
)
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

if TYPE_CHECKING:
    from mot.detectors.darknet.model import DarknetModel

WithNetwork = CfgSettings | JdeSettings


class CfgArchitecture(Architecture[CfgSettings]):
    def create(self, settings: CfgSettings) -> DarknetModel:
        from mot.detectors.darknet.model import DarknetModel

        return DarknetModel(parse_network(settings))

    def input_spec(self, settings: CfgSettings) -> InputSpec:
        return input_spec(settings)


def parse_network(settings: WithNetwork) -> Network:
    """The network of the settings; its number of classes must match their names."""
    network = _network(settings.network)
    names = resolve_classes(settings.names).names
    if len(names) != network.classes:
        raise MotError(f"names = {list(names)}: {network.path} has {network.classes} classes")
    return network


def input_spec(settings: WithNetwork) -> InputSpec:
    network = _network(settings.network)
    size = network.net.width, network.net.height
    return InputSpec(size, network.stride, keeps_aspect=settings.keeps_aspect)


def embed_network(settings: WithNetwork) -> WithNetwork:
    """Settings with the text of the `.cfg` in place of its path, so that they need no file."""
    return replace(settings, network=_text(settings.network)[1])


def _network(network: str) -> Network:
    return parse_text(*_text(network))


def _text(network: str) -> tuple[Path, str]:
    """Path for messages, and text of the `.cfg`."""
    if not network:
        raise MotError("the detector cfg needs a network: --set detector.network=FILE.cfg")
    if "\n" in network:
        return Path("its .cfg"), network
    shipped = resources.files("mot").joinpath("configs", "networks", f"{network}.cfg")
    if shipped.is_file():
        return Path(f"{network}.cfg"), shipped.read_text("utf-8")
    return Path(network), read_text(Path(network))
