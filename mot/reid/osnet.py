"""OSNet (Zhou et al., ICCV 2019): four scales per block, whose channels a shared gate weighs.

Tensor names are those of published weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Channels of the stages, by the width multiplier in the name.
WIDTHS = {
    "osnet_x0_25": (16, 64, 96, 128),
    "osnet_x0_5": (32, 128, 192, 256),
    "osnet_x0_75": (48, 192, 288, 384),
    "osnet_x1_0": (64, 256, 384, 512),
}
_SCALES = 4  # paths; t Lite 3x3 layers have a receptive field of 2t + 1 pixels
_BOTTLENECK = 4  # reduction of channels inside a block
_REDUCTION = 16  # reduction of channels inside the gate


class Convolution(nn.Module):
    """Convolution, batch norm, and ReLU unless linear."""

    def __init__(self, ins: int, outs: int, size: int = 1, stride: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outs)
        self.relu = nn.Identity() if linear else nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.relu(self.bn(self.conv(maps)))
        return found


class Lite(nn.Module):
    """A 3x3 convolution, factored into a linear pointwise and a depthwise one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.relu(self.bn(self.conv2(self.conv1(maps))))
        return found


class Gate(nn.Module):
    """Weighs the channels of a path, depending on the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        mean = maps.mean((2, 3), keepdim=True)
        return maps * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class Block(nn.Module):
    """Omni-scale block: the sum of four paths, weighed by one shared gate."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        inner = outs // _BOTTLENECK
        self.conv1 = Convolution(ins, inner)
        self.conv2a = Lite(inner)
        self.conv2b = nn.Sequential(*(Lite(inner) for _ in range(2)))
        self.conv2c = nn.Sequential(*(Lite(inner) for _ in range(3)))
        self.conv2d = nn.Sequential(*(Lite(inner) for _ in range(_SCALES)))
        self.gate = Gate(inner)
        self.conv3 = Convolution(inner, outs, linear=True)
        self.downsample = Convolution(ins, outs, linear=True) if ins != outs else None

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.conv1(maps)
        paths = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        total = torch.stack([self.gate(path(narrow)) for path in paths]).sum(0)
        same = self.downsample(maps) if self.downsample else maps
        return torch.relu(self.conv3(total) + same)


class OSNet(nn.Module):
    """Returns a map at a sixteenth of the input's sides."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, second, third, last = widths
        self.conv1 = Convolution(3, first, 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = _stage(first, second, halves=True)
        self.conv3 = _stage(second, third, halves=True)
        self.conv4 = _stage(third, last, halves=False)
        self.conv5 = Convolution(last, last)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maxpool(self.conv1(images))
        maps = self.conv4(self.conv3(self.conv2(maps)))
        found: Tensor = self.conv5(maps)
        return found


def _stage(ins: int, outs: int, halves: bool) -> nn.Sequential:
    blocks = [Block(ins, outs), Block(outs, outs)]
    if not halves:
        return nn.Sequential(*blocks)
    return nn.Sequential(*blocks, nn.Sequential(Convolution(outs, outs), nn.AvgPool2d(2, 2)))
