"""Images of a dataset to augmented samples. Equal seeds give equal samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from mot.datasets.dataset import Annotations
from mot.runtime.preprocess import InputSpec, Size
from mot.training.augment.pixels import apply_camera_effects, erase_randomly, make_transforms
from mot.training.augment.sample import Sample, make_target, to_network_input
from mot.training.augment.settings import AugmentSettings
from mot.training.augment.views import (
    PlacedObjects,
    Rectangle,
    make_mosaic_tiles,
    make_single_view,
    make_tile_view,
    paint_view,
    place_objects,
)
from mot.training.targets import Target
from mot.types import Image

ReadAnnotated = Callable[[int], tuple[Image, Annotations]]  # the BGR image of a row, and its boxes


class Augment:
    def __init__(self, settings: AugmentSettings, spec: InputSpec) -> None:
        self.settings, self.spec = settings, spec
        self._transforms = make_transforms(settings)

    def __call__(
        self, read: ReadAnnotated, count: int, row: int, size: Size, seed: int
    ) -> tuple[Tensor, Target]:
        """The sample of the image `row` of `count`; a mosaic reads random others too.

        `size` is that of the network input.
        """
        rng, settings = np.random.default_rng(seed), self.settings
        canvas = np.full((size[1], size[0], 3), self.spec.margin, np.uint8)
        if rng.random() < settings.mosaic:
            rows = [row, *rng.integers(count, size=3).tolist()]
            objects = self._paint_mosaic(canvas, [read(each) for each in rows], rng)
        else:
            objects = [self._paint_single(canvas, *read(row), rng)]
        with _seeded(seed):
            sample = Sample.of(apply_camera_effects(canvas, settings, rng), objects)
            sample = erase_randomly(self._transforms(sample), settings, self.spec.margin)
        target = make_target(sample, settings.min_visibility, settings.min_side)
        return to_network_input(sample, self.spec), target

    def _paint_single(
        self, canvas: Image, image: Image, annotations: Annotations, rng: np.random.Generator
    ) -> PlacedObjects:
        view = make_single_view(
            _size(image), annotations, self.spec, _size(canvas), self.settings, rng
        )
        paint_view(image, view, canvas)
        return place_objects(annotations, _size(image), view, self.spec.amodal)

    def _paint_mosaic(
        self, canvas: Image, images: list[tuple[Image, Annotations]], rng: np.random.Generator
    ) -> list[PlacedObjects]:
        size, amodal, scales = _size(canvas), self.spec.amodal, self.settings.mosaic_scale
        tiles: list[Rectangle] = rng.permutation(make_mosaic_tiles(size, rng)).tolist()
        objects = []
        for (image, boxes), tile in zip(images, tiles, strict=True):
            view = make_tile_view(_size(image), self.spec, size, tile, scales, rng)
            paint_view(image, view, canvas)
            objects.append(place_objects(boxes, _size(image), view, amodal))
        return objects


def _size(image: Image) -> Size:
    return image.shape[1], image.shape[0]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds torch's global generator of the CPU, which torchvision uses, and restores it after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        yield
