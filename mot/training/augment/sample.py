"""A sample for torchvision's transforms: an image of the network's size and its objects.

Images are BGR before a sample, RGB in it, and in the order of the network's channels after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from mot.datasets.dataset import Annotations
from mot.opencv import cv2
from mot.runtime.preprocess import InputSpec, Size, make_batch
from mot.training.augment.views import PlacedObjects, letterbox_view, place_objects
from mot.training.targets import Target
from mot.types import Image


class Sample(NamedTuple):
    """`torchvision.transforms.v2` transforms the image and all `BoundingBoxes` together."""

    image: Tensor  # tv_tensors.Image, (3, H, W) uint8 RGB
    boxes: Tensor  # (N, 4) xyxy, may extend beyond the image
    clipped: Tensor  # (N, 4) xyxy, the parts of the boxes in the image
    visible: Tensor  # (N, 4) xyxy, the parts of the objects that are visible
    visibility: Tensor  # (N,) share of what was visible before augmentation
    labels: Tensor  # (N,)
    ignored: Tensor  # (N,)
    ids: Tensor  # (N,)

    @classmethod
    def of(cls, canvas: Image, objects: Sequence[PlacedObjects]) -> Sample:
        """From a BGR image and the objects of each image in it."""
        image = torch.from_numpy(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
        columns = (
            torch.from_numpy(np.concatenate(column)) for column in zip(*objects, strict=True)
        )
        boxes, clipped, visible, *others = columns
        height, width = canvas.shape[:2]
        corners = [
            tv_tensors.BoundingBoxes(each, format="XYXY", canvas_size=(height, width))  # type: ignore[call-overload, unused-ignore]
            for each in (boxes, clipped, visible)
        ]
        return cls(tv_tensors.Image(image.contiguous()), *corners, *others)


def to_network_input(sample: Sample, spec: InputSpec) -> Tensor:
    """(3, H, W) uint8 in the order of the network's channels."""
    image = sample.image.as_subclass(Tensor)
    return image if spec.is_rgb else image.flip(0)


def make_target(sample: Sample, min_visibility: float, min_side: float) -> Target:
    """Objects that are too small or too little visible become ignored regions."""
    boxes, clipped = (each.as_subclass(Tensor) for each in (sample.boxes, sample.clipped))
    small = (_sides(boxes) < min_side).any(dim=1) | ~_has_area(boxes)
    hidden = (sample.visibility < min_visibility) | (sample.visibility <= 0)
    ignored = sample.ignored | hidden | small
    objects, regions = ~ignored, ignored & _has_area(clipped)
    return Target(boxes[objects], sample.labels[objects], sample.ids[objects], clipped[regions])


def _sides(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


def _has_area(boxes: Tensor) -> Tensor:
    """In float32, in which a millionth of a pixel may be lost."""
    return (_sides(boxes) > 0).all(dim=1)


def letterbox_sample(
    image: Image, annotations: Annotations, spec: InputSpec, size: Size
) -> tuple[Tensor, Target]:
    """Without augmentation: exactly the pixels that a detector sees, and the target."""
    canvas, letterboxes = make_batch([image], spec, size)
    view = letterbox_view(letterboxes[0])
    objects = place_objects(annotations, letterboxes[0].size, view, amodal=True)
    sample = Sample.of(canvas[0], [objects])
    return to_network_input(sample, spec), make_target(sample, 0, 0)
