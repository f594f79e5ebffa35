"""Darknet's files of YOLOv3: its weights into the native network, and its `.cfg` written."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from mot.detectors.darknet.cfg import Network, parse_cfg
from mot.detectors.darknet.weights import LayerArrays, convolutions, read_weights
from mot.errors import MotError

if TYPE_CHECKING:
    from torch import nn

    from mot.detectors.models.yolov3 import Yolov3

_UPSAMPLE = "[upsample]\nstride=2\n\n"


def load_darknet(model: Yolov3, path: str | Path, partial: bool = False) -> tuple[str, ...]:
    """Fill in a `.weights` file; with `partial` what fits of it. The rest is returned."""
    network = network_of(model)
    weights = read_weights(path, network, partial)
    with torch.no_grad():
        for index, (conv, norm) in zip(convolutions(network), model.convolutions(), strict=True):
            if index in weights.layers:
                _fill(conv, norm, weights.layers[index])
    return weights.unfit


def _fill(conv: nn.Conv2d, norm: nn.BatchNorm2d | None, arrays: LayerArrays) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    conv.weight.copy_(tensors["weights"])
    if norm is None:
        assert conv.bias is not None
        conv.bias.copy_(tensors["biases"])
        return
    assert norm.running_mean is not None and norm.running_var is not None
    norm.bias.copy_(tensors["biases"])
    norm.weight.copy_(tensors["scales"])
    norm.running_mean.copy_(tensors["means"])
    norm.running_var.copy_(tensors["variances"])


def network_of(model: Yolov3) -> Network:
    """The native network as Darknet's `.cfg` says it."""
    with TemporaryDirectory() as folder:
        cfg = Path(folder) / "yolov3.cfg"
        cfg.write_text(cfg_of(model), "utf-8")
        return parse_cfg(cfg)


def cfg_of(model: Yolov3, size: tuple[int, int] = (608, 608)) -> str:
    """The text of a `.cfg` for a network on Darknet-53; `size` is width and height."""
    from mot.detectors.models.yolov3 import Darknet53

    if not isinstance(model.backbone, Darknet53):
        raise MotError("Darknet's weights fit the backbone darknet53 alone: give it, or others")
    text = f"[net]\nwidth={size[0]}\nheight={size[1]}\nchannels=3\n\n" + _darknet53(
        model.backbone.width
    )
    width = model.width
    for level, early in enumerate((61, 36, None)):
        pair = _convolution(width >> level, 1) + _convolution(2 * width >> level, 3)
        text += pair * 3 + _head(model, level)
        if early:
            text += "[route]\nlayers=-4\n\n" + _convolution(width >> level + 1, 1)
            text += _UPSAMPLE + f"[route]\nlayers=-1,{early}\n\n"
    return text


def _darknet53(width: int) -> str:
    text = _convolution(width, 3)
    for times, blocks in ((2, 1), (4, 2), (8, 8), (16, 8), (32, 4)):
        filters = times * width
        residual = _convolution(filters // 2, 1) + _convolution(filters, 3)
        shortcut = "[shortcut]\nfrom=-3\nactivation=linear\n\n"
        text += _convolution(filters, 3, stride=2) + (residual + shortcut) * blocks
    return text


def _convolution(filters: int, size: int, stride: int = 1) -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        "pad=1\nactivation=leaky\n\n"
    )


def _head(model: Yolov3, level: int) -> str:
    layer = model.levels[level].layer
    mask, anchors = (",".join(f"{n:g}" for n in each) for each in (layer.mask, layer.anchors))
    return (
        f"[convolutional]\nfilters={layer.channels(layer.classes)}\nsize=1\nstride=1\npad=1\n"
        f"activation=linear\n\n[yolo]\nmask={mask}\nanchors={anchors}\n"
        f"classes={layer.classes}\nnum={layer.num}\n\n"
    )
