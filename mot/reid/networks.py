"""Embedder networks: a backbone, pooled features, and a batch norm (Luo et al., 2019).

The batch norm separates the features that triplet losses compare from those that are classified.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mot.errors import MotError
from mot.reid.backbones import LastMap, create_backbone, run_once
from mot.reid.settings import ARCHITECTURE, EmbedderSettings
from mot.runtime.checkpoints import load_weights
from mot.runtime.safetensors_metadata import read_metadata
from mot.settings import build_settings


class EmbedderNetwork(nn.Module):
    """Maps normalized crops (B, 3, H, W) to unit vectors (B, D).

    How far apart vectors are depends on the training, but trackers have fixed limits of distances.
    A constant dimension reduces all cosine distances by the same factor.
    """

    def __init__(self, backbone: nn.Module, settings: EmbedderSettings) -> None:
        super().__init__()
        self.backbone = backbone
        self.stripes, self.common = settings.stripes, settings.common
        _, channels, height, _ = run_once(backbone, settings.height, settings.width).shape
        if height % settings.stripes:
            raise MotError(
                f"model.stripes = {settings.stripes}: must divide the height {height} of the map"
            )
        self.reduce = nn.Linear(int(channels) * settings.stripes, settings.dims)
        self.neck = nn.BatchNorm1d(settings.dims)
        self.neck.bias.requires_grad_(False)  # only angles differ
        self.dims = settings.dims + bool(self.common)

    @property
    def bare_backbone(self) -> nn.Module:
        """The backbone under the tensor names of its publishers."""
        return self.backbone.body.model if isinstance(self.backbone, LastMap) else self.backbone

    def features(self, images: Tensor) -> Tensor:
        """(B, D) before the batch norm."""
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


def create_embedder(settings: EmbedderSettings) -> EmbedderNetwork:
    """An untrained network."""
    return EmbedderNetwork(create_backbone(settings.backbone), settings)


def load_embedder(path: Path) -> tuple[EmbedderNetwork, EmbedderSettings]:
    """Loads a file that `mot train` wrote."""
    settings = read_settings(path)
    model = create_embedder(settings)
    load_weights(model, path)
    return model.eval(), settings


def read_settings(path: Path) -> EmbedderSettings:
    """Settings in the metadata of a weights file."""
    metadata = read_metadata(path)
    values = metadata.get("settings")
    if metadata.get("architecture") != ARCHITECTURE or not isinstance(values, dict):
        raise MotError(f"{path}: not an embedder that `mot train` wrote")
    return build_settings(EmbedderSettings, values, str(path))


def weights_metadata(settings: EmbedderSettings) -> dict[str, Any]:
    """Metadata for `save_weights`, which `read_settings` reads."""
    return {"architecture": ARCHITECTURE, "settings": dataclasses.asdict(settings)}
