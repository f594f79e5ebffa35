"""Embeddings of boxes: of the cell that predicts a box, or of the region that it covers.

The last maps of a detector know that there is an object, but hardly which one: with a frozen
detector, regions of an earlier map identify twice as many persons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.ops import Conv2dNormActivation, box_iou, clip_boxes_to_image, nms, roi_align

from mot.detectors.darknet.model import Head

Outputs = tuple[Tensor, Tensor, Tensor]  # boxes, scores, embeddings
_GRID = (16, 8)  # rows and columns of samples of a region
_POOLED = 24  # channels kept of each map
_WIDTH = 32  # default channels of the first convolution over a region
_MIN_SCORE = 0.05  # of boxes whose regions are pooled
_SAME_IOU = 0.7  # boxes that overlap by more share an embedding
_leaky = partial(nn.LeakyReLU, 0.1)


class EmbeddingHead(nn.Module, ABC):
    """Computes the embeddings of (B, N, 4) boxes from feature maps."""

    dims: int

    @abstractmethod
    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The features of the embeddings, which the other methods take."""

    @abstractmethod
    def attach(self, boxes: Tensor, scores: Tensor, features: Sequence[Tensor]) -> Outputs:
        """Boxes, or the best of them, with their scores and (B, N, D) unit vectors."""

    @abstractmethod
    def vectors_of(self, boxes: Tensor, chosen: Tensor, features: Sequence[Tensor]) -> Tensor:
        """(P, D) vectors of some boxes, for training; `chosen` (P, 2) are image and box."""


class CellEmbedding(EmbeddingHead):
    """A vector for each cell of each level (Wang et al., 2020)."""

    def __init__(
        self, channels: Sequence[int], levels: Sequence[Head], dims: int, hidden: int
    ) -> None:
        super().__init__()
        self.dims = dims
        self.anchors = [len(level.layer.chosen) for level in levels]  # per cell of each level
        self.branches = nn.ModuleList(_make_branch(each, hidden, dims) for each in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, D, H, W) of each level."""
        return [branch(each) for branch, each in zip(self.branches, maps, strict=True)]

    def attach(self, boxes: Tensor, scores: Tensor, features: Sequence[Tensor]) -> Outputs:
        cells = F.normalize(_flatten(features).float(), dim=2)
        return boxes, scores, cells.index_select(1, self._cells_of_boxes(features))

    def vectors_of(self, boxes: Tensor, chosen: Tensor, features: Sequence[Tensor]) -> Tensor:
        image, box = chosen.T
        return _flatten(features)[image, self._cells_of_boxes(features)[box]]

    def _cells_of_boxes(self, features: Sequence[Tensor]) -> Tensor:
        """(N,) the cell of each box, among those of all levels."""
        numbers, start = [], 0
        for each, anchors in zip(features, self.anchors, strict=True):
            count = each.shape[2] * each.shape[3]
            cells = torch.arange(count, device=each.device) + start
            numbers.append(cells[:, None].expand(-1, anchors).flatten())
            start += count
        return torch.cat(numbers)


def _flatten(features: Sequence[Tensor]) -> Tensor:
    """(B, cells, D) of all levels."""
    return torch.cat([each.flatten(2) for each in features], 2).transpose(1, 2)


def _make_branch(channels: int, hidden: int, dims: int) -> nn.Module:
    if not hidden:
        return nn.Conv2d(channels, dims, 1)
    first = Conv2dNormActivation(channels, hidden, 3, activation_layer=_leaky)
    return nn.Sequential(first, nn.Conv2d(hidden, dims, 1))


class RegionEmbedding(EmbeddingHead):
    """A vector for each of the best boxes, from its region of the maps."""

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
        """Maps with fewer channels, from which regions are pooled."""
        return [narrow(each) for narrow, each in zip(self.narrowed, maps, strict=True)]

    def attach(self, boxes: Tensor, scores: Tensor, features: Sequence[Tensor]) -> Outputs:
        """The best boxes, with zeros as the vectors of low scores. Boxes that overlap have the
        vector of the best of them."""
        best = scores.amax(2)
        best, rows = best.topk(_topk_min(best, self.count, 1))
        boxes, scores = (_gather(each, rows) for each in (boxes, scores))
        # At least one box: not every runtime supports convolutions of empty batches.
        used = (best >= best.amax().clamp(max=_MIN_SCORE)).flatten().nonzero()[:, 0]
        images = torch.arange(rows.shape[0], device=rows.device)[:, None].expand(*rows.shape)
        images, flat = images.flatten(), boxes.flatten(0, 1)
        # Images are moved beside each other, so that their boxes do not overlap.
        apart = (flat + (images * (flat.max() - flat.min() + 1))[:, None])[used].float()
        kept = nms(apart, best.flatten()[used].float(), _SAME_IOU)
        vectors = self._pool(images[used[kept]], flat[used[kept]], features)
        vectors = vectors[box_iou(apart, apart[kept]).argmax(1)]
        empty = vectors.new_zeros(rows.shape[0] * rows.shape[1], self.dims)
        embeddings = empty.index_copy(0, used, F.normalize(vectors, dim=1))
        return boxes, scores, embeddings.reshape(*rows.shape, self.dims)

    def vectors_of(self, boxes: Tensor, chosen: Tensor, features: Sequence[Tensor]) -> Tensor:
        some = chosen if len(chosen) else chosen.new_zeros(1, 2)  # batch norms need a row
        image, box = some.T
        return self._pool(image, boxes[image, box], features)[: len(chosen)]

    def _pool(self, images: Tensor, boxes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """(P, D) of (P, 4) boxes; coordinates in 16 bits would be wrong by pixels."""
        height, width = (side * self.strides[0] for side in features[0].shape[2:])
        inside = clip_boxes_to_image(boxes.float(), (height, width))
        regions = torch.cat([images[:, None].float(), inside], 1)
        pooled = [
            roi_align(each.float(), regions, _GRID, 1 / stride, 1, True)
            for each, stride in zip(features, self.strides, strict=True)
        ]
        vectors: Tensor = self.vector(torch.cat(pooled, 1).to(features[0].dtype))
        return vectors.float()


def _gather(values: Tensor, rows: Tensor) -> Tensor:
    """(B, K, C) of (B, N, C) values."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2]))
