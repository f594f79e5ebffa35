"""What the models share: backbones, feature pyramids, anchors, and one-stage anchor detectors.

Modules have the names that torchvision gives them, so that its checkpoints fit.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection._utils import BoxCoder, retrieve_out_channels
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelP6P7,
)

from mot.detectors.models.architecture import Classes
from mot.detectors.models.base import DetectionModel, HeightWidth
from mot.runtime.preprocess import InputSpec
from mot.runtime.torch_layers import TimmBody

# 16:9, about the size of torchvision's recipes; normalized as for ImageNet.
TORCHVISION_INPUT = InputSpec((1344, 768), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PERSON_RATIOS = (1.0, 2.0, 3.0)  # height / width of anchors for persons

# The last layer at each stride, in torchvision's networks.
_RESNET = {4: "layer1", 8: "layer2", 16: "layer3", 32: "layer4"}
_LAYERS = {
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "resnet101": _RESNET,
    "mobilenet_v2": {4: "3", 8: "6", 16: "13", 32: "18"},
    "mobilenet_v3_large": {4: "3", 8: "6", 16: "12", 32: "16"},
}


def make_body(name: str, strides: Sequence[int], epsilon: float = 1e-5) -> nn.Module:
    """A backbone that returns its maps at these strides, by "0", "1" and so on."""
    if name not in _LAYERS:
        return TimmBody(name, strides, _LAYERS)
    layers = [_LAYERS[name][stride] for stride in strides]
    return make_torchvision_body(name, layers, epsilon)


def make_torchvision_body(name: str, layers: Sequence[str], epsilon: float = 1e-5) -> nn.Module:
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


def map_channels(body: nn.Module) -> list[int]:
    """Channels of each map of a backbone."""
    channels: list[int] = retrieve_out_channels(body, (64, 64))
    return channels


class P6P7(LastLevelP6P7):  # type: ignore[misc]
    """Two more levels, with a ReLU between them as in the papers, or without as in mmdetection."""

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
    """Anchors without torchvision's rounding of their corners, and of their steps on odd sides."""

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

    def grid_anchors(self, grid_sizes: list[HeightWidth], strides: object) -> list[Tensor]:
        exact = [[stride, stride] for stride in self.strides]
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, exact)
        return anchors


def map_sizes(size: HeightWidth, strides: Sequence[int]) -> list[HeightWidth]:
    """Size of the map at each stride, for images of this size."""
    return [((size[0] + s - 1) // s, (size[1] + s - 1) // s) for s in strides]


def make_anchors(
    generator: AnchorGenerator | DefaultBoxGenerator,
    size: HeightWidth,
    strides: Sequence[int],
    device: torch.device,
) -> list[Tensor]:
    """(H*W*A, 4) xyxy anchors of each level, always float32, for images of this size."""
    sizes = map_sizes(size, strides)
    images = ImageList(torch.empty(0, 3, *size), [size])
    maps = [torch.empty(0, 1, *each, device=device) for each in sizes]
    (anchors,) = generator(images, maps)
    per_location = generator.num_anchors_per_location()
    counts = [
        count * height * width for count, (height, width) in zip(per_location, sizes, strict=True)
    ]
    return list(anchors.split(counts))


def decode_boxes(
    coder: BoxCoder, deltas: Tensor, anchors: Tensor, size: HeightWidth, amodal: bool
) -> Tensor:
    """(B, N, 4) xyxy from (B, N, 4) deltas and (N, 4) or (B, N, 4) anchors."""
    anchors = anchors.expand(*deltas.shape)
    boxes = coder.decode_single(deltas.float().flatten(0, 1), anchors.flatten(0, 1))
    return clip_boxes(boxes.reshape(deltas.shape), size, amodal)


def clip_boxes(boxes: Tensor, size: HeightWidth, amodal: bool) -> Tensor:
    """Boxes clipped to images of this size; unchanged if amodal."""
    if amodal:
        return boxes
    clipped: Tensor = clip_boxes_to_image(boxes, size)
    return clipped


class SelectClasses(nn.Module):
    """Selects the outputs of the named classes."""

    indices: Tensor

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return outputs.index_select(dim, self.indices)


class RawAnchors(NamedTuple):
    logits: Tensor  # (B, N, outputs); a background has the first
    deltas: Tensor  # (B, N, 4) from the anchors


class AnchorDetector(DetectionModel[RawAnchors]):
    """A one-stage detector that classifies and moves anchors."""

    coder: ClassVar[BoxCoder]  # of deltas

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        anchors: AnchorGenerator | DefaultBoxGenerator,
        strides: tuple[int, ...],
        classes: Classes,
        amodal: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.anchor_generator = anchors
        self.strides = strides
        self.select_classes = SelectClasses(classes.indices)
        self.amodal = amodal

    def raw(self, images: Tensor) -> RawAnchors:
        outputs = self.head(list(self.backbone(images).values()))
        return RawAnchors(outputs["cls_logits"], outputs["bbox_regression"])

    def anchors(self, size: HeightWidth) -> list[Tensor]:
        """(H*W*A, 4) xyxy anchors of each level, for images of this size."""
        device = self.select_classes.indices.device
        return make_anchors(self.anchor_generator, size, self.strides, device)

    def decode(self, raw: RawAnchors, size: HeightWidth) -> tuple[Tensor, Tensor]:
        anchors = torch.cat(self.anchors(size))
        boxes = decode_boxes(self.coder, raw.deltas, anchors, size, self.amodal)
        return boxes, self.scores(raw.logits)

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """(B, N, C) scores of the named classes."""
