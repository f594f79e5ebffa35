"""What a teacher says of all crops that are trained on: asked once, and kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mot.datasets.problems import Problems
from mot.errors import MotError
from mot.reid.open import open_embedder
from mot.runtime.preprocess import Size
from mot.training import distributed
from mot.training.augment.crop import CropAugment
from mot.training.data.crops import Crops
from mot.training.objectives.teacher import stacked
from mot.types import FloatArray, Image, IntArray

_TELLS = 10  # times on the way


def taught_by(name: str, crops: Crops, change: CropAugment, size: Size) -> Tensor:
    """(N, V, D) its unit vectors of the crops, about their mean: what they have in common tells
    nobody apart. Of crops that are seen in V ways, these; else as they are in their pictures. Of
    several processes each asks for a share."""
    teacher = open_embedder(name)
    share = np.array_split(np.arange(len(crops)), distributed.world())[distributed.rank()]
    tell = _teller(name, len(share))
    parts: list[FloatArray] = []
    of_share = _views(crops, share, change, size) if change.views else _whole(crops, share)
    for image, boxes in of_share:
        parts.append(teacher(image, boxes).reshape(-1, max(1, change.views), teacher.dims))
        tell(len(parts[-1]))
    found = np.concatenate(parts)
    if len(found) < len(share):
        raise MotError(f"{name}: pictures have gone that were there before")
    whole = torch.zeros(len(crops), *found.shape[1:])
    whole[torch.from_numpy(share)] = torch.from_numpy(found)
    whole = distributed.mean_over_processes(whole) * distributed.world()
    return functional.normalize(whole - whole.mean((0, 1)), dim=2)


def _whole(crops: Crops, share: IntArray) -> Iterator[tuple[Image, FloatArray]]:
    """Pictures, and the boxes of crops in them."""
    for rows, image in crops.take(share).shots(Problems()):
        yield image, crops.boxes[share[rows]]


def _views(
    crops: Crops, share: IntArray, change: CropAugment, size: Size
) -> Iterator[tuple[Image, FloatArray]]:
    """The views of a crop in one picture, and their boxes."""
    numbers = np.arange(change.views)
    boxes = np.tile(np.array([0, 0, *size], np.float32), (change.views, 1))
    for index in share.tolist():
        views = [change(crops.whole, len(crops), index, size, view)[0] for view in numbers.tolist()]
        bgr = torch.stack(views).flip(1).permute(0, 2, 3, 1).numpy()
        yield stacked(bgr, boxes, numbers)


def _teller(name: str, count: int) -> Callable[[int], None]:
    """A line now and then: a teacher may take minutes."""
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        step = done * _TELLS // count
        if distributed.is_first() and step > before * _TELLS // count:
            share = step / _TELLS
            print(f"mot: the teacher {name} has seen {share:.0%} of its crops", file=sys.stderr)

    return tell
