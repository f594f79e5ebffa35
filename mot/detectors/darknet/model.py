"""Darknet networks in PyTorch: built from a `.cfg`, with `.weights` loaded."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mot.detectors.darknet.cfg import IMAGE, Network, parse_cfg
from mot.detectors.darknet.layers import (
    Avgpool,
    Convolutional,
    Dropout,
    Layer,
    Maxpool,
    Route,
    ScaleChannels,
    Shape,
    Shortcut,
    Upsample,
    Yolo,
)
from mot.detectors.darknet.weights import array_shapes, read_weights
from mot.detectors.models.base import DetectionModel, HeightWidth

# Inside the square root, as in OpenCV's importer. Versions of Darknet add 1e-6 outside or 1e-5
# inside; for small variances outputs differ by some hundredths.
BATCH_NORM_EPSILON = 1e-6
_ANCHOR_SCALE = 1024  # anchors are stored in 1/1024 pixels


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, 0))


def _beyond(x: Tensor, low: float, high: float, slope: float) -> Tensor:
    """`x` within the limits, with the given slope outside."""
    inside = x.clamp(low, high)
    return inside + slope * (x - inside)


# No one else holds these inputs yet, so some activations work in place.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu_(x, 0.1),
    "relu": F.relu_,
    "relu6": lambda x: F.hardtanh_(x, 0.0, 6.0),
    "relie": lambda x: F.leaky_relu_(x, 0.01),
    "ramp": lambda x: F.relu(x) + 0.1 * x,
    "logistic": torch.sigmoid,
    "loggy": lambda x: 2 * torch.sigmoid(x) - 1,
    "tanh": torch.tanh,
    "hardtan": lambda x: F.hardtanh_(x),
    "lhtan": lambda x: _beyond(x, 0, 1, 0.001),
    "plse": lambda x: _beyond(x, -4, 4, 0.08) * 0.125 + 0.5,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "swish": F.silu,
    "mish": F.mish,
    "hard_mish": _hard_mish,
    "hard_swish": F.hardswish,
    "hswish": F.hardswish,
}

_NORM = {
    "biases": "bias",
    "scales": "weight",
    "means": "running_mean",
    "variances": "running_var",
}  # Darknet's names of the attributes of a PyTorch batch norm


class Convolution(nn.Module):
    def __init__(self, layer: Convolutional, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels,
            layer.filters,
            layer.size,
            stride=layer.strides,
            padding=layer.margin,
            dilation=layer.dilation,
            groups=layer.groups,
            bias=not layer.batch_normalize,
        )
        self.norm: nn.Module = nn.Identity()
        if layer.batch_normalize:
            self.norm = nn.BatchNorm2d(layer.filters, eps=BATCH_NORM_EPSILON)
        self.activation = layer.activation

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](self.norm(self.conv(x)))

    def fold(self) -> None:
        """Folds the batch norm into the convolution, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by Darknet's names, in the order of its files."""
        owner: nn.Module = self.conv
        names = {"biases": "bias"}
        if isinstance(self.norm, nn.BatchNorm2d):
            owner, names = self.norm, _NORM
        vectors = {name: getattr(owner, attribute) for name, attribute in names.items()}
        return {**vectors, "weights": self.conv.weight}


