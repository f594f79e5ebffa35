"""Training targets of an image, and a network's anchors and predictions for it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Rows of anchors without an object; the others have the row of their object.
BACKGROUND = -1
IGNORED = -2  # counts neither as an object nor as background


class Target(NamedTuple):
    """The objects of one image, in pixels of the network's input and on its device."""

    boxes: Tensor  # (N, 4) xyxy float32, each with an area
    labels: Tensor  # (N,) int64 classes from 0
    ids: Tensor  # (N,) int64 identities; -1: unknown
    regions: Tensor  # (M, 4) xyxy float32 ignored regions: neither objects nor background


class Anchors(NamedTuple):
    """The anchors of a network, level by level."""

    boxes: Tensor  # (A, 4) xyxy in pixels; for anchor-free networks squares around their points
    counts: tuple[int, ...]  # of each level; their sum is A
    strides: tuple[int, ...]  # of each level


class Predictions(NamedTuple):
    """Current predictions of a network, for assigners that depend on them. Without gradients."""

    scores: Tensor  # (A, C) from 0 to 1
    boxes: Tensor  # (A, 4) xyxy in pixels
