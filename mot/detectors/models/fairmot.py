"""FairMOT (Zhang et al., 2021): people are peaks in a map of centres (CenterNet, Zhou et al.,
2019), and what is told at a peak is their box and what they look like.

Departures from the authors' code: convolutions are plain where theirs are deformable, maps are
enlarged bilinearly where theirs learn it, and an embedding is made at the peaks alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min

from mot.detectors.architectures import FairmotSettings, choose, classes_of
from mot.detectors.models.common import WIDE, Columns, body_of, map_channels
from mot.detectors.models.fairmot_necks import NECKS
from mot.runtime.preprocess import InputSpec

Settings = FairmotSettings
STRIDE = 4
_PRIOR = 0.1  # chance of a centre at a place, that an untrained network tells


class Raw(NamedTuple):
    """Maps at the stride of 4."""

    heat: Tensor  # (B, outputs, H, W) logits of a centre
    sides: Tensor  # (B, 4, H, W) left, top, right and bottom of the centre, in strides
    offset: Tensor  # (B, 2, H, W) x and y of the centre in its cell
    looks: Tensor  # (B, width, H, W) what embeddings are made of


class Embedding(nn.Module):
    """What people look like: a map, and out of that one vector for each."""

    def __init__(self, channels: int, width: int, dims: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True))
        self.vector = nn.Linear(width, dims)

    def forward(self, features: Tensor) -> Tensor:
        looks: Tensor = self.map(features)
        return looks


class Fairmot(nn.Module):
    """Normalised pictures (B, 3, H, W) to (B, N, 4) xyxy boxes, (B, N, C) scores and (B, N, D) unit
    vectors."""

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, channels: int, settings: Settings
    ) -> None:
        super().__init__()
        classes, width = classes_of(settings.names), settings.head_width
        self.backbone = backbone
        self.neck = neck
        self.heat = _head(channels, width, classes.outputs, math.log(_PRIOR / (1 - _PRIOR)))
        self.sides = _head(channels, width, 4)
        self.offset = _head(channels, width, 2)
        self.embedding = Embedding(channels, width, settings.dims)
        self.columns = Columns(classes.columns)
        self.candidates = settings.candidates

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.decode(self.raw(images))

    def raw(self, images: Tensor) -> Raw:
        features = self.neck(list(self.backbone(images).values()))
        found = (self.heat, self.sides, self.offset, self.embedding)
        return Raw(*(head(features) for head in found))

    def decode(self, raw: Raw) -> tuple[Tensor, Tensor, Tensor]:
        ranked = ranks_of(self.columns(raw.heat.float().sigmoid(), dim=1)).flatten(2)
        best = ranked.amax(1)
        cells = best.topk(_topk_min(best, self.candidates, 1)).indices
        boxes = boxes_at(_at(raw.sides, cells), _at(raw.offset, cells), cells, raw.heat.shape[3])
        vectors = self.embedding.vector(_at(raw.looks, cells))
        return boxes, _at(ranked, cells).clamp(min=0), F.normalize(vectors.float(), dim=2)


def _head(channels: int, width: int, outputs: int, at_first: float = 0.0) -> nn.Sequential:
    """A map; `at_first` is what it tells before it has learned anything."""
    last = nn.Conv2d(width, outputs, 1)
    assert last.bias is not None
    nn.init.constant_(last.bias, at_first)
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), last)


def ranks_of(heat: Tensor) -> Tensor:
    """(B, C, H, W) chances: less by 1 where one of the eight neighbours has a higher one."""
    return heat - (F.max_pool2d(heat, 3, 1, 1) > heat).float()


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, C) of (B, C, H, W) or (B, C, H*W) maps at (B, K) cells."""
    table = maps.flatten(2)
    places = cells[:, None].expand(-1, table.shape[1], -1)
    return table.gather(2, places).transpose(1, 2)


def boxes_at(sides: Tensor, offset: Tensor, cells: Tensor, columns: int) -> Tensor:
    """(..., 4) xyxy in pixels, of what is told at (...,) cells of a map so wide."""
    corner = torch.stack([cells % columns, cells // columns], -1)
    return STRIDE * box_around(corner + offset.float(), sides.float().clamp(min=0))


def box_around(centre: Tensor, sides: Tensor) -> Tensor:
    """(..., 4) xyxy."""
    return torch.cat([centre - sides[..., :2], centre + sides[..., 2:]], -1)


def create(settings: Settings) -> Fairmot:
    body = body_of(settings.backbone, (4, 8, 16, 32))
    neck = choose("neck", settings.neck, NECKS)(map_channels(body), settings.neck_width)
    return Fairmot(body, neck, neck.channels, settings)


def spec_of(settings: Settings) -> InputSpec:
    return replace(WIDE, size=(1088, 608))
