"""Maps of the strides 4, 8, 16 and 32 merged into one of the stride 4."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation


class Ascent(nn.Module):
    """Iterative aggregation: one coarser map after the other is merged into the finest."""

    def __init__(self, channels: Sequence[int], factors: Sequence[int], width: int) -> None:
        """Of the coarser maps; `factors` by which they are enlarged. The finest has `width`."""
        super().__init__()
        self.factors = tuple(factors)
        self.projections = nn.ModuleList(_convolution(each, width) for each in channels)
        self.merges = nn.ModuleList(_convolution(width, width) for _ in channels)

    def forward(self, finest: Tensor, coarser: Sequence[Tensor]) -> list[Tensor]:
        """What it becomes with each of them; the last one has seen them all."""
        merged = [finest]
        parts = zip(coarser, self.factors, self.projections, self.merges, strict=True)
        for each, factor, project, merge in parts:
            merged.append(merge(merged[-1] + _enlarged(project(each), factor)))
        return merged[1:]


class Dla(nn.Module):
    """Deep layer aggregation's way up (Yu et al., 2018), as CenterNet has it: at each stride all
    coarser maps are merged anew, and at last those of the strides 4, 8 and 16."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        """Each level is as wide as the backbone's; `width` is not asked."""
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
        """(B, C, H, W) of maps from the finest to the coarsest."""
        coarser, found = [maps[-1]], []
        for ascent, finer in zip(self.ascents, maps[-2::-1], strict=True):
            coarser = [finer, *ascent(finer, coarser)]
            found.append(coarser[-1])
        merged: Tensor = self.last(found[-1], found[-2::-1])[-1]
        return merged


class Fpn(nn.Module):
    """A light pyramid (Lin et al., 2017): from the coarsest to the finest, each sum smoothed."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = width
        self.laterals = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.merges = nn.ModuleList(_convolution(width, width) for _ in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        merged: Tensor = levels.pop()
        for finer, merge in zip(reversed(levels), self.merges, strict=True):
            merged = merge(finer + _enlarged(merged, 2))
        return merged


NECKS = {"dla": Dla, "fpn": Fpn}


def _convolution(channels: int, width: int) -> nn.Module:
    layers: nn.Module = Conv2dNormActivation(channels, width, 3)
    return layers


def _enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
