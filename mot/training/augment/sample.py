"""A image of the network's size with its objects, for torchvision's transforms, and its target.

Images are BGR until they come here, RGB in a sample, and in the order of the network's channels
when they leave.
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
from mot.training.augment.views import Shown, fitted, show
from mot.training.targets import Target
from mot.types import Image


class Sample(NamedTuple):
    """What `torchvision.transforms.v2` moves as one: the image and its `BoundingBoxes`."""

    image: Tensor  # tv_tensors.Image, (3, H, W) uint8 RGB
    boxes: Tensor  # (N, 4) xyxy, maybe beyond the edges
    inside: Tensor  # (N, 4) xyxy of what the image holds of each box
    visible: Tensor  # (N, 4) xyxy of what is still seen of the object
    share: Tensor  # (N,) of what was seen in the image
    labels: Tensor  # (N,)
    ignored: Tensor  # (N,)
    ids: Tensor  # (N,)

    @classmethod
    def of(cls, canvas: Image, parts: Sequence[Shown]) -> Sample:
        """From a BGR image and the objects of each image in it."""
        image = torch.from_numpy(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
        columns = (torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True))
        boxes, inside, visible, *others = columns
        height, width = canvas.shape[:2]
        corners = [
            tv_tensors.BoundingBoxes(each, format="XYXY", canvas_size=(height, width))  # type: ignore[call-overload, unused-ignore]
            for each in (boxes, inside, visible)
        ]
        return cls(tv_tensors.Image(image.contiguous()), *corners, *others)


def for_network(sample: Sample, spec: InputSpec) -> Tensor:
    """(3, H, W) uint8 in the order of its channels."""
    image = sample.image.as_subclass(Tensor)
    return image if spec.is_rgb else image.flip(0)


def target_of(sample: Sample, min_visible: float, min_side: float) -> Target:
    """Objects too small or too little seen become regions that are ignored."""
    boxes, inside = (each.as_subclass(Tensor) for each in (sample.boxes, sample.inside))
    small = (_sides(boxes) < min_side).any(dim=1) | ~_has_area(boxes)
    lost = (sample.share < min_visible) | (sample.share <= 0)
    ignored = sample.ignored | lost | small
    objects, regions = ~ignored, ignored & _has_area(inside)
    return Target(boxes[objects], sample.labels[objects], sample.ids[objects], inside[regions])


def _sides(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]


def _has_area(boxes: Tensor) -> Tensor:
    """In float32, which has lost what is less than a millionth of a pixel."""
    return (_sides(boxes) > 0).all(dim=1)


def letterboxed(
    image: Image, annotations: Annotations, spec: InputSpec, size: Size
) -> tuple[Tensor, Target]:
    """The very pixels that a detector sees, and where the objects are in them."""
    canvas, letterboxes = make_batch([image], spec, size)
    shown = show(annotations, letterboxes[0].size, fitted(letterboxes[0]), amodal=True)
    sample = Sample.of(canvas[0], [shown])
    return for_network(sample, spec), target_of(sample, 0, 0)
