"""Faster R-CNN (Ren et al., 2015) on a feature pyramid: one stage proposes, another one judges.

torchvision's own pyramid for MobileNets has two levels of stride 32, too coarse for small people;
here every backbone has the strides 4, 8, 16 and 32, but for the variant that takes its weights.
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

from mot.detectors.architectures import Classes, FasterrcnnSettings, choose, classes_of
from mot.detectors.models.common import (
    WIDE,
    Columns,
    ExactAnchors,
    Pyramid,
    Size,
    anchors_by_level,
    body_of,
    decode_boxes,
    size_of,
    torchvision_body,
)
from mot.errors import MotError
from mot.runtime.preprocess import InputSpec

Settings = FasterrcnnSettings
PERSON_RATIOS = (1.0, 2.0, 3.0)  # height / width
COCO_RATIOS = (0.5, 1.0, 2.0)
MIN_SIDE = 0.01  # pixels; torchvision takes smaller boxes for none
LEVELS = 5  # at most
CLASSES_EACH = 2  # boxes that are kept of a proposal, on average, where there are many classes


class Variant(NamedTuple):
    """In what the published networks differ."""

    strides: tuple[int, ...] = (4, 8, 16, 32, 64)
    is_deep: bool = False  # two convolutions before proposals, four before the judgement
    aligns_pixels: bool = False  # and takes as many samples of a proposal as it has pixels
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
    proposals: Tensor  # (B, P, 4) xyxy; the best first, and empty ones where there are no more
    logits: Tensor  # (B, P, outputs), the background first
    refinements: Tensor  # (B, P, outputs, 4) from the proposals


class Fasterrcnn(nn.Module):
    """Normalised pictures (B, 3, H, W) to (B, N, 4) xyxy boxes and (B, N, C) scores."""

    def __init__(
        self,
        backbone: Pyramid,
        rpn: RegionProposalNetwork,
        roi_heads: RoIHeads,
        strides: tuple[int, ...],
        classes: Classes,
        whole: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.strides = strides
        self.columns = Columns(classes.columns)
        self.whole = whole

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.raw(images), size_of(images))

    def raw(self, images: Tensor) -> Raw:
        maps = self.backbone(images)
        objectness, deltas = self.first_stage(maps)
        proposals = self.propose(objectness, deltas, size_of(images))
        logits, refinements = self.second_stage(maps, proposals)
        return Raw(objectness, deltas, proposals, logits, refinements)

    def first_stage(self, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits, deltas = concat_box_prediction_layers(*self.rpn.head(list(maps.values())))
        batch = maps["0"].shape[0]
        return logits.reshape(batch, -1, 1), deltas.reshape(batch, -1, 4)

    def second_stage(self, maps: dict[str, Tensor], proposals: Tensor) -> tuple[Tensor, Tensor]:
        rows = _numbered(proposals)
        used = (rows[:, 3] > rows[:, 1]).nonzero()[:, 0]
        # Coordinates in 16 bits would be wrong by pixels, so proposals are pooled in 32.
        exact = {name: each.float() for name, each in maps.items()}
        pooled = self.roi_heads.box_roi_pool.of_rows(exact, rows[used])
        looks = self.roi_heads.box_head(pooled.to(maps["0"].dtype))
        logits, refinements = (
            each.new_zeros(rows.shape[0], each.shape[1]).index_copy(0, used, each)
            for each in self.roi_heads.box_predictor(looks)
        )
        logits = logits.reshape(*proposals.shape[:2], -1)
        return logits, refinements.reshape(*logits.shape, 4)

    def propose(self, objectness: Tensor, deltas: Tensor, size: Size) -> Tensor:
        """(B, P, 4) xyxy, the best first: of each level's best those that overlap no better one."""
        levels = self.anchors(size)
        anchors = torch.cat(levels)
        boxes = decode_boxes(self.rpn.box_coder, deltas.detach(), anchors, size, self.whole)
        logits = objectness.detach().float()[..., 0]
        best = self.rpn._get_top_n_idx(logits, [level.shape[0] for level in levels])
        numbers = [torch.full_like(level[:, 0], place) for place, level in enumerate(levels)]
        boxes = boxes.gather(1, best[..., None].expand(-1, -1, 4))
        scores = self._without_unsound(boxes, logits.gather(1, best).sigmoid())
        alone = _thinned(boxes, scores, torch.cat(numbers)[best], self.rpn.nms_thresh)
        most = _topk_min(alone, self.rpn.post_nms_top_n(), 1)
        scores, places = alone.topk(most)
        chosen = boxes.gather(1, places[..., None].expand(-1, -1, 4))
        return chosen * (scores >= 0)[..., None]

    def _without_unsound(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Scores of -1 for boxes that are too small, or too unlikely."""
        is_sound = (boxes[..., 2:] - boxes[..., :2]).amin(-1) >= self.rpn.min_size
        return scores.where(is_sound & (scores >= self.rpn.score_thresh), -1.0)

    def anchors(self, size: Size) -> list[Tensor]:
        """(H*W*A, 4) xyxy of each level, for pictures of this height and width."""
        device = self.columns.numbers.device
        return anchors_by_level(self.rpn.anchor_generator, size, self.strides, device)

    def decode(self, raw: Raw, size: Size) -> tuple[Tensor, Tensor]:
        """A proposal becomes one box for each class."""
        scores = self.columns(raw.logits.float().softmax(-1))
        refinements = self.columns(raw.refinements, dim=2)
        count = refinements.shape[2]
        proposals = raw.proposals.repeat_interleave(count, 1)
        coder, deltas = self.roi_heads.box_coder, refinements.flatten(1, 2)
        boxes = decode_boxes(coder, deltas, proposals, size, self.whole)
        is_box = (boxes[..., 2:] - boxes[..., :2]).amin(-1) >= MIN_SIDE
        scores = scores * is_box.reshape(scores.shape)
        return (boxes, scores) if count == 1 else _best_of_classes(boxes, scores)


def _thinned(boxes: Tensor, scores: Tensor, levels: Tensor, iou: float) -> Tensor:
    """(B, K) scores, -1 for boxes that overlap a better one of their picture and level."""
    batch, count = scores.shape
    pictures = torch.arange(batch, device=scores.device)[:, None].expand(-1, count)
    groups = (pictures * LEVELS + levels.long()).flatten()
    kept = batched_nms(boxes.flatten(0, 1), scores.flatten(), groups, iou)
    is_kept = torch.zeros_like(groups).scatter(0, kept, 1).reshape(scores.shape)
    return scores.where(is_kept > 0, -1.0)


def _best_of_classes(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Of (B, P*C, 4) and (B, P, C) so many boxes as are kept, each of them with one class alone."""
    classes = scores.shape[2]
    best, places = scores.flatten(1).topk(CLASSES_EACH * scores.shape[1])
    chosen = boxes.gather(1, places[..., None].expand(-1, -1, 4))
    alone = torch.zeros_like(best)[..., None].repeat(1, 1, classes)
    return chosen, alone.scatter(2, (places % classes)[..., None], best[..., None])


class RegionPool(nn.Module):
    """7x7 places of each proposal, out of the level that fits its size (eq. 1 of FPN's paper)."""

    def __init__(self, strides: tuple[int, ...], aligns_pixels: bool) -> None:
        super().__init__()
        self.strides = strides
        self.aligns_pixels = aligns_pixels

    def forward(
        self, maps: dict[str, Tensor], proposals: list[Tensor], sizes: list[Size]
    ) -> Tensor:
        """As torchvision's heads call it in training: proposals of each picture by themselves."""
        owners = [torch.full_like(some[:, :1], place) for place, some in enumerate(proposals)]
        return self.of_rows(maps, torch.cat([torch.cat(owners), torch.cat(proposals)], 1))

    def of_rows(self, maps: dict[str, Tensor], rows: Tensor) -> Tensor:
        """(P, channels, 7, 7) of (P, 5) rows: the number of the picture, and the box."""
        levels = self._levels(rows)
        chosen = [(levels == level).nonzero()[:, 0] for level in range(len(self.strides))]
        pooled = [
            roi_align(
                maps[str(level)],
                rows[each],
                7,
                1 / stride,
                -1 if self.aligns_pixels else 2,
                self.aligns_pixels,
            )
            for level, (each, stride) in enumerate(zip(chosen, self.strides, strict=True))
        ]
        return torch.cat(pooled)[torch.cat(chosen).argsort()]

    def _levels(self, rows: Tensor) -> Tensor:
        extent = (rows[:, 3:] - rows[:, 1:3]).prod(1).sqrt()
        finest, coarsest = (round(math.log2(self.strides[end])) for end in (0, -1))
        levels: Tensor = (4 + (extent / 224).log2() + 1e-6).floor().clamp(finest, coarsest)
        return levels - finest


def _numbered(proposals: Tensor) -> Tensor:
    """(B*P, 5) the number of the picture, and the box."""
    pictures = torch.arange(proposals.shape[0], device=proposals.device)
    owners = pictures[:, None, None].expand(-1, proposals.shape[1], 1).to(proposals.dtype)
    return torch.cat([owners, proposals], 2).flatten(0, 1)


def create(settings: Settings) -> Fasterrcnn:
    variant = choose("variant", settings.variant, VARIANTS)
    classes = classes_of(settings.names, has_background=True)
    norm = nn.BatchNorm2d if variant.is_deep else None
    backbone = Pyramid(_body(settings, variant), LastLevelMaxPool(), norm)
    anchors = anchors_of(settings.anchors, variant)
    rpn = _first_stage(settings, variant, anchors, backbone.out_channels)
    roi_heads = _second_stage(variant, backbone.out_channels, classes.outputs)
    return Fasterrcnn(backbone, rpn, roi_heads, variant.strides, classes, settings.whole)


def _body(settings: Settings, variant: Variant) -> nn.Module:
    if variant.strides[0] == 4:
        return body_of(settings.backbone, variant.strides[:-1], settings.norm_epsilon)
    if settings.backbone != "mobilenet_v3_large":
        raise MotError("variant = 'torchvision-mobile' has the backbone mobilenet_v3_large alone")
    return torchvision_body(settings.backbone, ("13", "16"), settings.norm_epsilon)


def anchors_of(name: str, variant: Variant) -> AnchorGenerator:
    """One size at each level, or on the coarse levels of the mobile variant all of them."""
    coco = [[8.0 * stride] for stride in (4, 8, 16, 32, 64)]
    person = [[6.0 * stride] for stride in (4, 8, 16, 32, 64)]
    chosen = choose("anchors", name, {"person": person, "coco": coco})
    if len(variant.strides) == 3:
        chosen = [[size for level in chosen for size in level]] * 3
    ratios = PERSON_RATIOS if name == "person" else COCO_RATIOS
    if name == "person" or not variant.rounds_anchors:
        return ExactAnchors(chosen, ratios, variant.strides)
    return AnchorGenerator(tuple(map(tuple, chosen)), (ratios,) * len(chosen))


def _first_stage(
    settings: Settings, variant: Variant, anchors: AnchorGenerator, channels: int
) -> RegionProposalNetwork:
    most = settings.proposals
    each = anchors.num_anchors_per_location()[0]
    return RegionProposalNetwork(
        anchors,
        RPNHead(channels, each, conv_depth=2 if variant.is_deep else 1),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2 * most, "testing": most},
        post_nms_top_n={"training": 2 * most, "testing": most},
        nms_thresh=settings.proposal_iou,
        score_thresh=settings.proposal_score,
    )


def _second_stage(variant: Variant, channels: int, outputs: int) -> RoIHeads:
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


def spec_of(settings: Settings) -> InputSpec:
    return WIDE
