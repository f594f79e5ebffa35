"""A backbone for laptops: plain 3x3 convolutions of multiples of 16 channels, which CPUs are quick
at, and few bytes. 55 million multiplications for a crop of 64x128."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(ins: int, outs: int, stride: int = 1) -> nn.Sequential:
    layers = [nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)  # so that it changes nothing to begin with
        last = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), norm)
        self.body = nn.Sequential(convolution(channels, channels), last)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.body(maps))


class Small(nn.Sequential):
    """Maps of a sixteenth of the picture's sides, of 128 channels."""

    def __init__(self) -> None:
        super().__init__(
            convolution(3, 16, 2),
            nn.Sequential(convolution(16, 32, 2), Residual(32)),
            nn.Sequential(convolution(32, 64, 2), Residual(64), Residual(64)),
            nn.Sequential(convolution(64, 128, 2), Residual(128), Residual(128)),
        )
