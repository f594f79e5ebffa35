"""The first weights of a training: those of another network, as far as they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mot.detectors.architectures import ArchitectureSettings, load_model
from mot.detectors.darknet.model import Convolution, DarknetModel, load_darknet
from mot.errors import MotError
from mot.model_zoo import SHIPPED, how_to_get, installed_file
from mot.reid.settings import EmbedderSettings
from mot.runtime.checkpoints import load_weights
from mot.runtime.preprocess import InputSpec

_PRIOR = 0.01  # chance of an object at a place, that an untrained network tells


class InitialModel(NamedTuple):
    model: nn.Module
    spec: InputSpec
    names: tuple[str, ...]
    settings: ArchitectureSettings | EmbedderSettings
    note: str  # which weights were taken


def started(settings: ArchitectureSettings, weights: str) -> InitialModel:
    """The network of a recipe; what fits of the weights is taken over."""
    model, spec, names, settings = load_model(replace(settings, weights=""))
    set_prior(model)
    if not weights:
        return InitialModel(model, spec, names, settings, "from nothing")
    path = weights_file(weights)
    if path.suffix == ".cfg":
        note = take_over(model, load_darknet(path, path.with_suffix(".weights")))
    else:
        note = str(load_weights(model, path, partial=True))
    return InitialModel(model, spec, names, settings, f"{path.name}: {note}")


def weights_file(weights: str) -> Path:
    """That a recipe names, or a known model's, or those that come with mot."""
    path = Path(installed_file(weights) or _shipped(weights) or weights).expanduser()
    if not path.is_file():
        raise MotError(f"model.weights = {weights}: no such file{how_to_get(weights)}")
    return path


def _shipped(name: str) -> Path | None:
    path = SHIPPED / f"{name}.safetensors"
    return path if path.is_file() else None


def take_over(model: nn.Module, other: nn.Module) -> str:
    """Arrays of the same names. Of a layer that is wider here the first channels are the other's,
    and what the new ones give counts for nothing yet: the network does as the other did."""
    ours, theirs = model.state_dict(), other.state_dict()
    heads = set() if _classes_of(model) == _classes_of(other) else _head_layers(model)
    taken = 0
    with torch.no_grad():
        for name, array in ours.items():
            their = theirs.get(name)
            is_head = ".".join(name.split(".")[:2]) in heads
            if their is not None and array.ndim and not is_head and _fits(their, array):
                _copy(their, array)
                taken += array.numel()
    if not taken:
        raise MotError("nothing of the weights fits: they are of another network")
    whole = sum(array.numel() for array in ours.values())
    return f"{taken / whole:.0%} of the weights taken over"


def _fits(their: Tensor, ours: Tensor) -> bool:
    pairs = zip(their.shape, ours.shape, strict=False)
    return their.ndim == ours.ndim and all(theirs <= our for theirs, our in pairs)


def _copy(their: Tensor, ours: Tensor) -> None:
    first = tuple(slice(side) for side in their.shape)
    if ours.ndim == 4 and ours.shape[1] > their.shape[1]:
        ours[: their.shape[0], their.shape[1] :] = 0
    ours[first] = their


def _classes_of(model: nn.Module) -> int | None:
    return model.network.classes if isinstance(model, DarknetModel) else None


def _head_layers(model: nn.Module) -> set[str]:
    """What gives the maps of a `.cfg`'s heads, where its channels mean other classes."""
    if not isinstance(model, DarknetModel):
        return set()
    heads = model.network.heads
    return {f"layers.{source}" for head in heads for source in model.network.layers[head].sources}


def set_prior(model: nn.Module) -> None:
    """An untrained network should find next to nothing, or the many empty places drown the rest."""
    for convolution, per_anchor in _object_biases(model):
        bias = convolution.bias
        assert bias is not None
        with torch.no_grad():
            bias.reshape(-1, per_anchor)[:, 4] = torch.logit(torch.tensor(_PRIOR))


def _object_biases(model: Any) -> list[tuple[nn.Conv2d, int]]:
    """The last convolutions of a YOLOv3, and their numbers for each anchor."""
    if isinstance(model, DarknetModel):
        network = model.network
        found = []
        for head in network.heads:
            module = model.layers[network.layers[head].sources[0]]
            assert isinstance(module, Convolution)
            found.append((module.conv, 5 + network.classes))
        return found
    stages = getattr(model, "stages", ())
    return [(stage.head[-1], stage.head[-1].out_channels // 3) for stage in stages]
