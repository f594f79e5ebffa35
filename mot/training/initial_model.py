"""The network of a recipe, with initial weights: those of another network, as far as they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mot.detectors.architectures import load_model
from mot.detectors.darknet.model import Convolution, DarknetModel, load_darknet
from mot.detectors.models.architecture import ArchitectureSettings
from mot.detectors.models.yolov3 import Stage, Yolov3
from mot.errors import MotError
from mot.model_zoo import SHIPPED, how_to_get, installed_file
from mot.reid.settings import EmbedderSettings
from mot.runtime.checkpoints import load_weights
from mot.runtime.preprocess import InputSpec

_PRIOR = 0.01  # initial score of an object at each anchor
FROM_SCRATCH = "random weights"


class InitialModel(NamedTuple):
    model: nn.Module
    spec: InputSpec
    names: tuple[str, ...]  # of the classes
    settings: ArchitectureSettings | EmbedderSettings
    note: str  # which weights were loaded


def load_initial_model(settings: ArchitectureSettings, weights: str) -> InitialModel:
    """A detector network with the fitting tensors of a weights file, if one is given."""
    model, spec, names, settings = load_model(replace(settings, weights=""))
    init_objectness(model)
    if not weights:
        return InitialModel(model, spec, names, settings, FROM_SCRATCH)
    path = find_weights_file(weights)
    if path.suffix == ".cfg":
        note = copy_weights(model, load_darknet(path, path.with_suffix(".weights")))
    else:
        note = str(load_weights(model, path, partial=True))
    return InitialModel(model, spec, names, settings, f"{path.name}: {note}")


def find_weights_file(weights: str) -> Path:
    """A file, by its path, or the name of an installed or shipped model."""
    shipped = SHIPPED / f"{weights}.safetensors"
    named = installed_file(weights) or (shipped if shipped.is_file() else weights)
    path = Path(named).expanduser()
    if not path.is_file():
        raise MotError(f"model.weights = {weights}: no such file{how_to_get(weights)}")
    return path


def copy_weights(model: nn.Module, other: nn.Module) -> str:
    """Copies tensors of the same names. Where a layer of `model` is wider, its first channels are
    the other's, and the inputs of the new ones have weight 0: outputs stay the same."""
    ours, theirs = model.state_dict(), other.state_dict()
    heads = set() if _class_count(model) == _class_count(other) else _head_layers(model)
    copied = 0
    with torch.no_grad():
        for name, tensor in ours.items():
            source = theirs.get(name)
            is_head = ".".join(name.split(".")[:2]) in heads
            if source is not None and tensor.ndim and not is_head and _fits(source, tensor):
                _copy_channels(source, tensor)
                copied += tensor.numel()
    if not copied:
        raise MotError("no tensor of the weights fits: they are of another network")
    total = sum(tensor.numel() for tensor in ours.values())
    return f"{copied / total:.0%} of the weights copied"


def _fits(source: Tensor, target: Tensor) -> bool:
    pairs = zip(source.shape, target.shape, strict=False)
    return source.ndim == target.ndim and all(size <= limit for size, limit in pairs)


def _copy_channels(source: Tensor, target: Tensor) -> None:
    first = tuple(slice(size) for size in source.shape)
    if target.ndim == 4 and target.shape[1] > source.shape[1]:
        target[: source.shape[0], source.shape[1] :] = 0
    target[first] = source


def _class_count(model: nn.Module) -> int | None:
    return model.network.classes if isinstance(model, DarknetModel) else None


def _head_layers(model: nn.Module) -> set[str]:
    """Layers of a `.cfg` network before its [yolo] layers, whose channels depend on the classes."""
    if not isinstance(model, DarknetModel):
        return set()
    heads = model.network.heads
    return {f"layers.{source}" for head in heads for source in model.network.layers[head].sources}


def init_objectness(model: nn.Module) -> None:
    """Lowers the initial objectness of a YOLOv3, since otherwise the loss of the many anchors
    without an object would dominate."""
    for convolution, per_anchor in _head_convolutions(model):
        assert convolution.bias is not None
        with torch.no_grad():
            objectness = convolution.bias.reshape(-1, per_anchor)[:, 4]
            objectness.fill_(torch.logit(torch.tensor(_PRIOR)))


def _head_convolutions(model: nn.Module) -> list[tuple[nn.Conv2d, int]]:
    """The last convolutions of a YOLOv3, and their numbers of channels for each anchor."""
    found: list[tuple[nn.Conv2d, int]] = []
    if isinstance(model, DarknetModel):
        network = model.network
        for head in network.heads:
            module = model.layers[network.layers[head].sources[0]]
            assert isinstance(module, Convolution)
            found.append((module.conv, 5 + network.classes))
    if isinstance(model, Yolov3):
        for stage in model.stages:
            assert isinstance(stage, Stage)
            convolution = stage.head[-1]
            assert isinstance(convolution, nn.Conv2d)
            found.append((convolution, convolution.out_channels // 3))
    return found
