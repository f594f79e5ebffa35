"""Faster R-CNN (Ren et al., 2015) on a feature pyramid: region proposals, then their refinement.

torchvision's own pyramid for MobileNets has two levels of stride 32, too coarse for small persons;
here every backbone has the strides 4, 8, 16 and 32, except for the variant of its weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)
from torchvision.ops import batched_nms, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from mot.detectors.models.architecture import (
    Architecture,
    Classes,
    FasterrcnnSettings,
    choose,
    resolve_classes,
)
from mot.detectors.models.base import DetectionModel, HeightWidth, height_width
from mot.detectors.models.common import (
    PERSON_RATIOS,
    TORCHVISION_INPUT,
    ExactAnchors,
    Pyramid,
    SelectClasses,
    decode_boxes,
    make_anchors,
    make_body,
    make_torchvision_body,
)
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

COCO_RATIOS = (0.5, 1.0, 2.0)  # height / width
MIN_SIDE = 0.01  # pixels; torchvision drops smaller boxes
MAX_LEVELS = 5
BOXES_PER_PROPOSAL = 2  # kept on average, if there are several classes


class Variant(NamedTuple):
    """Differences between the published networks."""

    strides: tuple[int, ...] = (4, 8, 16, 32, 64)
    is_deep: bool = False  # two convolutions before the proposals, four in the second stage
    aligns_pixels: bool = False  # and takes one sample per pixel of a proposal
    rounds_anchors: bool = True


VARIANTS = {
    "torchvision": Variant(),
    "torchvision-v2": Variant(is_deep=True),
    "torchvision-mobile": Variant(strides=(32, 32, 64)),
    "mmdetection": Variant(aligns_pixels=True, rounds_anchors=False),
}


class Raw(NamedTuple):
    objectness: Tensor  # (B, N, 1) logits of the anchors
    deltas: Tensor  # (B, N, 4) from the anchors
    proposals: Tensor  # (B, P, 4) xyxy, the best first; padded with empty boxes
    logits: Tensor  # (B, P, outputs), the background first
    refinements: Tensor  # (B, P, outputs, 4) deltas from the proposals


class Fasterrcnn(DetectionModel[Raw]):
    def __init__(
        self,
        backbone: Pyramid,
        rpn: RegionProposalNetwork,
        roi_heads: RoIHeads,
        strides: tuple[int, ...],
        classes: Classes,
        amodal: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.strides = strides
        self.select_classes = SelectClasses(classes.indices)
        self.amodal = amodal

    def raw(self, images: Tensor) -> Raw:
        maps = self.backbone(images)
        objectness, deltas = self.first_stage(maps)
        proposals = self.propose(objectness, deltas, height_width(images))
        logits, refinements = self.second_stage(maps, proposals)
        return Raw(objectness, deltas, proposals, logits, refinements)

    def first_stage(self, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Objectness (B, N, 1) and deltas (B, N, 4) of the anchors."""
        logits, deltas = concat_box_prediction_layers(*self.rpn.head(list(maps.values())))
        batch = maps["0"].shape[0]
        return logits.reshape(batch, -1, 1), deltas.reshape(batch, -1, 4)

    def second_stage(self, maps: dict[str, Tensor], proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, P, outputs) and refinements (B, P, outputs, 4) of the proposals."""
        rois = _make_rois(proposals)
        used = (rois[:, 3] > rois[:, 1]).nonzero()[:, 0]
        # Coordinates in 16 bits would be wrong by pixels, so proposals are pooled in 32.
        maps32 = {name: each.float() for name, each in maps.items()}
        pooled = self.roi_heads.box_roi_pool.pool(maps32, rois[used])
        features = self.roi_heads.box_head(pooled.to(maps["0"].dtype))
        logits, refinements = (
            each.new_zeros(rois.shape[0], each.shape[1]).index_copy(0, used, each)
            for each in self.roi_heads.box_predictor(features)
        )
        logits = logits.reshape(*proposals.shape[:2], -1)
        return logits, refinements.reshape(*logits.shape, 4)

    def propose(self, objectness: Tensor, deltas: Tensor, size: HeightWidth) -> Tensor:
        """(B, P, 4) xyxy proposals: the best boxes of each level after NMS, the best first."""
        levels = self.anchors(size)
        anchors = torch.cat(levels)
        boxes = decode_boxes(self.rpn.box_coder, deltas.detach(), anchors, size, self.amodal)
        logits = objectness.detach().float()[..., 0]
        best = self.rpn._get_top_n_idx(logits, [level.shape[0] for level in levels])
        numbers = [torch.full_like(level[:, 0], number) for number, level in enumerate(levels)]
        boxes = boxes.gather(1, best[..., None].expand(-1, -1, 4))
        scores = self._mask_invalid(boxes, logits.gather(1, best).sigmoid())
        scores = _mask_overlapping(boxes, scores, torch.cat(numbers)[best], self.rpn.nms_thresh)
        count = _topk_min(scores, self.rpn.post_nms_top_n(), 1)
        scores, rows = scores.topk(count)
        proposals = boxes.gather(1, rows[..., None].expand(-1, -1, 4))
        return proposals * (scores >= 0)[..., None]

    def _mask_invalid(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Scores, -1 for boxes that are too small or unlikely."""
        valid = (boxes[..., 2:] - boxes[..., :2]).amin(-1) >= self.rpn.min_size
        return scores.where(valid & (scores >= self.rpn.score_thresh), -1.0)

    def anchors(self, size: HeightWidth) -> list[Tensor]:
        """(H*W*A, 4) xyxy anchors of each level, for images of this size."""
        device = self.select_classes.indices.device
        return make_anchors(self.rpn.anchor_generator, size, self.strides, device)

    def decode(self, raw: Raw, size: HeightWidth) -> tuple[Tensor, Tensor]:
        """A proposal becomes one box for each class."""
        scores = self.select_classes(raw.logits.float().softmax(-1))
        refinements = self.select_classes(raw.refinements, dim=2)
        count = refinements.shape[2]
        proposals = raw.proposals.repeat_interleave(count, 1)
        coder, deltas = self.roi_heads.box_coder, refinements.flatten(1, 2)
        boxes = decode_boxes(coder, deltas, proposals, size, self.amodal)
        is_box = (boxes[..., 2:] - boxes[..., :2]).amin(-1) >= MIN_SIDE
        scores = scores * is_box.reshape(scores.shape)
        return (boxes, scores) if count == 1 else _take_best(boxes, scores)


