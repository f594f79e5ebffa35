"""What the families share: backbones under a feature pyramid, anchors, and what is made of them.

Modules have the names that torchvision gives them, so that its checkpoints fit as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection._utils import BoxCoder, retrieve_out_channels
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelP6P7,
)

from mot.errors import MotError, nearest
from mot.runtime.preprocess import InputSpec

Size = tuple[int, int]  # height, width, as tensors have them
# A video at 16:9, at the size of torchvision's recipes; normalised as for ImageNet.
WIDE = InputSpec((1344, 768), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# The last layer at each stride, of torchvision's networks.
_RESNET = {4: "layer1", 8: "layer2", 16: "layer3", 32: "layer4"}
_LAYERS = {
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "resnet101": _RESNET,
    "mobilenet_v2": {4: "3", 8: "6", 16: "13", 32: "18"},
    "mobilenet_v3_large": {4: "3", 8: "6", 16: "12", 32: "16"},
}
_POPULAR = ("mobilenetv2_100", "pvt_v2_b0", "pvt_v2_b2", "dla34", "darknet53", "efficientnet_b0")


class TimmBody(nn.Module):
    """A network of timm's, giving its last map at each of the strides."""

    def __init__(self, name: str, strides: Sequence[int]) -> None:
        super().__init__()
        self.model = _timm_features(name)
        found = self.model.feature_info.reduction()
        if not set(strides) <= set(found):
            raise MotError(f"backbone {name!r} has maps of the strides {found}, not {strides}")
        self.places = [len(found) - 1 - found[::-1].index(stride) for stride in strides]
        self.is_channels_last = getattr(self.model, "output_fmt", "") == "NHWC"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.model(images)
        if self.is_channels_last:
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        return {str(number): maps[place] for number, place in enumerate(self.places)}


def _timm_features(name: str) -> Any:
    try:
        import timm
    except ModuleNotFoundError:
        raise MotError(f"backbone {name!r} needs timm: pip install 'mot-tracking[torch]'") from None
    if not timm.is_model(name):
        hint = nearest(name, [*_LAYERS, *_POPULAR])
        raise MotError(f"unknown backbone {name!r}: {hint} Others of timm's will do as well")
    options: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **options)
    except (RuntimeError, AttributeError) as error:
        raise MotError(f"backbone {name!r} gives no maps ({error}): choose another") from None


def body_of(name: str, strides: Sequence[int], epsilon: float = 1e-5) -> nn.Module:
    """A backbone that gives its maps at these strides, by "0", "1" and so on."""
    if name not in _LAYERS:
        return TimmBody(name, strides)
    layers = [_LAYERS[name][stride] for stride in strides]
    return torchvision_body(name, layers, epsilon)


def torchvision_body(name: str, layers: Sequence[str], epsilon: float = 1e-5) -> nn.Module:
    network = getattr(models, name)(weights=None, norm_layer=partial(nn.BatchNorm2d, eps=epsilon))
    network = getattr(network, "features", network)
    names = {layer: str(number) for number, layer in enumerate(layers)}
    body: nn.Module = IntermediateLayerGetter(network, return_layers=names)
    return body


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al., 2017) on a backbone: maps by name, the finest first."""

    def __init__(
        self,
        body: nn.Module,
        top: ExtraFPNBlock | None = None,
        norm: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.out_channels = 256
        self.fpn = FeaturePyramidNetwork(map_channels(body), self.out_channels, top, norm)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = self.fpn(self.body(images))
        return maps


def map_channels(body: nn.Module, size: Size = (64, 64)) -> list[int]:
    channels: list[int] = retrieve_out_channels(body, size)
    return channels


class P6P7(LastLevelP6P7):  # type: ignore[misc]
    """Two levels more; the papers' networks have a ReLU between them, mmdetection's have none."""

    def __init__(self, channels: int, has_relu: bool = True) -> None:
        super().__init__(channels, 256)
        self.has_relu = has_relu

    def forward(
        self, p: list[Tensor], c: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        p6 = self.p6(p[-1] if self.use_P5 else c[-1])
        p7 = self.p7(p6.relu() if self.has_relu else p6)
        return [*p, p6, p7], [*names, "p6", "p7"]


class ExactAnchors(AnchorGenerator):  # type: ignore[misc]
    """Anchors that are neither rounded nor, where sides are odd, closer than the stride."""

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float],
        strides: Sequence[int],
    ) -> None:
        self.strides = strides
        super().__init__(tuple(map(tuple, sizes)), (tuple(ratios),) * len(sizes))

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """(A, 4) around the origin, ratio by ratio; a ratio is height / width."""
        corners = [
            (size / math.sqrt(ratio) / 2, size * math.sqrt(ratio) / 2)
            for ratio in aspect_ratios
            for size in scales
        ]
        corner = torch.tensor(corners, dtype=dtype, device=device)
        return torch.cat([-corner, corner], 1)

    def grid_anchors(self, grid_sizes: list[Size], strides: object) -> list[Tensor]:
        exact = [[stride, stride] for stride in self.strides]
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, exact)
        return anchors


def size_of(images: Tensor) -> Size:
    height, width = images.shape[-2:]
    return height, width


def grids(size: Size, strides: Sequence[int]) -> list[Size]:
    """Height and width of the map at each stride."""
    return [((size[0] + s - 1) // s, (size[1] + s - 1) // s) for s in strides]


def anchors_by_level(
    generator: Any, size: Size, strides: Sequence[int], device: torch.device
) -> list[Tensor]:
    """(H*W*A, 4) xyxy in pixels, float32 whatever the network computes in, of each level."""
    shapes = grids(size, strides)
    pictures = ImageList(torch.empty(0, 3, *size), [size])
    maps = [torch.empty(0, 1, *shape, device=device) for shape in shapes]
    (anchors,) = generator(pictures, maps)
    each = generator.num_anchors_per_location()
    counts = [count * height * width for count, (height, width) in zip(each, shapes, strict=True)]
    return list(anchors.split(counts))


def decode_boxes(
    coder: BoxCoder, deltas: Tensor, anchors: Tensor, size: Size, whole: bool
) -> Tensor:
    """(B, N, 4) xyxy, of (B, N, 4) deltas from (N, 4) or (B, N, 4) anchors."""
    anchors = anchors.expand(*deltas.shape)
    boxes = coder.decode_single(deltas.float().flatten(0, 1), anchors.flatten(0, 1))
    return cut_to_picture(boxes.reshape(deltas.shape), size, whole)


def cut_to_picture(boxes: Tensor, size: Size, whole: bool) -> Tensor:
    """As they are where people are told of whole."""
    if whole:
        return boxes
    clipped: Tensor = clip_boxes_to_image(boxes, size)
    return clipped


class Columns(nn.Module):
    """Of the scores of all outputs, those of the named classes."""

    numbers: Tensor

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)

    def forward(self, scores: Tensor, dim: int = -1) -> Tensor:
        return scores.index_select(dim, self.numbers)
