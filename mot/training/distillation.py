"""Embeddings of a teacher: a larger re-ID network that another one learns from."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from mot import boxes as geometry
from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.reid.open import open_embedder
from mot.runtime.preprocess import InputSpec, Size
from mot.training import distributed
from mot.training.augment.crop import CropAugment
from mot.training.data.crops import Crops
from mot.training.targets import Target
from mot.types import FloatArray, Image, IntArray

_REPORTS = 10  # progress lines in all


class Teacher:
    """Embeds objects of a batch as the network sees them: after augmentation, on any device."""

    def __init__(self, name: str, spec: InputSpec) -> None:
        """`spec` says how the images of a batch are normalized."""
        self._embed = open_embedder(name, device="cpu")
        self._spec = spec
        self.dims = self._embed.dims

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: list[Target], objects: Tensor) -> Tensor:
        """(K, D) unit vectors of the (K,) rows among all objects of the batch."""
        if not len(objects):
            return images.new_zeros(0, self.dims)
        counts = [len(target.boxes) for target in targets]
        owners = np.repeat(np.arange(len(counts)), counts)[objects.cpu().numpy()]
        xyxy = torch.cat([target.boxes for target in targets])[objects].float().cpu().numpy()
        image, placed = stack_images(self._to_bgr(images), xyxy, owners)
        return torch.from_numpy(self._embed(image, placed)).to(images.device)

    def _to_bgr(self, images: Tensor) -> Image:
        """(B, H, W, 3) uint8, from normalized (B, 3, H, W)."""
        spec = self._spec
        mean, std = (images.new_tensor(each)[:, None, None] for each in (spec.mean, spec.std))
        pixels = (255 * (images.float() * std + mean)).round().clamp(0, 255).byte()
        planes = pixels.flip(1) if spec.is_rgb else pixels
        bgr: Image = planes.permute(0, 2, 3, 1).cpu().numpy()
        return bgr


def stack_images(
    images: Image, xyxy: FloatArray, owners: npt.NDArray[np.int64]
) -> tuple[Image, FloatArray]:
    """One image of all (B, H, W, 3), below each other, and the boxes (N, 4) in it, so that they go
    through a network together. `owners` (N,) are the images of the boxes, which are clipped."""
    count, height, width, _ = images.shape
    placed = geometry.clip(xyxy, width, height)
    placed[:, 1::2] += (owners * height)[:, None]
    return np.ascontiguousarray(images).reshape(count * height, width, 3), placed


def compute_teacher_embeddings(name: str, crops: Crops, augment: CropAugment, size: Size) -> Tensor:
    """(N, V, D) unit vectors of the crops by the teacher `name`, after their mean is subtracted: it
    separates no identities. Of crops with V views, these; else (V = 1) the boxes in their images.
    Several processes embed a share each."""
    teacher = open_embedder(name)
    share = np.array_split(np.arange(len(crops)), distributed.world_size())[distributed.rank()]
    batches = _views(crops, share, augment, size) if augment.views else _boxes(crops, share)
    parts: list[FloatArray] = []
    done = 0
    for image, boxes in batches:
        parts.append(teacher(image, boxes).reshape(-1, max(1, augment.views), teacher.dims))
        before, done = done, done + len(parts[-1])
        step = done * _REPORTS // len(share)
        if distributed.is_first() and step > before * _REPORTS // len(share):
            print(f"mot: teacher {name}: {step / _REPORTS:.0%} of the crops", file=sys.stderr)
    found = np.concatenate(parts)
    if len(found) < len(share):
        raise MotError(f"{name}: images of the training data disappeared: restore them")
    vectors = torch.zeros(len(crops), *found.shape[1:])
    vectors[torch.from_numpy(share)] = torch.from_numpy(found)
    vectors = distributed.mean_over_processes(vectors) * distributed.world_size()
    return functional.normalize(vectors - vectors.mean((0, 1)), dim=2)


def _boxes(crops: Crops, share: IntArray) -> Iterator[tuple[Image, FloatArray]]:
    """Images, and the boxes of the crops in them."""
    for rows, image in crops.take(share).shots(Problems()):
        yield image, crops.boxes[share[rows]]


def _views(
    crops: Crops, share: IntArray, augment: CropAugment, size: Size
) -> Iterator[tuple[Image, FloatArray]]:
    """The views of a crop in one image, and their boxes."""
    numbers = np.arange(augment.views)
    boxes = np.tile(np.array([0, 0, *size], np.float32), (augment.views, 1))
    for index in share.tolist():
        views = [
            augment(crops.full_image, len(crops), index, size, view)[0] for view in numbers.tolist()
        ]
        bgr = torch.stack(views).flip(1).permute(0, 2, 3, 1).numpy()
        yield stack_images(bgr, boxes, numbers)
