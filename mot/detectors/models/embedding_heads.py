"""What tells of each box what the person in it looks like: the cell that it was told from, or the
region that it covers.

A detector's last maps know that there is somebody, but hardly who: beside one that is not trained
any more, regions of an earlier map tell twice as many people apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.ops import Conv2dNormActivation, box_iou, clip_boxes_to_image, nms, roi_align

from mot.detectors.darknet.model import Head

Found = tuple[Tensor, Tensor, Tensor]
_GRID = (16, 8)  # places of a region, down and across
_POOLED = 24  # channels that are kept of each map
_WIDTH = 32  # of the first convolution over a region, unless it is told
_LEAST = 0.05  # score; the regions of others are not looked at
_SAME = 0.7  # IoU from which two boxes are taken for one person's
_leaky = partial(nn.LeakyReLU, 0.1)


class CellEmbedding(nn.Module):
    """Of each level's map another one, of a vector for each cell (Wang et al., 2020)."""

    def __init__(
        self, channels: Sequence[int], levels: Sequence[Head], dims: int, hidden: int
    ) -> None:
        super().__init__()
        self.dims = dims
        self.anchors = [len(level.layer.chosen) for level in levels]  # of a cell, of each level
        self.branches = nn.ModuleList(_branch(each, hidden, dims) for each in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, D, H, W) of each level."""
        return [branch(each) for branch, each in zip(self.branches, maps, strict=True)]

    def added(self, boxes: Tensor, scores: Tensor, looks: Sequence[Tensor]) -> Found:
        """With (B, N, D) unit vectors, one for each box."""
        cells = F.normalize(_cells(looks).float(), dim=2)
        return boxes, scores, cells.index_select(1, self._cells_of_boxes(looks))

    def at(self, boxes: Tensor, places: Tensor, looks: Sequence[Tensor]) -> Tensor:
        """(P, D) the vectors of some boxes: (P, 2) the picture and the box of each."""
        picture, box = places.T
        return _cells(looks)[picture, self._cells_of_boxes(looks)[box]]

    def _cells_of_boxes(self, looks: Sequence[Tensor]) -> Tensor:
        """(N,) which of the cells of all levels each box is told from."""
        numbers, start = [], 0
        for each, anchors in zip(looks, self.anchors, strict=True):
            count = each.shape[2] * each.shape[3]
            cells = torch.arange(count, device=each.device) + start
            numbers.append(cells[:, None].expand(-1, anchors).flatten())
            start += count
        return torch.cat(numbers)


def _cells(looks: Sequence[Tensor]) -> Tensor:
    """(B, cells, D) of all levels."""
    return torch.cat([each.flatten(2) for each in looks], 2).transpose(1, 2)


def _branch(channels: int, hidden: int, dims: int) -> nn.Module:
    if not hidden:
        return nn.Conv2d(channels, dims, 1)
    first = Conv2dNormActivation(channels, hidden, 3, activation_layer=_leaky)
    return nn.Sequential(first, nn.Conv2d(hidden, dims, 1))


class RegionEmbedding(nn.Module):
    """Of the best boxes: what they cover of the maps, through a small network."""

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], count: int, dims: int, width: int
    ) -> None:
        super().__init__()
        self.dims, self.strides, self.count = dims, tuple(strides), count
        width = width or _WIDTH
        narrow = partial(Conv2dNormActivation, kernel_size=1, activation_layer=None)
        half = partial(Conv2dNormActivation, kernel_size=3, stride=2, activation_layer=_leaky)
        self.narrowed = nn.ModuleList(narrow(each, _POOLED) for each in channels)
        self.vector = nn.Sequential(
            half(_POOLED * len(channels), width),
            half(width, 2 * width),
            nn.Flatten(),
            nn.Linear(2 * width * _GRID[0] * _GRID[1] // 16, dims),
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """As regions are cut out of them."""
        return [narrow(each) for narrow, each in zip(self.narrowed, maps, strict=True)]

    def added(self, boxes: Tensor, scores: Tensor, looks: Sequence[Tensor]) -> Found:
        """The best boxes, with (B, K, D) unit vectors; zeros where a score is too low. Those that
        lie on each other have the vector of the surest."""
        best = scores.amax(2)
        chances, rows = best.topk(_topk_min(best, self.count, 1))
        boxes, scores = (_rows(each, rows) for each in (boxes, scores))
        # At least one of all: not every run-time knows convolutions over nothing.
        used = (chances >= chances.amax().clamp(max=_LEAST)).flatten().nonzero()[:, 0]
        pictures = torch.arange(rows.shape[0], device=rows.device)[:, None].expand(*rows.shape)
        pictures, flat = pictures.flatten(), boxes.flatten(0, 1)
        # Pictures beside each other: boxes of different ones do not overlap.
        apart = (flat + (pictures * (flat.max() - flat.min() + 1))[:, None])[used].float()
        kept = nms(apart, chances.flatten()[used].float(), _SAME)
        seen = self._vectors(pictures[used[kept]], flat[used[kept]], looks)
        found = seen[box_iou(apart, apart[kept]).argmax(1)]
        empty = found.new_zeros(rows.shape[0] * rows.shape[1], self.dims)
        vectors = empty.index_copy(0, used, F.normalize(found, dim=1))
        return boxes, scores, vectors.reshape(*rows.shape, self.dims)

    def at(self, boxes: Tensor, places: Tensor, looks: Sequence[Tensor]) -> Tensor:
        """(P, D) the vectors of some of (B, N, 4) boxes: (P, 2) the picture and the box of each."""
        some = places if len(places) else places.new_zeros(1, 2)  # norms know nothing of nobody
        picture, box = some.T
        return self._vectors(picture, boxes[picture, box], looks)[: len(places)]

    def _vectors(self, pictures: Tensor, boxes: Tensor, looks: Sequence[Tensor]) -> Tensor:
        """Coordinates in 16 bits would be wrong by pixels, so regions are cut out in 32."""
        height, width = (side * self.strides[0] for side in looks[0].shape[2:])
        inside = clip_boxes_to_image(boxes.float(), (height, width))
        regions = torch.cat([pictures[:, None].float(), inside], 1)
        pooled = [
            roi_align(each.float(), regions, _GRID, 1 / stride, 1, True)
            for each, stride in zip(looks, self.strides, strict=True)
        ]
        vectors: Tensor = self.vector(torch.cat(pooled, 1).to(looks[0].dtype))
        return vectors.float()


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """(B, K, C) of (B, N, C) values."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2]))


Embedding = CellEmbedding | RegionEmbedding
