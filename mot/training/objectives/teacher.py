"""A re-identification network that another one learns from: it sees the crops of a batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mot import boxes as geometry
from mot.reid.open import open_embedder
from mot.runtime.preprocess import InputSpec
from mot.training.targets import Target
from mot.types import FloatArray, Image


class Teacher:
    """Sees what the network sees: the very pictures, of any device, after they were augmented."""

    def __init__(self, name: str, spec: InputSpec) -> None:
        """`spec` says how the pictures of a batch are normalised."""
        self._embed = open_embedder(name, device="cpu")
        self._spec = spec
        self.dims = self._embed.dims

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: list[Target], objects: Tensor) -> Tensor:
        """(K, D) unit vectors of some (K,) of all objects of the batch, in their order."""
        if not len(objects):
            return images.new_zeros(0, self.dims)
        counts = [len(target.boxes) for target in targets]
        owners = np.repeat(np.arange(len(counts)), counts)[objects.cpu().numpy()]
        xyxy = torch.cat([target.boxes for target in targets])[objects].float().cpu().numpy()
        sheet, placed = stacked(self._pixels(images), xyxy, owners)
        return torch.from_numpy(self._embed(sheet, placed)).to(images.device)

    def _pixels(self, images: Tensor) -> Image:
        """(B, H, W, 3) BGR as they were."""
        spec = self._spec
        mean, std = (images.new_tensor(each)[:, None, None] for each in (spec.mean, spec.std))
        pixels = (255 * (images.float() * std + mean)).round().clamp(0, 255).byte()
        planes = pixels.flip(1) if spec.is_rgb else pixels
        shown: Image = planes.permute(0, 2, 3, 1).cpu().numpy()
        return shown


def stacked(
    pictures: Image, xyxy: FloatArray, owners: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[Image, FloatArray]:
    """One picture of all, below each other, and the boxes in it: they go through the network
    together. No box reaches into another picture."""
    count, height, width, _ = pictures.shape
    placed = geometry.clip(xyxy, width, height)
    placed[:, 1::2] += (owners * height)[:, None]
    return np.ascontiguousarray(pictures).reshape(count * height, width, 3), placed