class Pool(nn.Module):
    """Max pooling; an odd padding has one more pixel after."""

    def __init__(self, layer: Maxpool) -> None:
        super().__init__()
        before, after = layer.margins
        # With stride 2, ceil mode gives as many windows as one more pixel after.
        is_plain = before == after or layer.strides == (2, 2)
        is_plain &= before <= layer.window // 2  # the limit of PyTorch's own padding
        self.pads = () if is_plain else (before, after, before, after)
        self.pool = nn.MaxPool2d(
            layer.window,
            layer.strides,
            padding=before if is_plain else 0,
            ceil_mode=is_plain and before != after,
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pads:
            x = F.pad(x, self.pads, value=-math.inf)
        pooled: Tensor = self.pool(x)
        return pooled


class Sum(nn.Module):
    """`[shortcut]`: adds the channels that both have; keeps the others of the first."""

    def __init__(self, layer: Shortcut, inputs: list[Shape]) -> None:
        super().__init__()
        first, *others = inputs
        self.channels = first.channels
        self.shared = [min(first.channels, other.channels) for other in others]
        self.activation = layer.activation

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other, shared in zip(others, self.shared, strict=True):
            total = x[:, :shared] + other[:, :shared]
            x = total if shared == self.channels else torch.cat([total, x[:, shared:]], 1)
        return ACTIVATIONS[self.activation](x)


class Concatenation(nn.Module):
    """`[route]`: one group of the channels of each input."""

    def __init__(self, layer: Route, inputs: list[Shape]) -> None:
        super().__init__()
        sizes = [each.channels // layer.groups for each in inputs]
        self.groups = [slice(layer.group_id * size, (layer.group_id + 1) * size) for size in sizes]
        self.takes_all = layer.groups == 1

    def forward(self, *inputs: Tensor) -> Tensor:
        if not self.takes_all:
            inputs = tuple(x[:, group] for x, group in zip(inputs, self.groups, strict=True))
        return inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)


class Product(nn.Module):
    """`[scale_channels]`"""

    def __init__(self, layer: ScaleChannels) -> None:
        super().__init__()
        self.activation = layer.activation

    def forward(self, factor: Tensor, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](x * factor)


class Enlargement(nn.Module):
    def __init__(self, layer: Upsample) -> None:
        super().__init__()
        self.times = nn.Upsample(scale_factor=layer.stride)
        self.scale = layer.scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.times(x)
        return x if self.scale == 1 else x * self.scale


class Head(nn.Module):
    """`[yolo]`: returns its map unchanged, and decodes it."""

    # Integers, which stay exact when the model is cast to float16.
    sizes: Tensor  # (A, 2) width and height of the anchors, in 1/1024 pixels
    cell: Tensor  # (2,) width and height of a cell of the map, in pixels

    def __init__(self, layer: Yolo, cell: tuple[int, int]) -> None:
        super().__init__()
        self.layer = layer
        sizes = torch.tensor(layer.sizes, dtype=torch.float64) * _ANCHOR_SCALE
        self.register_buffer("sizes", sizes.round().long(), persistent=False)
        self.register_buffer("cell", torch.tensor(cell), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        return raw

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H*W*A, 4) xyxy in the image's pixels, (B, H*W*A, C) scores, both float32."""
        boxes, objects, classes = self.read(raw)
        if not self.layer.new_coords:
            objects, classes = objects.sigmoid(), classes.sigmoid()
        return boxes, objects[..., None] * classes

    def read(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, 4) xyxy, and raw (B, N) objectness and (B, N, C) classes."""
        batch, _, height, width = raw.shape
        table = raw.float().permute(0, 2, 3, 1)
        count = len(self.layer.chosen)
        table = table.reshape(batch, height, width, count, 5 + self.layer.classes)
        offsets, extents = table[..., :2], table[..., 2:4]
        if self.layer.new_coords:
            extents = (2 * extents) ** 2
        else:
            offsets, extents = offsets.sigmoid(), extents.exp()
        scale = self.layer.scale_x_y
        grid = _cells(height, width, raw.device)
        centers = (offsets * scale - (scale - 1) / 2 + grid) * self.cell
        halves = extents * (self.sizes / (2 * _ANCHOR_SCALE))
        boxes = torch.cat([centers - halves, centers + halves], -1).reshape(batch, -1, 4)
        rest = table[..., 4:].reshape(batch, -1, 1 + self.layer.classes)
        return boxes, rest[..., 0], rest[..., 1:]

    def anchors(self, shape: tuple[int, int]) -> Tensor:
        """(H*W*A, 4) xyxy anchors around the cell centers of a map, in the order of its boxes."""
        centers = (_cells(*shape, self.cell.device) + 0.5) * self.cell
        halves = self.sizes / (2 * _ANCHOR_SCALE)
        return torch.cat([centers - halves, centers + halves], -1).reshape(-1, 4)


def _cells(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W, 1, 2) column and row of each cell of a map."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([columns, rows], -1)[:, :, None]


def _make_module(layer: Layer, inputs: list[Shape], cell: tuple[int, int]) -> nn.Module:
    match layer:
        case Convolutional():
            return Convolution(layer, inputs[0].channels)
        case Maxpool():
            return Pool(layer)
        case Avgpool():
            return nn.AdaptiveAvgPool2d(1)
        case Shortcut():
            return Sum(layer, inputs)
        case Route():
            return Concatenation(layer, inputs)
        case Upsample():
            return Enlargement(layer)
        case Dropout():
            return nn.Dropout(layer.probability)
        case ScaleChannels():
            return Product(layer)
        case Yolo():
            return Head(layer, cell)
    raise TypeError(f"no module for [{layer.kind}]")


class DarknetModel(DetectionModel[list[Tensor]]):
    """Maps images (B, 3, H, W), RGB from 0 to 1, sides multiples of `network.stride`, to boxes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.layers = nn.ModuleList(
            _make_module(layer, network.inputs(index), network.cell(network.shapes[index]))
            for index, layer in enumerate(network.layers)
        )
        self._freed_after = _last_uses(network)

    @property
    def levels(self) -> list[Head]:
        """Head of each raw map, in the order of the file."""
        return [module for module in self.layers if isinstance(module, Head)]

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level, in pixels."""
        return tuple(max(head.cell.tolist()) for head in self.levels)

    def raw(self, images: Tensor) -> list[Tensor]:
        """Raw map (B, A * (5 + C), H, W) of each level."""
        return self.outputs(images, self.network.heads)

    def outputs(self, images: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """Outputs of these layers."""
        outputs = {IMAGE: images}
        for index, module in enumerate(self.layers):
            sources = self.network.layers[index].sources
            outputs[index] = module(*(outputs[source] for source in sources))
            for unused in self._freed_after[index]:
                if unused not in wanted:
                    del outputs[unused]
        return [outputs[index] for index in wanted]

    def anchors(self, size: HeightWidth) -> list[Tensor]:
        """(H*W*A, 4) xyxy anchors of each level, for images of this size."""
        cells = [head.cell.tolist() for head in self.levels]
        shapes = [(size[0] // height, size[1] // width) for width, height in cells]
        return [head.anchors(shape) for head, shape in zip(self.levels, shapes, strict=True)]

    def decode(self, raw: Sequence[Tensor], size: HeightWidth) -> tuple[Tensor, ...]:
        found = [head.decode(each) for head, each in zip(self.levels, raw, strict=True)]
        boxes, scores = zip(*found, strict=True)
        return torch.cat(boxes, 1), torch.cat(scores, 1)

    def fold(self) -> DarknetModel:
        """A copy for inference, with batch norms folded into the convolutions."""
        folded: DarknetModel = copy.deepcopy(self).eval()
        for module in folded.layers:
            if isinstance(module, Convolution):
                module.fold()
        return folded

    def load(self, path: str | Path, partial: bool = False) -> tuple[str, ...]:
        """Loads a `.weights` file. With `partial`, only layers that fit; returns what does not."""
        weights = read_weights(path, self.network, partial)
        with torch.no_grad():
            for index, arrays in weights.layers.items():
                for name, tensor in self.tensors(index).items():
                    tensor.copy_(torch.from_numpy(arrays[name]))
        return weights.unfit

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Tensors of a convolution in a `.weights` file, in its order."""
        module = self.layers[index]
        assert isinstance(module, Convolution)
        tensors = module.tensors()
        if list(tensors) != list(array_shapes(self.network, index)):
            raise ValueError("a folded model has no batch norms: load the weights before folding")
        return tensors


def _last_uses(network: Network) -> list[list[int]]:
    """Outputs that no later layer reads, by the layer that reads them last."""
    last = {index: index for index in range(IMAGE, len(network.layers))}
    for index, layer in enumerate(network.layers):
        last.update(dict.fromkeys(layer.sources, index))
    unused: list[list[int]] = [[] for _ in network.layers]
    for source, user in last.items():
        if source not in network.heads:
            unused[max(user, 0)].append(source)
    return unused


def load_darknet(cfg: str | Path, weights: str | Path) -> DarknetModel:
    """Model of a `.cfg` with its weights, in evaluation mode."""
    model = DarknetModel(parse_cfg(cfg))
    model.load(weights)
    model.eval()
    return model
