"""Curves of trainings, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.reports.canvas import COLOURS, canvas

Values = npt.NDArray[np.float64]
Log = Sequence[Mapping[str, Any]]
_NOT_LOSSES = ("step", "epoch", "lr", "norm", "val")
_MEASURED = ("AP50", "AP", "MR-2", "recall", "mAP", "rank-1")  # of detectors, of embedders


def plot_training(logs: Mapping[str, Log], path: Path) -> None:
    """Of each run: its losses and rate over the steps, what was measured after its epochs."""
    losses = list(dict.fromkeys(key for log in logs.values() for key in _losses_of(log)))
    measured = [name for name in _MEASURED if any(_column(log, name)[0] for log in logs.values())]
    panels = [*losses, "lr", *measured]
    rows = -(-len(panels) // 3)
    with canvas(path, 12, 2.8 * rows) as figure:
        grid = list(figure.subplots(rows, 3, squeeze=False).flat)
        for axes, name in zip(grid, panels, strict=False):
            for colour, (run, log) in zip(_colours(len(logs)), logs.items(), strict=True):
                steps, values = _column(log, name)
                axes.plot(steps, values, color=colour, label=run, marker="." * (name in _MEASURED))
            axes.set_title(name)
            axes.set_xlabel("step")
        for axes in grid[len(panels) :]:
            axes.axis("off")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _losses_of(log: Log) -> list[str]:
    steps = next((line for line in log if "loss" in line), {})
    return [key for key in steps if key not in _NOT_LOSSES]


def _column(log: Log, name: str) -> tuple[list[int], Values]:
    if name in _MEASURED:
        lines = [(line["step"], line["val"][name]) for line in log if name in line.get("val", ())]
        return [step for step, _ in lines], np.array([value for _, value in lines])
    lines = [(line["step"], line[name]) for line in log if name in line]
    values = np.array([value for _, value in lines], np.float64)
    return [step for step, _ in lines], values if name == "lr" else _smoothed(values)


def _smoothed(values: Values) -> Values:
    """The mean of the last hundredth of the steps."""
    width = max(1, len(values) // 100)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    smoothed: Values = (sums[ends] - sums[starts]) / (ends - starts)
    return smoothed


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
