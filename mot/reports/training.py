"""Training curves, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.reports.canvas import COLORS, canvas

Values = npt.NDArray[np.float64]
Log = Sequence[Mapping[str, Any]]
_NOT_LOSSES = ("step", "epoch", "lr", "grad_norm", "val")
_VALIDATION = ("AP50", "AP", "MR-2", "recall", "mAP", "rank-1")  # of detectors, of re-ID models


def plot_training(logs: Mapping[str, Log], path: Path) -> None:
    """Losses and learning rate over the steps, and validation metrics after epochs, by run."""
    first_steps = [next((line for line in log if "loss" in line), {}) for log in logs.values()]
    losses = list(
        dict.fromkeys(key for line in first_steps for key in line if key not in _NOT_LOSSES)
    )
    validation = [
        name for name in _VALIDATION if any(_column(log, name)[0] for log in logs.values())
    ]
    panels = [*losses, "lr", *validation]
    rows = -(-len(panels) // 3)
    with canvas(path, 12, 2.8 * rows) as figure:
        grid = list(figure.subplots(rows, 3, squeeze=False).flat)
        for axes, name in zip(grid, panels, strict=False):
            for color, (run, log) in zip(cycle(COLORS), logs.items(), strict=False):
                steps, values = _column(log, name)
                axes.plot(steps, values, color=color, label=run, marker="." * (name in _VALIDATION))
            axes.set_title(name)
            axes.set_xlabel("step")
        for axes in grid[len(panels) :]:
            axes.axis("off")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _column(log: Log, name: str) -> tuple[list[int], Values]:
    if name in _VALIDATION:
        lines = [(line["step"], line["val"][name]) for line in log if name in line.get("val", ())]
        return [step for step, _ in lines], np.array([value for _, value in lines])
    lines = [(line["step"], line[name]) for line in log if name in line]
    values = np.array([value for _, value in lines], np.float64)
    return [step for step, _ in lines], values if name == "lr" else _smooth(values)


def _smooth(values: Values) -> Values:
    """The moving average over the last hundredth of the steps."""
    width = max(1, len(values) // 100)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    means: Values = (sums[ends] - sums[starts]) / (ends - starts)
    return means
