"""FairMOT's criterion (Zhang et al., 2021): a heatmap with a peak at the center of each object, and
at each peak the distances to the sides, the offset of the center in its cell, and the embedding.

Departure from the authors' code: the radius of a peak is CornerNet's (Law and Deng, 2018) as its
paper has it. An error in the widely copied formula makes theirs, from an IoU of 0.7, as large as
this one is from 0.3.

`box_weight` adds what TTFNet (Liu et al., 2020) trains with: boxes are predicted around the center
too, not in its cell alone, and are compared by their GIoU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.base import HeightWidth, height_width
from mot.detectors.models.common import TORCHVISION_INPUT
from mot.detectors.models.fairmot import STRIDE, Fairmot, Raw, box_around
from mot.settings import bounds
from mot.training.assigners.core import is_inside, to_planes
from mot.training.criteria.base import Criterion, Losses
from mot.training.criteria.identity import AuxiliaryHeads, IdentityLoss, ObjectEmbeddings
from mot.training.distributed import mean_over_processes
from mot.training.losses import box_loss, to_float
from mot.training.targets import Target

GRID = 5  # points around a center on each axis, at which boxes are trained


@dataclass(frozen=True, slots=True)
class FairmotLoss(IdentityLoss):
    heatmap_weight: float = 1.0
    offset_weight: float = 1.0
    sides_weight: float = 0.1
    box_weight: float = 0.0  # of the GIoU of boxes around the center; 0: as in FairMOT's paper
    box_radius: float = 0.25  # how far around the center, as a share of the box's sides
    peak_iou: float = field(
        default=0.3, metadata=bounds(max=1)
    )  # minimum IoU of a box whose corners are off by the radius of its peak
    alpha: float = 2.0  # of the focal loss
    beta: float = 4.0  # lowers the penalty near a center


class Centers(NamedTuple):
    """Centers of the P objects of a batch, on the map at the stride of 4."""

    images: Tensor  # (P,)
    labels: Tensor  # (P,)
    cells: Tensor  # (P, 2) column and row of the center
    offset: Tensor  # (P, 2) of the center in its cell
    sides: Tensor  # (P, 4) distances to left, top, right and bottom, in strides
    radii: Tensor  # (P,) of the peaks


class FairmotCriterion(Criterion):
    settings_type = FairmotLoss
    model: Fairmot
    settings: FairmotLoss
    auxiliary: AuxiliaryHeads

    def make_auxiliary_heads(self, identities: int) -> AuxiliaryHeads:
        dims = self.model.embedding.vector.out_features
        return AuxiliaryHeads(dims, identities, self.settings, TORCHVISION_INPUT)

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        raw = self.model.raw(images)
        centers = find_centers(targets, height_width(images), self.settings.peak_iou)
        identity = self.auxiliary(self._embeddings(raw, centers), images, targets)
        return self.auxiliary.balance(self._detection_losses(raw, centers, targets), identity)

    def _embeddings(self, raw: Raw, centers: Centers) -> ObjectEmbeddings:
        vectors = self.model.embedding.vector(_at(raw.appearance, centers))
        return ObjectEmbeddings(vectors, torch.arange(len(vectors), device=vectors.device))

    def _detection_losses(self, raw: Raw, centers: Centers, targets: list[Target]) -> Losses:
        settings = self.settings
        wanted = draw_heatmap(centers, raw.heat.shape)
        heatmap = peak_focal(raw.heat, wanted, settings.alpha, settings.beta)
        offset = (to_float(_at(raw.offset, centers)) - centers.offset).abs()
        sides = (to_float(_at(raw.sides, centers)) - centers.sides).abs()
        total = mean_over_processes(raw.heat.new_tensor(len(offset)).float()).clamp(min=1)
        losses = {
            "heatmap": settings.heatmap_weight * heatmap[_is_valid(wanted, targets)],
            "offset": settings.offset_weight * offset,
            "sides": settings.sides_weight * sides,
        }
        if settings.box_weight:
            losses["box"] = settings.box_weight * self._box_losses(raw, centers)
        return {name: loss.sum() / total for name, loss in losses.items()}

    def _box_losses(self, raw: Raw, centers: Centers) -> Tensor:
        """(K,) of the boxes predicted around centers; all of one object weigh at most 1."""
        objects, cells = cells_around(centers, raw.heat.shape, self.settings.box_radius)
        near = centers._replace(images=centers.images[objects], cells=cells)
        offset, sides = to_float(_at(raw.offset, near)), to_float(_at(raw.sides, near))
        wanted = box_around(centers.cells + centers.offset, centers.sides)[objects]
        return box_loss("giou", box_around(cells + offset, sides), wanted) / GRID**2


def cells_around(centers: Centers, shape: Sequence[int], radius: float) -> tuple[Tensor, Tensor]:
    """Cells up to `radius` times the box's sides from its center: (K,) objects and (K, 2) cells. A
    cell of several objects belongs to the smallest."""
    steps = torch.linspace(-radius, radius, GRID, device=centers.radii.device)
    sides = (centers.sides[:, :2] + centers.sides[:, 2:])[:, None]
    points = (centers.cells + centers.offset)[:, None] + torch.cartesian_prod(steps, steps) * sides
    height, width = shape[2:]
    columns, rows = points.long().unbind(2)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    cells = (centers.images[:, None] * height + rows) * width + columns
    areas = sides.prod(2).expand(-1, GRID**2)
    smallest = areas.new_full((shape[0] * height * width,), math.inf)
    smallest.scatter_reduce_(0, cells.flatten(), areas.flatten(), "amin")
    objects, which = torch.nonzero(areas == smallest[cells], as_tuple=True)
    return objects, torch.stack([columns[objects, which], rows[objects, which]], 1)


def find_centers(targets: Sequence[Target], size: HeightWidth, peak_iou: float) -> Centers:
    """For images of this height and width; the center is that of the box's part in the image."""
    device = targets[0].boxes.device
    counts = torch.tensor([len(target.boxes) for target in targets], device=device)
    boxes = torch.cat([target.boxes for target in targets]) / STRIDE
    limit = boxes.new_tensor([size[1], size[0]]) / STRIDE
    first, last = boxes[:, :2], boxes[:, 2:]
    centers = (first.clamp(min=0) + last.minimum(limit)) / 2
    cells = centers.floor().clamp(min=0).minimum(limit - 1)
    return Centers(
        torch.arange(len(targets), device=device).repeat_interleave(counts),
        torch.cat([target.labels for target in targets]),
        cells.long(),
        centers - cells,
        torch.cat([centers - first, last - centers], 1),
        peak_radius(last - first, peak_iou),
    )


