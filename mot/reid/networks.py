"""Networks that see a person's crop as a unit vector: a backbone, its features averaged, and a
batch norm between what triplets compare and what tells people apart (Luo et al., 2019)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot.detectors.models.common import TimmBody
from mot.errors import MotError
from mot.reid.osnet import WIDTHS, OSNet
from mot.reid.settings import ARCHITECTURE, EmbedderSettings
from mot.reid.small import Small
from mot.runtime.checkpoints import load_weights, read_metadata
from mot.settings import build_settings

_DEEPEST = 32  # the stride of the last map of timm's networks, before it is made finer


class EmbedderNetwork(nn.Module):
    """From normalised crops (B, 3, H, W) to unit vectors (B, D).

    How far apart people are depends on the training; trackers have limits for distances. A number
    that all vectors have in common makes all cosine distances less, by the same factor.
    """

    def __init__(self, backbone: nn.Module, settings: EmbedderSettings) -> None:
        super().__init__()
        self.backbone = backbone
        self.stripes, self.common = settings.stripes, settings.common
        channels = self._channels(settings)
        self.reduce = nn.Linear(channels * settings.stripes, settings.dims)
        self.neck = nn.BatchNorm1d(settings.dims)
        self.neck.bias.requires_grad_(False)  # so that angles are all that differs
        self.dims = settings.dims + bool(self.common)

    def _channels(self, settings: EmbedderSettings) -> int:
        _, channels, height, _ = _tried(self.backbone, settings.height, settings.width).shape
        if height % settings.stripes:
            raise MotError(
                f"model.stripes = {settings.stripes}: must divide the map's height, {height}"
            )
        return int(channels)

    @property
    def bare_backbone(self) -> nn.Module:
        """With the names that those who publish it give its arrays."""
        return self.backbone.body.model if isinstance(self.backbone, LastMap) else self.backbone

    def features(self, images: Tensor) -> Tensor:
        """(B, D) before the neck."""
        maps: Tensor = self.backbone(images)
        rows = maps.mean(3)  # (B, C, H)
        count, channels, height = rows.shape
        parts = rows.reshape(count, channels, self.stripes, height // self.stripes)
        pooled = parts.mean(3)
        features: Tensor = self.reduce(pooled.flatten(1))  # its columns: channel by channel
        return features

    def forward(self, images: Tensor) -> Tensor:
        own = functional.normalize(self.neck(self.features(images)))
        if not self.common:
            return own
        same = torch.ones_like(own[:, :1])
        return torch.cat([(1 - self.common) ** 0.5 * own, self.common**0.5 * same], 1)


class LastMap(nn.Module):
    """A network of timm's, of which the last stage does not halve the map."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body = TimmBody(name, (_DEEPEST,))
        _keep_size(self.body.model)
        if not _runs(self.body):  # it halves in yet another way, which is left to it
            self.body = TimmBody(name, (_DEEPEST,))

    def forward(self, images: Tensor) -> Tensor:
        (last,) = self.body(images).values()
        found: Tensor = last
        return found


def _keep_size(network: nn.Module) -> None:
    """Take the last halving back, where it is one of ordinary convolutions, and pools."""
    halving = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2) and layer.kernel_size[0] % 2
    ]
    stage = halving[-1][0].split(".")[:2] if halving else []
    for name, layer in halving:
        if name.split(".")[:2] == stage:
            layer.stride = (1, 1)
    pools = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d) and layer.stride in (2, (2, 2))
    ]
    for name in pools:
        if name.split(".")[:1] == stage[:1]:
            network.set_submodule(name, nn.Identity())


def _runs(body: nn.Module) -> bool:
    try:
        _tried(body, 2 * _DEEPEST, 2 * _DEEPEST)
    except RuntimeError:
        return False
    return True


def _tried(network: nn.Module, height: int, width: int) -> Any:
    """What it makes of a black picture when it is used; it is trained on as before."""
    was_training = network.training
    try:
        with torch.no_grad():
            return network.eval()(torch.zeros(1, 3, height, width))
    finally:
        network.train(was_training)


def create(settings: EmbedderSettings) -> EmbedderNetwork:
    """Untrained."""
    return EmbedderNetwork(_backbone(settings.backbone), settings)


def _backbone(name: str) -> nn.Module:
    if name == "small":
        return Small()
    if name in WIDTHS:
        return OSNet(WIDTHS[name])
    return LastMap(name)


def load_embedder(path: Path) -> tuple[EmbedderNetwork, EmbedderSettings]:
    """Of a file that `mot train` wrote."""
    settings = told_by(path)
    model = create(settings)
    load_weights(model, path)
    return model.eval(), settings


def told_by(path: Path) -> EmbedderSettings:
    metadata = read_metadata(path)
    values = metadata.get("settings")
    if metadata.get("architecture") != ARCHITECTURE or not isinstance(values, dict):
        raise MotError(f"{path}: holds no embedder that `mot train` wrote")
    return build_settings(EmbedderSettings, values, str(path))


def metadata_of(settings: EmbedderSettings) -> dict[str, Any]:
    return {"architecture": ARCHITECTURE, "settings": dataclasses.asdict(settings)}