def _mask_overlapping(boxes: Tensor, scores: Tensor, levels: Tensor, iou: float) -> Tensor:
    """(B, K) scores, -1 for boxes that overlap a better one of their image and level."""
    batch, count = scores.shape
    images = torch.arange(batch, device=scores.device)[:, None].expand(-1, count)
    groups = (images * MAX_LEVELS + levels.long()).flatten()
    kept = batched_nms(boxes.flatten(0, 1), scores.flatten(), groups, iou)
    is_kept = torch.zeros_like(groups).scatter(0, kept, 1).reshape(scores.shape)
    return scores.where(is_kept > 0, -1.0)


def _take_best(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best of (B, P*C, 4) boxes and (B, P, C) scores, each with the score of one class."""
    classes = scores.shape[2]
    best, rows = scores.flatten(1).topk(BOXES_PER_PROPOSAL * scores.shape[1])
    chosen = boxes.gather(1, rows[..., None].expand(-1, -1, 4))
    zeros = torch.zeros_like(best)[..., None].repeat(1, 1, classes)
    return chosen, zeros.scatter(2, (rows % classes)[..., None], best[..., None])


class RegionPool(nn.Module):
    """7x7 samples of each proposal, from the level that fits its size (eq. 1 of the FPN paper)."""

    def __init__(self, strides: tuple[int, ...], aligns_pixels: bool) -> None:
        super().__init__()
        self.strides = strides
        self.aligns_pixels = aligns_pixels

    def forward(
        self, maps: dict[str, Tensor], proposals: list[Tensor], sizes: list[HeightWidth]
    ) -> Tensor:
        """As torchvision's heads call it in training: with the proposals of each image."""
        owners = [torch.full_like(some[:, :1], image) for image, some in enumerate(proposals)]
        return self.pool(maps, torch.cat([torch.cat(owners), torch.cat(proposals)], 1))

    def pool(self, maps: dict[str, Tensor], rois: Tensor) -> Tensor:
        """(P, channels, 7, 7) of (P, 5) image numbers and boxes."""
        levels = self._levels(rois)
        rows = [(levels == level).nonzero()[:, 0] for level in range(len(self.strides))]
        pooled = [
            roi_align(
                maps[str(level)],
                rois[each],
                7,
                1 / stride,
                -1 if self.aligns_pixels else 2,
                self.aligns_pixels,
            )
            for level, (each, stride) in enumerate(zip(rows, self.strides, strict=True))
        ]
        return torch.cat(pooled)[torch.cat(rows).argsort()]

    def _levels(self, rois: Tensor) -> Tensor:
        extent = (rois[:, 3:] - rois[:, 1:3]).prod(1).sqrt()
        finest, coarsest = (round(math.log2(self.strides[end])) for end in (0, -1))
        levels: Tensor = (4 + (extent / 224).log2() + 1e-6).floor().clamp(finest, coarsest)
        return levels - finest


def _make_rois(proposals: Tensor) -> Tensor:
    """(B*P, 5) image numbers and boxes."""
    images = torch.arange(proposals.shape[0], device=proposals.device)
    owners = images[:, None, None].expand(-1, proposals.shape[1], 1).to(proposals.dtype)
    return torch.cat([owners, proposals], 2).flatten(0, 1)


class FasterrcnnArchitecture(Architecture[FasterrcnnSettings]):
    def create(self, settings: FasterrcnnSettings) -> Fasterrcnn:
        variant = choose("variant", settings.variant, VARIANTS)
        classes = resolve_classes(settings.names, has_background=True)
        norm = nn.BatchNorm2d if variant.is_deep else None
        backbone = Pyramid(_make_body(settings, variant), LastLevelMaxPool(), norm)
        anchors = _make_anchor_generator(settings.anchors, variant)
        rpn = _make_rpn(settings, variant, anchors, backbone.out_channels)
        roi_heads = _make_roi_heads(variant, backbone.out_channels, classes.outputs)
        return Fasterrcnn(backbone, rpn, roi_heads, variant.strides, classes, settings.amodal)

    def input_spec(self, settings: FasterrcnnSettings) -> InputSpec:
        return TORCHVISION_INPUT


def _make_body(settings: FasterrcnnSettings, variant: Variant) -> nn.Module:
    if variant.strides[0] == 4:
        return make_body(settings.backbone, variant.strides[:-1], settings.norm_epsilon)
    if settings.backbone != "mobilenet_v3_large":
        raise MotError("variant = 'torchvision-mobile' needs backbone = 'mobilenet_v3_large'")
    return make_torchvision_body(settings.backbone, ("13", "16"), settings.norm_epsilon)


def _make_anchor_generator(name: str, variant: Variant) -> AnchorGenerator:
    """One size at each level; the coarse levels of the mobile variant have all sizes."""
    coco = [[8.0 * stride] for stride in (4, 8, 16, 32, 64)]
    person = [[6.0 * stride] for stride in (4, 8, 16, 32, 64)]
    sizes = choose("anchors", name, {"person": person, "coco": coco})
    if len(variant.strides) == 3:
        sizes = [[size for level in sizes for size in level]] * 3
    ratios = PERSON_RATIOS if name == "person" else COCO_RATIOS
    if name == "person" or not variant.rounds_anchors:
        return ExactAnchors(sizes, ratios, variant.strides)
    return AnchorGenerator(tuple(map(tuple, sizes)), (ratios,) * len(sizes))


def _make_rpn(
    settings: FasterrcnnSettings, variant: Variant, anchors: AnchorGenerator, channels: int
) -> RegionProposalNetwork:
    counts = {"training": 2 * settings.proposals, "testing": settings.proposals}
    per_location = anchors.num_anchors_per_location()[0]
    return RegionProposalNetwork(
        anchors,
        RPNHead(channels, per_location, conv_depth=2 if variant.is_deep else 1),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n=counts,
        post_nms_top_n=counts,
        nms_thresh=settings.proposal_iou,
        score_thresh=settings.proposal_score,
    )


def _make_roi_heads(variant: Variant, channels: int, outputs: int) -> RoIHeads:
    pool = RegionPool(variant.strides[:-1], variant.aligns_pixels)
    head = TwoMLPHead(channels * 7 * 7, 1024)
    if variant.is_deep:
        head = FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [1024], nn.BatchNorm2d)
    return RoIHeads(
        pool,
        head,
        FastRCNNPredictor(1024, outputs),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=512,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.0,
        nms_thresh=0.5,
        detections_per_img=300,
    )
