"""The training losses of each architecture."""

from __future__ import annotations

from mot.training.criteria.base import Criterion
from mot.training.criteria.fairmot import FairmotCriterion
from mot.training.criteria.fasterrcnn import FasterrcnnCriterion
from mot.training.criteria.fcos import FcosCriterion
from mot.training.criteria.jde import JdeCriterion
from mot.training.criteria.retinanet import RetinanetCriterion
from mot.training.criteria.ssd import SsdCriterion
from mot.training.criteria.yolov3 import Yolov3Criterion

CRITERIA: dict[str, type[Criterion]] = {
    "yolov3": Yolov3Criterion,
    "cfg": Yolov3Criterion,
    "retinanet": RetinanetCriterion,
    "fcos": FcosCriterion,
    "ssd": SsdCriterion,
    "fasterrcnn": FasterrcnnCriterion,
    "fairmot": FairmotCriterion,
    "jde": JdeCriterion,
}
