"""What a teacher says of all crops that are trained on: asked once, and kept."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mot.appearance.opening import open_embedder
from mot.errors import MotError
from mot.training import distributed
from mot.training.data.crops import Crops
from mot.training.data.findings import Findings
from mot.types import FloatArray

_TELLS = 10  # times on the way


def taught_by(name: str, crops: Crops) -> Tensor:
    """(N, D) its unit vectors of the crops, as they are in their pictures, about their mean: what
    they have in common tells nobody apart. Of several processes each asks for a share."""
    teacher = open_embedder(name)
    share = np.array_split(np.arange(len(crops)), distributed.world())[distributed.rank()]
    tell = _teller(name, len(share))
    parts: list[FloatArray] = []
    for rows, image in crops.take(share).shots(Findings()):
        parts.append(teacher(image, crops.boxes[share[rows]]))
        tell(len(rows))
    found = np.concatenate(parts)
    if len(found) < len(share):
        raise MotError(f"{name}: pictures have gone that were there before")
    whole = torch.zeros(len(crops), found.shape[1])
    whole[torch.from_numpy(share)] = torch.from_numpy(found)
    whole = distributed.mean_over_processes(whole) * distributed.world()
    return functional.normalize(whole - whole.mean(0))


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
