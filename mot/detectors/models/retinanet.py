"""RetinaNet (Lin et al., 2017): one stage, anchors on five levels, trained with the focal loss."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from mot.detectors.models.architecture import (
    Architecture,
    RetinanetSettings,
    choose,
    resolve_classes,
)
from mot.detectors.models.common import (
    P6P7,
    PERSON_RATIOS,
    TORCHVISION_INPUT,
    AnchorDetector,
    ExactAnchors,
    Pyramid,
    make_body,
    map_channels,
)
from mot.runtime.preprocess import InputSpec

STRIDES = (8, 16, 32, 64, 128)
_COCO_RATIOS = (0.5, 1.0, 2.0)


class Variant(NamedTuple):
    """Differences between the published networks."""

    p6_from_backbone: bool = False  # otherwise from P5
    p7_after_relu: bool = True
    normalizes_heads: bool = False
    rounds_anchors: bool = True


VARIANTS = {
    "torchvision": Variant(),
    "torchvision-v2": Variant(p6_from_backbone=True, normalizes_heads=True),
    "mmdetection": Variant(p6_from_backbone=True, p7_after_relu=False, rounds_anchors=False),
}


class Retinanet(AnchorDetector):
    """An anchor detector with independent classes."""

    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    def scores(self, logits: Tensor) -> Tensor:
        scores: Tensor = self.select_classes(logits).float().sigmoid()
        return scores


class RetinanetArchitecture(Architecture[RetinanetSettings]):
    def create(self, settings: RetinanetSettings) -> Retinanet:
        variant = choose("variant", settings.variant, VARIANTS)
        classes = resolve_classes(settings.names)
        anchors = _make_anchor_generator(settings.anchors, variant)
        body = make_body(settings.backbone, STRIDES[:3], settings.norm_epsilon)
        channels = map_channels(body)[-1] if variant.p6_from_backbone else 256
        backbone = Pyramid(body, P6P7(channels, variant.p7_after_relu))
        norm = partial(nn.GroupNorm, 32) if variant.normalizes_heads else None
        per_location = anchors.num_anchors_per_location()[0]
        head = RetinaNetHead(backbone.out_channels, per_location, classes.outputs, norm_layer=norm)
        return Retinanet(backbone, head, anchors, STRIDES, classes, settings.amodal)

    def input_spec(self, settings: RetinanetSettings) -> InputSpec:
        return TORCHVISION_INPUT


def _make_anchor_generator(name: str, variant: Variant) -> AnchorGenerator:
    """Three scales and three ratios at each location of each level."""
    octaves = [2 ** (third / 3) for third in range(3)]
    person = [[2.5 * stride * octave for octave in octaves] for stride in STRIDES]
    coco = [[4 * stride * octave for octave in octaves] for stride in STRIDES]
    sizes = choose("anchors", name, {"person": person, "coco": coco})
    if name == "person":
        return ExactAnchors(sizes, PERSON_RATIOS, STRIDES)
    if not variant.rounds_anchors:
        return ExactAnchors(sizes, _COCO_RATIOS, STRIDES)
    rounded = tuple(tuple(int(size) for size in level) for level in sizes)
    return AnchorGenerator(rounded, (_COCO_RATIOS,) * len(STRIDES))
