"""A image of the dataset to a sample of training. The same seed gives the same sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from mot.datasets.dataset import Annotations
from mot.runtime.preprocess import InputSpec, Size
from mot.training.augment.pixels import erased, filmed, transforms_of
from mot.training.augment.sample import Sample, for_network, target_of
from mot.training.augment.settings import AugmentSettings
from mot.training.augment.views import (
    Rectangle,
    Shown,
    mosaic_tiles,
    paint,
    show,
    single_view,
    tile_view,
)
from mot.training.targets import Target
from mot.types import Image

Read = Callable[[int], tuple[Image, Annotations]]  # the BGR image of a number, and what is in it


class Augment:
    """Images to samples: `augment(read, count, index, size, seed)`."""

    def __init__(self, settings: AugmentSettings, spec: InputSpec) -> None:
        self.settings, self.spec = settings, spec
        self._transforms = transforms_of(settings)

    def __call__(
        self, read: Read, count: int, index: int, size: Size, seed: int
    ) -> tuple[Tensor, Target]:
        """The image `index` of `count`, on a canvas of this size; a mosaic reads others too."""
        rng, settings = np.random.default_rng(seed), self.settings
        if rng.random() < settings.mosaic:
            canvas, parts = self._mosaic(read, [index, *rng.integers(count, size=3)], size, rng)
        else:
            canvas, parts = self._single(*read(index), size, rng)
        with _seeded(seed):
            sample = Sample.of(filmed(canvas, settings, rng), parts)
            sample = erased(self._transforms(sample), settings, self.spec.margin)
        target = target_of(sample, settings.min_visible, settings.min_side)
        return for_network(sample, self.spec), target

    def _single(
        self, image: Image, annotations: Annotations, size: Size, rng: np.random.Generator
    ) -> tuple[Image, list[Shown]]:
        canvas, sides = self._canvas(size), (image.shape[1], image.shape[0])
        view = single_view(sides, annotations, self.spec, size, self.settings, rng)
        paint(image, view, canvas)
        return canvas, [show(annotations, sides, view, self.spec.amodal)]

    def _mosaic(
        self, read: Read, indices: list[int], size: Size, rng: np.random.Generator
    ) -> tuple[Image, list[Shown]]:
        canvas = self._canvas(size)
        records = [read(int(index)) for index in indices]
        tiles = rng.permutation(mosaic_tiles(size, rng)).tolist()
        parts = [
            self._tile(image, annotations, canvas, tuple(tile), rng)
            for (image, annotations), tile in zip(records, tiles, strict=True)
        ]
        return canvas, parts

    def _tile(
        self,
        image: Image,
        annotations: Annotations,
        canvas: Image,
        tile: Rectangle,
        rng: np.random.Generator,
    ) -> Shown:
        sides, size = (image.shape[1], image.shape[0]), (canvas.shape[1], canvas.shape[0])
        view = tile_view(sides, self.spec, size, tile, self.settings, rng)
        paint(image, view, canvas)
        return show(annotations, sides, view, self.spec.amodal)

    def _canvas(self, size: Size) -> Image:
        return np.full((size[1], size[0], 3), self.spec.margin, np.uint8)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torchvision draws from torch's global generator of the CPU, which is put back after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        yield
