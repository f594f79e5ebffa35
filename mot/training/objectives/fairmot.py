"""FairMOT's objective (Zhang et al., 2021): a peak at the centre of each person, and there how far
the sides are, where in its cell the centre lies, and who it is.

Departure from the authors' code: the radius of a peak is CornerNet's (Law and Deng, 2018) as its
paper has it. A slip in the formula that is handed around makes theirs, from an IoU of 0.7, as large
as this one is from 0.3.

`box_weight` adds what TTFNet (Liu et al., 2020) trains with: boxes may be told from any place near
the centre, not from its cell alone, and are judged by their overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mot.detectors.models.common import WIDE, size_of
from mot.detectors.models.fairmot import STRIDE, Raw, box_around
from mot.settings import bounds
from mot.training.assigners.core import planes_of, within
from mot.training.distributed import mean_over_processes
from mot.training.losses import box_loss, exact
from mot.training.objectives.identity import IdentitySettings, Learned, Looks
from mot.training.targets import Target

ASSIGNER = None  # each person has one place
LATTICE = 5  # places around a centre, each way


@dataclass(frozen=True, slots=True)
class Settings(IdentitySettings):
    heat_weight: float = 1.0
    offset_weight: float = 1.0
    sides_weight: float = 0.1
    box_weight: float = 0.0  # of the GIoU of boxes told around the centre; 0: as FairMOT's paper
    reach: float = 0.25  # of these, how far around, in sides of the box
    peak_iou: float = field(
        default=0.3, metadata=bounds(max=1)
    )  # that a box keeps whose corners are off by the radius of its peak
    alpha: float = 2.0  # of the focal loss
    beta: float = 4.0  # how much is forgiven near a centre


class Centres(NamedTuple):
    """Of the P objects of a batch, on the map at the stride of 4."""

    pictures: Tensor  # (P,)
    labels: Tensor  # (P,)
    cells: Tensor  # (P, 2) column and row of the centre
    offset: Tensor  # (P, 2) of the centre in its cell
    sides: Tensor  # (P, 4) left, top, right, bottom of the centre, in strides
    radii: Tensor  # (P,) of the peaks


class FairmotObjective:
    def __init__(self, model: Any, settings: Settings, learned: Learned) -> None:
        self.model, self.settings, self.learned = model, settings, learned

    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        raw: Raw = self.model.raw(images)
        centres = centres_of(targets, size_of(images), self.settings.peak_iou)
        identity = self.learned(self._looks(raw, centres), images, targets)
        return self.learned.balanced(self._detection(raw, centres, targets), identity)

    def _looks(self, raw: Raw, centres: Centres) -> Looks:
        vectors = self.model.embedding.vector(_at(raw.looks, centres))
        return Looks(vectors, torch.arange(len(vectors), device=vectors.device))

    def _detection(self, raw: Raw, centres: Centres, targets: list[Target]) -> dict[str, Tensor]:
        settings = self.settings
        wanted = heat_map(centres, raw.heat.shape)
        heat = peak_focal(raw.heat, wanted, settings.alpha, settings.beta)
        offset = (exact(_at(raw.offset, centres)) - centres.offset).abs()
        sides = (exact(_at(raw.sides, centres)) - centres.sides).abs()
        total = mean_over_processes(raw.heat.new_tensor(len(offset)).float()).clamp(min=1)
        losses = {
            "heat": settings.heat_weight * heat[_counts(wanted, targets)],
            "offset": settings.offset_weight * offset,
            "sides": settings.sides_weight * sides,
        }
        if settings.box_weight:
            losses["box"] = settings.box_weight * self._boxes(raw, centres)
        return {name: loss.sum() / total for name, loss in losses.items()}

    def _boxes(self, raw: Raw, centres: Centres) -> Tensor:
        """(K,) of the boxes told at places around centres, of which those of one count as one."""
        objects, cells = around(centres, raw.heat.shape, self.settings.reach)
        near = centres._replace(pictures=centres.pictures[objects], cells=cells)
        told = box_around(cells + exact(_at(raw.offset, near)), exact(_at(raw.sides, near)))
        wanted = box_around(centres.cells + centres.offset, centres.sides)[objects]
        return box_loss("giou", told, wanted) / LATTICE**2


def around(centres: Centres, shape: Sequence[int], reach: float) -> tuple[Tensor, Tensor]:
    """Anchors around centres, within `reach` of the sides: (K,) objects and (K, 2) cells. Where
    several people have a place it is the smallest one's."""
    steps = torch.linspace(-reach, reach, LATTICE, device=centres.radii.device)
    sides = (centres.sides[:, :2] + centres.sides[:, 2:])[:, None]
    points = (centres.cells + centres.offset)[:, None] + torch.cartesian_prod(steps, steps) * sides
    height, width = shape[2:]
    columns, rows = points.long().unbind(2)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    places = (centres.pictures[:, None] * height + rows) * width + columns
    areas = sides.prod(2).expand(-1, LATTICE**2)
    least = areas.new_full((shape[0] * height * width,), math.inf)
    least.scatter_reduce_(0, places.flatten(), areas.flatten(), "amin")
    objects, which = torch.nonzero(areas == least[places], as_tuple=True)
    return objects, torch.stack([columns[objects, which], rows[objects, which]], 1)


