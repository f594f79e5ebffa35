"""FairMOT (Zhang et al., 2021): objects are peaks in a heatmap of centers (CenterNet, Zhou et al.,
2019), and each peak predicts a box and an embedding.

Departures from the authors' code: convolutions are plain where theirs are deformable, maps are
upsampled bilinearly where theirs learn it, and embeddings are computed at the peaks alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.ops import Conv2dNormActivation

from mot.detectors.models.architecture import (
    Architecture,
    FairmotSettings,
    choose,
    resolve_classes,
)
from mot.detectors.models.base import DetectionModel, HeightWidth
from mot.detectors.models.common import TORCHVISION_INPUT, SelectClasses, make_body, map_channels
from mot.runtime.preprocess import InputSpec

STRIDE = 4
_PRIOR = 0.1  # initial score of a center in each cell


class Raw(NamedTuple):
    """Maps at the stride of 4."""

    heat: Tensor  # (B, outputs, H, W) logits of a center
    sides: Tensor  # (B, 4, H, W) left, top, right and bottom of the center, in strides
    offset: Tensor  # (B, 2, H, W) x and y of the center in its cell
    appearance: Tensor  # (B, width, H, W) features of the embeddings


class Embedding(nn.Module):
    """A map of features, and a linear layer that makes an embedding of each."""

    def __init__(self, channels: int, width: int, dims: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True))
        self.vector = nn.Linear(width, dims)

    def forward(self, features: Tensor) -> Tensor:
        appearance: Tensor = self.map(features)
        return appearance


class Fairmot(DetectionModel[Raw]):
    def __init__(
        self, backbone: nn.Module, neck: nn.Module, channels: int, settings: FairmotSettings
    ) -> None:
        """`channels`: of the neck's map."""
        super().__init__()
        classes, width = resolve_classes(settings.names), settings.head_width
        self.backbone = backbone
        self.neck = neck
        self.heat = _make_head(channels, width, classes.outputs, math.log(_PRIOR / (1 - _PRIOR)))
        self.sides = _make_head(channels, width, 4)
        self.offset = _make_head(channels, width, 2)
        self.embedding = Embedding(channels, width, settings.dims)
        self.select_classes = SelectClasses(classes.indices)
        self.candidates = settings.candidates

    def raw(self, images: Tensor) -> Raw:
        features = self.neck(list(self.backbone(images).values()))
        heads = (self.heat, self.sides, self.offset, self.embedding)
        return Raw(*(head(features) for head in heads))

    def decode(self, raw: Raw, size: HeightWidth) -> tuple[Tensor, Tensor, Tensor]:
        peaks = find_peaks(self.select_classes(raw.heat.float().sigmoid(), dim=1)).flatten(2)
        best = peaks.amax(1)
        cells = best.topk(_topk_min(best, self.candidates, 1)).indices
        boxes = boxes_at(_at(raw.sides, cells), _at(raw.offset, cells), cells, raw.heat.shape[3])
        vectors = self.embedding.vector(_at(raw.appearance, cells))
        return boxes, _at(peaks, cells).clamp(min=0), F.normalize(vectors.float(), dim=2)


def _make_head(channels: int, width: int, outputs: int, bias: float = 0.0) -> nn.Sequential:
    last = nn.Conv2d(width, outputs, 1)
    assert last.bias is not None
    nn.init.constant_(last.bias, bias)
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), last)


def find_peaks(scores: Tensor) -> Tensor:
    """(B, C, H, W) scores, lowered by 1 where one of the eight neighbors is higher."""
    return scores - (F.max_pool2d(scores, 3, 1, 1) > scores).float()


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, K, C) values of (B, C, H, W) or (B, C, H*W) maps at (B, K) cells."""
    table = maps.flatten(2)
    index = cells[:, None].expand(-1, table.shape[1], -1)
    return table.gather(2, index).transpose(1, 2)


def boxes_at(sides: Tensor, offset: Tensor, cells: Tensor, columns: int) -> Tensor:
    """(..., 4) xyxy in pixels, from the predictions at (...,) cells of a map with `columns`."""
    corner = torch.stack([cells % columns, cells // columns], -1)
    return STRIDE * box_around(corner + offset.float(), sides.float().clamp(min=0))


def box_around(center: Tensor, sides: Tensor) -> Tensor:
    """(..., 4) xyxy of (..., 2) centers and (..., 4) distances to the sides."""
    return torch.cat([center - sides[..., :2], center + sides[..., 2:]], -1)


class FairmotArchitecture(Architecture[FairmotSettings]):
    def create(self, settings: FairmotSettings) -> Fairmot:
        body = make_body(settings.backbone, (4, 8, 16, 32))
        neck = choose("neck", settings.neck, NECKS)(map_channels(body), settings.neck_width)
        return Fairmot(body, neck, neck.channels, settings)

    def input_spec(self, settings: FairmotSettings) -> InputSpec:
        return replace(TORCHVISION_INPUT, size=(1088, 608))


# Necks: merge maps of the strides 4, 8, 16 and 32 into one of the stride 4.


class Ascent(nn.Module):
    """Iterative aggregation: one coarser map after the other is merged into the finest."""

    def __init__(self, channels: Sequence[int], factors: Sequence[int], width: int) -> None:
        """`channels` and upsampling `factors` of the coarser maps; `width` of the finest."""
        super().__init__()
        self.factors = tuple(factors)
        self.projections = nn.ModuleList(_convolution(each, width) for each in channels)
        self.merges = nn.ModuleList(_convolution(width, width) for _ in channels)

    def forward(self, finest: Tensor, coarser: Sequence[Tensor]) -> list[Tensor]:
        """The finest map after merging each of the coarser ones."""
        merged = [finest]
        parts = zip(coarser, self.factors, self.projections, self.merges, strict=True)
        for each, factor, project, merge in parts:
            merged.append(merge(merged[-1] + _upsample(project(each), factor)))
        return merged[1:]


class Dla(nn.Module):
    """The upward path of deep layer aggregation (Yu et al., 2018) as in CenterNet: all coarser maps
    are merged at each stride, then those of the strides 4, 8 and 16."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        """Each level has the channels of the backbone's; `width` is not used."""
        super().__init__()
        self.channels = channels[0]
        coarsest = len(channels) - 1
        self.ascents = nn.ModuleList(
            Ascent([channels[level + 1]] * (coarsest - level), [2] * (coarsest - level), each)
            for level, each in reversed(list(enumerate(channels[:-1])))
        )
        factors = [2**level for level in range(1, coarsest)]
        self.last = Ascent(channels[1:-1], factors, self.channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, C, H, W), from maps in the order finest to coarsest."""
        coarser, outputs = [maps[-1]], []
        for ascent, finer in zip(self.ascents, maps[-2::-1], strict=True):
            coarser = [finer, *ascent(finer, coarser)]
            outputs.append(coarser[-1])
        merged: Tensor = self.last(outputs[-1], outputs[-2::-1])[-1]
        return merged


class Fpn(nn.Module):
    """A light feature pyramid (Lin et al., 2017), with a convolution after each sum."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = width
        self.laterals = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.merges = nn.ModuleList(_convolution(width, width) for _ in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        merged: Tensor = levels.pop()
        for finer, merge in zip(reversed(levels), self.merges, strict=True):
            merged = merge(finer + _upsample(merged, 2))
        return merged


NECKS: Mapping[str, type[Dla] | type[Fpn]] = {"dla": Dla, "fpn": Fpn}


def _convolution(channels: int, width: int) -> nn.Module:
    layers: nn.Module = Conv2dNormActivation(channels, width, 3)
    return layers


def _upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
