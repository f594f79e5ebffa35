"""Who says which object each place of a network should find, or that there is none.

An assigner is called with the places, the target of one picture and, where it chooses by that, the
network's guess.
"""

from __future__ import annotations

from mot.training.assigners.anchors import Atss, BestPrior, MaxIou
from mot.training.assigners.core import Assigner, spare_regions
from mot.training.assigners.points import Centre
from mot.training.assigners.transport import Ota, SimOta

ASSIGNERS: dict[str, type[Assigner]] = {
    "max-iou": MaxIou,
    "best-prior": BestPrior,
    "centre": Centre,
    "atss": Atss,
    "simota": SimOta,
    "ota": Ota,
}

__all__ = [
    "ASSIGNERS",
    "Assigner",
    "Atss",
    "BestPrior",
    "Centre",
    "MaxIou",
    "Ota",
    "SimOta",
    "spare_regions",
]
