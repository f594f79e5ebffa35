"""A network in training, measured as the detector that it will be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from mot.detectors.network import DetectorSettings, NetworkDetector
from mot.detectors.pictures import InputSpec, Size
from mot.detectors.torch_network import TorchNetwork
from mot.training.data.dataset import DataSet, Picture
from mot.training.data.pictures import read_picture
from mot.training.metrics.scores import Scores, evaluate
from mot.types import Detections, Image
from mot.video.background import in_background

_LEAST_SCORE = 0.005  # less would only lengthen the tail of the curve
_BATCH = 8


def validate(
    model: nn.Module, spec: InputSpec, names: tuple[str, ...], size: Size, data: DataSet
) -> tuple[Scores, list[Detections]]:
    """What a detector of this network finds at this size, and how good that is."""
    device = str(next(model.parameters()).device)
    network = TorchNetwork(model, spec, names, device)
    settings = DetectorSettings(
        width=size[0], height=size[1], conf=_LEAST_SCORE, classes=names, batch=_BATCH
    )
    detector = NetworkDetector(network, settings)
    found: list[Detections] = []
    for images in in_background(_batches(data), depth=1):  # read while others are looked at
        found += detector(images)
    return evaluate(data, found), found


def _batches(data: Sequence[Picture]) -> Iterator[list[Image]]:
    for start in range(0, len(data), _BATCH):
        end = min(start + _BATCH, len(data))
        yield [read_picture(data[place]) for place in range(start, end)]
