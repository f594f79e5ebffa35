"""What each family is trained to do: from what a network says of a batch to its losses."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from mot.training.targets import Target

# Of each family: a module with `Settings`, the table [loss] of a recipe, `ASSIGNER`, the usual one
# or None, and `objective(model, settings)`, which is handed an assigner too where there is one, and
# what `learned(model, settings, identities)` gives where the module has that.
OBJECTIVES = {
    "yolov3": "mot.training.objectives.yolov3",
    "cfg": "mot.training.objectives.yolov3",
    "retinanet": "mot.training.objectives.retinanet",
    "fcos": "mot.training.objectives.fcos",
    "ssd": "mot.training.objectives.ssd",
    "fasterrcnn": "mot.training.objectives.fasterrcnn",
    "fairmot": "mot.training.objectives.fairmot",
    "jde": "mot.training.objectives.jde",
}


class Objective(Protocol):
    def __call__(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """The losses, weighted, of normalised pictures (B, 3, H, W); their sum is made small."""
        ...


def objective_module(family: str) -> Any:
    return import_module(OBJECTIVES[family])
