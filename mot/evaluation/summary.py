"""The numbers of one tracker, as they are shown and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mot.evaluation.hota import ALPHAS
from mot.evaluation.score import Metrics, Score, combine

COUNTS = (
    *("TP", "FN", "FP", "IDSW", "Frag", "MT", "PT", "ML", "IDTP", "IDFN", "IDFP"),
    *("Dets", "GT_Dets", "IDs", "GT_IDs", "Frames"),
)
NOT_SHARES = (*COUNTS, "FAF")  # all other metrics are shares, shown in percent
DEFAULT_COLUMNS = (
    *("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1"),
    *("IDSW", "Frag", "FP", "FN", "MT", "ML"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """Of all classes together, by their detections; of each where there are several."""

    sequences: dict[str, Metrics]
    combined: Metrics
    curves: dict[str, dict[str, list[float]]]  # of each sequence and COMBINED, over the thresholds
    classes: dict[str, Summary] = field(default_factory=dict)
    class_average: Metrics = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"sequences": self.sequences, "combined": self.combined}
        found |= {"alphas": ALPHAS.tolist(), "curves": self.curves}
        if self.classes:
            classes = {name: summary.as_dict() for name, summary in self.classes.items()}
            found |= {"classes": classes, "class_average": self.class_average}
        return found


def summarize(scores: Mapping[str, Mapping[str, Score]]) -> Summary:
    """Of each sequence's classes."""
    names = next(iter(scores.values())).keys()
    together = {name: combine(list(classes.values())) for name, classes in scores.items()}
    if len(names) == 1:
        return _summary({name: next(iter(classes.values())) for name, classes in scores.items()})
    parts = {
        name: _summary({sequence: classes[name] for sequence, classes in scores.items()})
        for name in names
    }
    whole = _summary(together)
    return Summary(whole.sequences, whole.combined, whole.curves, parts, _average(parts))


def _summary(scores: Mapping[str, Score]) -> Summary:
    total = combine(list(scores.values()))
    curves = {name: score.hota.curves() for name, score in scores.items()}
    curves["COMBINED"] = total.hota.curves()
    return Summary(
        {name: score.of_sequence() for name, score in scores.items()},
        total.combined(),
        {
            name: {key: curve.tolist() for key, curve in each.items()}
            for name, each in curves.items()
        },
    )


def _average(classes: Mapping[str, Summary]) -> Metrics:
    """The mean of the classes' rates, and the sums of their counts."""
    parts = [summary.combined for summary in classes.values()]
    return {
        name: sum(part[name] for part in parts)
        if name in COUNTS
        else float(np.mean([part[name] for part in parts]))
        for name in parts[0]
    }
