"""Backbones of embedders, which return a map at a sixteenth of the input's sides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mot.reid.osnet import WIDTHS, OSNet
from mot.runtime.torch_layers import TimmBody

_STRIDE = 32  # of the last map of a timm model, before it is made finer


def create_backbone(name: str) -> nn.Module:
    """An untrained backbone: `small`, an OSNet, or a timm model."""
    if name == "small":
        return Small()
    if name in WIDTHS:
        return OSNet(WIDTHS[name])
    return LastMap(name)


def convolution(ins: int, outs: int, stride: int = 1) -> nn.Sequential:
    layers = [nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)  # the block starts as the identity
        last = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), norm)
        self.body = nn.Sequential(convolution(channels, channels), last)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.body(maps))


class Small(nn.Sequential):
    """A small backbone for CPUs, with 128 output channels.

    Plain 3x3 convolutions with multiples of 16 channels, which CPUs run fast: 55 million
    multiplications for a crop of 64x128.
    """

    def __init__(self) -> None:
        super().__init__(
            convolution(3, 16, 2),
            nn.Sequential(convolution(16, 32, 2), Residual(32)),
            nn.Sequential(convolution(32, 64, 2), Residual(64), Residual(64)),
            nn.Sequential(convolution(64, 128, 2), Residual(128), Residual(128)),
        )


class LastMap(nn.Module):
    """The last map of a timm model, whose last stage does not halve it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        others = ("small", *WIDTHS)
        self.body = TimmBody(name, (_STRIDE,), others)
        _remove_last_stride(self.body.model)
        try:
            run_once(self.body, 2 * _STRIDE, 2 * _STRIDE)
        except RuntimeError:  # it halves the map in yet another way, which stays
            self.body = TimmBody(name, (_STRIDE,), others)

    def forward(self, images: Tensor) -> Tensor:
        (last,) = self.body(images).values()
        found: Tensor = last
        return found


def _remove_last_stride(network: nn.Module) -> None:
    """Sets the strides of the last halving stage to 1, if these are convolutions and pools."""
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


def run_once(network: nn.Module, height: int, width: int) -> Any:
    """Output in evaluation mode for a black image; the training mode stays as it was."""
    was_training = network.training
    try:
        with torch.no_grad():
            return network.eval()(torch.zeros(1, 3, height, width))
    finally:
        network.train(was_training)
