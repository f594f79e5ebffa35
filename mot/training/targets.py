"""What a network should find in a picture of a batch, and what is said of each of its places."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# What is said of a place that no object is given to. Others have the row of their object.
BACKGROUND = -1
IGNORED = -2  # neither rewarded nor punished


class Target(NamedTuple):
    """Of one picture, in pixels of the network's input, on its device."""

    boxes: Tensor  # (N, 4) xyxy float32, each with an area
    labels: Tensor  # (N,) int64 classes from 0
    ids: Tensor  # (N,) int64 identities; -1 where there is none
    regions: Tensor  # (M, 4) xyxy float32 that are neither objects nor background


class Anchors(NamedTuple):
    """Where a network looks: its anchors, level by level."""

    boxes: Tensor  # (A, 4) xyxy in pixels; of networks without anchors squares around their points
    counts: tuple[int, ...]  # of each level; their sum is A
    strides: tuple[int, ...]  # of each level


class Predictions(NamedTuple):
    """What the network says now, for those who choose by that. Without gradient."""

    scores: Tensor  # (A, C) from 0 to 1
    boxes: Tensor  # (A, 4) xyxy in pixels
