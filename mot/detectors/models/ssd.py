"""SSD300 on VGG-16 (Liu et al., 2016) and SSDLite on MobileNets (Sandler et al., 2018): one stage,
default boxes on six levels, a fixed input size.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG, SSDHead
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead
from torchvision.models.vgg import cfgs, make_layers

from mot.detectors.models.architecture import Architecture, SsdSettings, choose, resolve_classes
from mot.detectors.models.common import PERSON_RATIOS, AnchorDetector, map_channels
from mot.runtime.preprocess import InputSpec

_LITE_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)


class Layout(NamedTuple):
    """Input and levels of a network."""

    spec: InputSpec
    strides: tuple[int, ...]
    scales: tuple[float, ...]  # of the boxes of each level, as shares of the image, and one more
    ratios: tuple[tuple[int, ...], ...]  # for COCO, beside 1; each is width / height and inverse
    channels: tuple[int, ...] = ()  # of the levels; empty: those of the backbone, as in SSDLite
    person_scales: tuple[float, ...] = ()  # of boxes for persons; empty: as for COCO

    @property
    def is_lite(self) -> bool:
        return not self.channels


_VGG = Layout(
    InputSpec(
        (300, 300),
        1,
        (0.48235, 0.45882, 0.40784),
        (1 / 255, 1 / 255, 1 / 255),
        keeps_aspect=False,
        is_fixed=True,
    ),
    (8, 16, 32, 64, 100, 300),
    (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),
    ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
    (512, 1024, 512, 256, 256, 256),
)
_MOBILE = Layout(
    InputSpec((320, 320), 1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), keeps_aspect=False, is_fixed=True),
    (16, 32, 64, 128, 256, 512),
    (*(0.2 + 0.75 * level / 5 for level in range(6)), 1.0),
    ((2, 3),) * 6,
    # Most persons in a video are less than 64 pixels high.
    person_scales=(0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0),
)
BACKBONES = {"vgg16": _VGG, "mobilenet_v2": _MOBILE, "mobilenet_v3_large": _MOBILE}


class Ssd(AnchorDetector):
    """An anchor detector with exclusive classes, one of them the background."""

    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))

    def scores(self, logits: Tensor) -> Tensor:
        scores: Tensor = self.select_classes(logits.float().softmax(-1))
        return scores


class SsdArchitecture(Architecture[SsdSettings]):
    def create(self, settings: SsdSettings) -> Ssd:
        layout = choose("backbone", settings.backbone, BACKBONES)
        classes = resolve_classes(settings.names, has_background=True)
        backbone = _make_backbone(settings.backbone)
        boxes = _make_box_generator(settings.anchors, layout)
        per_location = boxes.num_anchors_per_location()
        head: nn.Module
        if layout.is_lite:
            channels = map_channels(backbone)
            head = SSDLiteHead(channels, per_location, classes.outputs, _LITE_NORM)
        else:
            head = SSDHead(layout.channels, per_location, classes.outputs)
        return Ssd(backbone, head, boxes, layout.strides, classes, settings.amodal)

    def input_spec(self, settings: SsdSettings) -> InputSpec:
        return choose("backbone", settings.backbone, BACKBONES).spec


def _make_backbone(name: str) -> nn.Module:
    if name == "vgg16":
        vgg: nn.Module = SSDFeatureExtractorVGG(make_layers(cfgs["D"]), highres=False)
        return vgg
    if name == "mobilenet_v3_large":
        layers = list(mobilenet_v3_large(norm_layer=_LITE_NORM, reduced_tail=True).features)
        split = 13
    else:
        layers = list(mobilenet_v2(norm_layer=_LITE_NORM).features)
        split = 14
        # The first map is that of the expansion in this block: torchvision expects MobileNetV3's
        # attribute names.
        layers[split] = SimpleNamespace(block=layers[split].conv, use_res_connect=False)
    mobile: nn.Module = SSDLiteFeatureExtractorMobileNet(layers, split, _LITE_NORM)
    return mobile


def _make_box_generator(name: str, layout: Layout) -> DefaultBoxGenerator:
    upright = UprightBoxes, layout.person_scales or layout.scales
    known = {"person": upright, "coco": (DefaultBoxGenerator, layout.scales)}
    generator, scales = choose("anchors", name, known)
    steps = None if layout.is_lite else list(layout.strides)
    return generator([list(each) for each in layout.ratios], scales=list(scales), steps=steps)


class UprightBoxes(DefaultBoxGenerator):  # type: ignore[misc]
    """Boxes for persons, each at the scale of its level and at one between it and the next."""

    def num_anchors_per_location(self) -> list[int]:
        return [2 * len(PERSON_RATIOS)] * len(self.aspect_ratios)

    def _generate_wh_pairs(self, num_outputs: int) -> list[Tensor]:
        """(6, 2) width and height of each level, as shares of the image's."""
        between = [math.sqrt(a * b) for a, b in zip(self.scales, self.scales[1:], strict=False)]
        return [
            torch.tensor(
                [
                    (scale / math.sqrt(ratio), scale * math.sqrt(ratio))
                    for scale in (self.scales[level], between[level])
                    for ratio in PERSON_RATIOS
                ]
            )
            for level in range(num_outputs)
        ]