def centres_of(targets: Sequence[Target], size: tuple[int, int], overlap: float) -> Centres:
    """Of pictures of this height and width; the centre is that of what they hold of a box."""
    device = targets[0].boxes.device
    counts = torch.tensor([len(target.boxes) for target in targets], device=device)
    boxes = torch.cat([target.boxes for target in targets]) / STRIDE
    limit = boxes.new_tensor([size[1], size[0]]) / STRIDE
    first, last = boxes[:, :2], boxes[:, 2:]
    centres = (first.clamp(min=0) + last.minimum(limit)) / 2
    cells = centres.floor().clamp(min=0).minimum(limit - 1)
    return Centres(
        torch.arange(len(targets), device=device).repeat_interleave(counts),
        torch.cat([target.labels for target in targets]),
        cells.long(),
        centres - cells,
        torch.cat([centres - first, last - centres], 1),
        peak_radius(last - first, overlap),
    )


def peak_radius(sides: Tensor, overlap: float) -> Tensor:
    """(N,) of (N, 2) widths and heights: by how much both corners may be off along both axes, so
    that the IoU with the box is still `overlap`, in the worst case of three."""
    total, area = sides.sum(1), sides.prod(1)
    kept = (1 - overlap) / (1 + overlap) * area
    moved = (total - (total**2 - 4 * kept).clamp(min=0).sqrt()) / 2
    lost = (1 - overlap) * area
    shrunk = (total - (total**2 - 4 * lost).clamp(min=0).sqrt()) / 4
    grown = ((total**2 + 4 * lost / overlap).sqrt() - total) / 4
    return torch.stack([moved, shrunk, grown]).amin(0)


def heat_map(centres: Centres, shape: Sequence[int]) -> Tensor:
    """(B, C, H, W) 1 at each centre, falling off around it as its radius says; of several peaks at
    a place the highest."""
    heat = torch.zeros(tuple(shape), device=centres.radii.device)
    falls = -1 / (2 * ((2 * centres.radii + 1) / 6) ** 2)
    across, down = (
        (falls[:, None] * (torch.arange(side, device=heat.device) - cell[:, None]) ** 2).exp()
        for side, cell in zip((shape[3], shape[2]), centres.cells.T, strict=True)
    )
    for place in {*zip(centres.pictures.tolist(), centres.labels.tolist(), strict=True)}:
        mine = (centres.pictures == place[0]) & (centres.labels == place[1])
        heat[place] = (down[mine][:, :, None] * across[mine][:, None]).amax(0)
    return heat


def peak_focal(logits: Tensor, wanted: Tensor, alpha: float, beta: float) -> Tensor:
    """CornerNet's penalty-reduced focal loss of each logit: places near a centre (1) are forgiven
    the more, the nearer they are."""
    logits = exact(logits)
    chance = logits.sigmoid()
    found = -F.logsigmoid(logits) * (1 - chance) ** alpha
    empty = -F.logsigmoid(-logits) * chance**alpha * (1 - wanted) ** beta
    return torch.where(wanted == 1, found, empty)


def _counts(wanted: Tensor, targets: Sequence[Target]) -> Tensor:
    """(B, C, H, W) which cells count: those in a region do only as somebody's centre."""
    height, width = wanted.shape[2:]
    rows, columns = (torch.arange(side, device=wanted.device) for side in (height, width))
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    points = (torch.stack([across, down]).flatten(1) + 0.5) * STRIDE
    spared = [within(planes_of(target.regions), points).any(0) for target in targets]
    return (wanted == 1) | ~torch.stack(spared).reshape(-1, 1, height, width)


def _at(maps: Tensor, centres: Centres) -> Tensor:
    """(P, C) of (B, C, H, W)."""
    columns, rows = centres.cells.T
    return maps[centres.pictures, :, rows, columns]


def learned(model: Any, settings: Settings, identities: int) -> Learned:
    return Learned(model.embedding.vector.out_features, identities, settings, WIDE)


objective = FairmotObjective
