"""Assigners decide which object each anchor of a network should predict, or that there is none.

They are called with the anchors, the target of one image and, where they depend on them, the
network's predictions.
"""

from __future__ import annotations

from mot.training.assigners.center import Center
from mot.training.assigners.core import Assigner
from mot.training.assigners.ota import Ota, SimOta
from mot.training.assigners.overlap import Atss, BestPrior, MaxIou

ASSIGNERS: dict[str, type[Assigner]] = {
    "max-iou": MaxIou,
    "best-prior": BestPrior,
    "center": Center,
    "atss": Atss,
    "simota": SimOta,
    "ota": Ota,
}

__all__ = ["ASSIGNERS", "Assigner", "Atss", "BestPrior", "Center", "MaxIou", "Ota", "SimOta"]
