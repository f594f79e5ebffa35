"""A tiny FairMOT network, targets, and the raw outputs of a perfect network."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from mot.detectors.architectures import load_model  # noqa: E402
from mot.detectors.models.architecture import FairmotSettings  # noqa: E402
from mot.detectors.models.fairmot import STRIDE, Raw  # noqa: E402
from mot.training.criteria.fairmot import find_centers  # noqa: E402
from mot.training.targets import Target  # noqa: E402

TINY = FairmotSettings(
    backbone="mobilenetv2_035", neck="fpn", neck_width=16, head_width=16, dims=8, candidates=40
)


def tiny_fairmot() -> Any:
    pytest.importorskip("timm", reason="timm is not installed")
    return load_model(TINY).model.eval()


def make_target(boxes: Any, ids: Any = None, regions: Any = (), labels: Any = None) -> Target:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    ids = torch.arange(len(boxes)) if ids is None else torch.tensor(ids)
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return Target(boxes, labels, ids, torch.tensor(regions).float().reshape(-1, 4))


def perfect_outputs(targets: list[Target], size: tuple[int, int], width: int = 16) -> Raw:
    """Raw outputs with a peak of 3, 4, ... for each object."""
    rows, columns = size[0] // STRIDE, size[1] // STRIDE
    centers = find_centers(targets, size, 0.3)
    raw = Raw(
        torch.full((len(targets), 1, rows, columns), -20.0),
        *(torch.zeros(len(targets), count, rows, columns) for count in (4, 2)),
        torch.rand(len(targets), width, rows, columns),
    )
    for index, (image, (x, y)) in enumerate(
        zip(centers.images.tolist(), centers.cells.tolist(), strict=True)
    ):
        raw.heat[image, 0, y, x] = 3.0 + index
        raw.sides[image, :, y, x] = centers.sides[index]
        raw.offset[image, :, y, x] = centers.offset[index]
    return raw
