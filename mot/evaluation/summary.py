"""The metrics of one tracker: per sequence, per class and combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mot.evaluation.hota import ALPHAS
from mot.evaluation.score import Metrics, Score, combine_scores

COUNTS = (
    *("TP", "FN", "FP", "IDSW", "Frag", "MT", "PT", "ML", "IDTP", "IDFN", "IDFP"),
    *("Dets", "GT_Dets", "IDs", "GT_IDs", "Frames"),
)
NOT_PERCENT = (*COUNTS, "FAF")  # all other metrics are fractions, shown in percent
DEFAULT_COLUMNS = (
    *("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1"),
    *("IDSW", "Frag", "FP", "FN", "MT", "ML"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """Metrics by TrackEval's names, rates as fractions: `summary["HOTA"]`, `summary.mota`.

    Args:
        sequences: metrics of each sequence, by its name.
        combined: metrics of all sequences together. With several classes, of all their detections.
        curves: (19,) each HOTA metric at each IoU threshold, of each sequence and of `COMBINED`.
        classes: the summary of each class, if the protocol has several.
        class_average: mean of the rates and sum of the counts of the classes.
    """

    sequences: dict[str, Metrics]
    combined: Metrics
    curves: dict[str, dict[str, list[float]]]
    classes: dict[str, Summary] = field(default_factory=dict)
    class_average: Metrics = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float:
        """A combined metric, such as `HOTA`, `AssA`, `IDSW`."""
        return self.combined[metric]

    @property
    def hota(self) -> float:
        return self.combined["HOTA"]

    @property
    def mota(self) -> float:
        return self.combined["MOTA"]

    @property
    def idf1(self) -> float:
        return self.combined["IDF1"]

    def __repr__(self) -> str:
        shown = ("HOTA", "MOTA", "IDF1")
        rates = ", ".join(f"{name} {100 * self.combined[name]:.2f} %" for name in shown)
        return f"Summary({rates}; {len(self.sequences)} sequences)"

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        found: dict[str, Any] = {"sequences": self.sequences, "combined": self.combined}
        found |= {"alphas": ALPHAS.tolist(), "curves": self.curves}
        if self.classes:
            classes = {name: summary.as_dict() for name, summary in self.classes.items()}
            found |= {"classes": classes, "class_average": self.class_average}
        return found


def summarize(scores: Mapping[str, Mapping[str, Score]]) -> Summary:
    """From the scores of each class of each sequence: sequence -> class -> score."""
    names = next(iter(scores.values())).keys()
    if len(names) == 1:
        return _summarize({name: next(iter(classes.values())) for name, classes in scores.items()})
    parts = {
        name: _summarize({sequence: classes[name] for sequence, classes in scores.items()})
        for name in names
    }
    all_classes = _summarize(
        {name: combine_scores(list(classes.values())) for name, classes in scores.items()}
    )
    return Summary(
        all_classes.sequences, all_classes.combined, all_classes.curves, parts, _average(parts)
    )


def _summarize(scores: Mapping[str, Score]) -> Summary:
    total = combine_scores(list(scores.values()))
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
    parts = [summary.combined for summary in classes.values()]
    return {
        name: sum(part[name] for part in parts)
        if name in COUNTS
        else float(np.mean([part[name] for part in parts]))
        for name in parts[0]
    }