def peak_radius(sides: Tensor, min_iou: float) -> Tensor:
    """(N,) of (N, 2) widths and heights: by how much both corners may be off along both axes so
    that the IoU with the box is still `min_iou`, in the worst case of three."""
    total, area = sides.sum(1), sides.prod(1)
    kept = (1 - min_iou) / (1 + min_iou) * area
    moved = (total - (total**2 - 4 * kept).clamp(min=0).sqrt()) / 2
    lost = (1 - min_iou) * area
    shrunk = (total - (total**2 - 4 * lost).clamp(min=0).sqrt()) / 4
    grown = ((total**2 + 4 * lost / min_iou).sqrt() - total) / 4
    return torch.stack([moved, shrunk, grown]).amin(0)


def draw_heatmap(centers: Centers, shape: Sequence[int]) -> Tensor:
    """(B, C, H, W) 1 at each center, with a Gaussian around it as its radius says; of several peaks
    at a cell the highest."""
    heatmap = torch.zeros(tuple(shape), device=centers.radii.device)
    falloff = -1 / (2 * ((2 * centers.radii + 1) / 6) ** 2)
    x, y = (
        (falloff[:, None] * (torch.arange(side, device=heatmap.device) - cell[:, None]) ** 2).exp()
        for side, cell in zip((shape[3], shape[2]), centers.cells.T, strict=True)
    )
    for image, label in {*zip(centers.images.tolist(), centers.labels.tolist(), strict=True)}:
        own = (centers.images == image) & (centers.labels == label)
        heatmap[image, label] = (y[own][:, :, None] * x[own][:, None]).amax(0)
    return heatmap


def peak_focal(logits: Tensor, wanted: Tensor, alpha: float, beta: float) -> Tensor:
    """CornerNet's penalty-reduced focal loss of each logit: the nearer a cell is to a center (1),
    the lower its penalty."""
    logits = to_float(logits)
    chance = logits.sigmoid()
    positive = -F.logsigmoid(logits) * (1 - chance) ** alpha
    negative = -F.logsigmoid(-logits) * chance**alpha * (1 - wanted) ** beta
    return torch.where(wanted == 1, positive, negative)


def _is_valid(wanted: Tensor, targets: Sequence[Target]) -> Tensor:
    """(B, C, H, W) cells outside of ignored regions, and centers anywhere."""
    height, width = wanted.shape[2:]
    rows, columns = (torch.arange(side, device=wanted.device) for side in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = (torch.stack([x, y]).flatten(1) + 0.5) * STRIDE
    ignored = [is_inside(to_planes(target.regions), points).any(0) for target in targets]
    return (wanted == 1) | ~torch.stack(ignored).reshape(-1, 1, height, width)


def _at(maps: Tensor, centers: Centers) -> Tensor:
    """(P, C) of (B, C, H, W)."""
    columns, rows = centers.cells.T
    return maps[centers.images, :, rows, columns]
