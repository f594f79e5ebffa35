"""The base class of the detection models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from torch import Tensor, nn

HeightWidth = tuple[int, int]
RawT = TypeVar("RawT")


class DetectionModel(nn.Module, ABC, Generic[RawT]):
    """A network that is called with normalized images (B, 3, H, W).

    It returns (B, N, 4) xyxy boxes in pixels of the images, (B, N, C) scores, and perhaps (B, N, D)
    embeddings of unit length, all float32.
    """

    @abstractmethod
    def raw(self, images: Tensor) -> RawT:
        """The outputs that losses are computed from."""

    @abstractmethod
    def decode(self, raw: RawT, size: HeightWidth) -> tuple[Tensor, ...]:
        """Boxes, scores and embeddings; `size` is that of the images."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.decode(self.raw(images), height_width(images))


def height_width(images: Tensor) -> HeightWidth:
    """Height and width of a batch of images."""
    height, width = images.shape[-2:]
    return height, width
