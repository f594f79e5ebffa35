"""Plots of an evaluation: HOTA curves, metrics and errors over time, track lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.evaluation.breakdown import COLUMNS, compute_metrics
from mot.evaluation.hota import ALPHAS
from mot.evaluation.sequence_pairs import Values
from mot.reports.canvas import BLACK, BLUE, COLORS, GREY, ORANGE, RED, canvas

_CURVES = {
    "HOTA": "HOTA",
    "DetA": "DetA: detection",
    "AssA": "AssA: association",
    "LocA": "LocA: localization",
}
_TOTAL = "COMBINED"
_ALPHA_LABEL = "IoU threshold of a match"
_BESIDE: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1), "alignment": "left"}
_DASHES = ("-", "--", ":", "-.")  # once all colors are used
_WINDOW = 5.0  # seconds of the sliding window, at most a quarter of the sequence
_COUNTS = slice(COLUMNS - 5, COLUMNS - 1)  # gt boxes, result boxes, TP, switches
_SHORTEST, _STEPS = 0.1, (1, 2, 5)  # seconds; edges of the length bins in each decade
_MINUTES_FROM = 600  # seconds from which the time axis is in minutes

Curves = Mapping[str, Sequence[float] | Values]


def plot_hota(curves: Mapping[str, Curves], path: Path) -> None:
    """HOTA metrics over the IoU thresholds, by sequence or tracker; `COMBINED` is bold."""
    if len(curves) == 2 and _TOTAL in curves:  # equal for a single sequence
        curves = {name: each for name, each in curves.items() if name != _TOTAL}
    if len(curves) == 1:
        _plot_one(*next(iter(curves.items())), path)
    else:
        _plot_several(curves, path)


def _plot_one(name: str, curves: Curves, path: Path) -> None:
    with canvas(path, 8, 4.2) as figure:
        axes = figure.subplots()
        for color, (metric, label) in zip((BLACK, *COLORS), _CURVES.items(), strict=False):
            mean = 100 * np.mean(curves[metric])
            axes.plot(ALPHAS, curves[metric], color=color, marker=".", label=f"{label} {mean:.1f}")
        _format_axes(axes, name)
        axes.set_xlabel(_ALPHA_LABEL)
        axes.legend(**_BESIDE, title="Means in percent")


def _plot_several(curves: Mapping[str, Curves], path: Path) -> None:
    lines = []
    with canvas(path, 9.6, 6.8 + 0.2 * (len(curves) // 4)) as figure:
        grid = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (metric, label) in zip(grid.flat, _CURVES.items(), strict=True):
            lines = [
                axes.plot(ALPHAS, each[metric], **_line(number, name))[0]
                for number, (name, each) in enumerate(curves.items())
            ]
            _format_axes(axes, label)
        for axes in grid[1]:
            axes.set_xlabel(_ALPHA_LABEL)
        names = [f" {name} {100 * np.mean(each['HOTA']):.1f}" for name, each in curves.items()]
        figure.legend(lines, names, loc="outside lower center", ncols=4, title="HOTA in percent")


def _line(number: int, name: str) -> dict[str, Any]:
    if name == _TOTAL:
        return {"color": BLACK, "linewidth": 2.6}
    style = _DASHES[number // len(COLORS) % len(_DASHES)]
    return {"color": COLORS[number % len(COLORS)], "linestyle": style}


def _format_axes(axes: Any, title: str) -> None:
    axes.set_title(title)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="value")


def plot_over_time(table: Values, fps: float, path: Path) -> None:
    """Metrics and errors of one sequence, from its `mot.evaluation.breakdown.by_frame`."""
    seconds = max(1, len(table)) / fps
    window = min(_WINDOW, seconds / 4)
    times = (np.arange(len(table), dtype=np.float64) + 0.5) / fps
    gt, result, matched, switches = table[:, _COUNTS].T
    with canvas(path, 10, 7) as figure:
        above, middle, below = figure.subplots(3, 1, sharex=True)
        _plot_metrics(above, times, _sliding_sums(table, round(window * fps)), window)
        middle.set_title("Boxes per frame")
        middle.plot(times, gt, color=BLACK, label="ground truth")
        middle.plot(times, result, color=ORANGE, label="result", linewidth=1.1)
        below.set_title("Errors per frame, mean over one second")
        per_frame = _sliding_sums(np.stack([gt - matched, result - matched], axis=1), round(fps))
        frames = _sliding_sums(np.ones((len(table), 1)), round(fps))
        for column, color, label in ((0, BLUE, "misses"), (1, RED, "false positives")):
            below.plot(times, (per_frame / frames)[:, column], color=color, label=label)
        _mark_switches(below, times[switches > 0], int(switches.sum()))
        for axes in (above, middle, below):
            axes.legend(**_BESIDE)
        for axes in (middle, below):
            axes.set_ylim(bottom=0)
        below.set(xlabel="seconds", xlim=(0, seconds))


def _sliding_sums(table: npt.NDArray[np.floating], frames: int) -> Values:
    """Sums over the frames around each frame, fewer at both ends."""
    running = np.concatenate([np.zeros((1, table.shape[1])), table.cumsum(axis=0)])
    here, half = np.arange(len(table)), max(1, frames) // 2
    end = np.minimum(here + half + 1, len(table))
    sums: Values = running[end] - running[np.maximum(here - half, 0)]
    return sums


def _plot_metrics(axes: Any, times: Values, sums: Values, window: float) -> None:
    is_empty = sums[:, _COUNTS][:, :2].sum(axis=1) == 0
    found = compute_metrics(sums)
    for metric, color in {"HOTA": BLACK, "MOTA": BLUE, "IDF1": ORANGE}.items():
        axes.plot(times, np.where(is_empty, np.nan, found[metric]), color=color, label=metric)
    axes.set_title(f"Metrics over a window of {window:.3g} seconds")
    lowest = min(0.0, float(np.min(found["MOTA"], initial=0)))
    axes.set_ylim(max(-1.0, lowest), 1)  # MOTA has no lower bound


def _mark_switches(axes: Any, times: Values, count: int) -> None:
    """Ticks on the time axis."""
    label = f"id switches ({count})"
    height = axes.get_xaxis_transform()  # x in seconds, y as a fraction of the axes
    axes.plot(times, np.full(len(times), 0.03), "|", transform=height, color=BLACK, label=label)


def plot_track_lengths(gt: npt.ArrayLike, result: npt.ArrayLike, fps: float, path: Path) -> None:
    """Histograms of track lengths, given in frames."""
    sides = {"ground-truth tracks": gt, "result tracks": result}
    seconds = {name: np.asarray(lengths, np.float64) / fps for name, lengths in sides.items()}
    edges = _length_bins(np.concatenate(list(seconds.values())))
    with canvas(path, 7.5, 3.8) as figure:
        axes = figure.subplots()
        for shift, color, (name, lengths) in zip(
            (-0.2, 0.2), (BLACK, ORANGE), seconds.items(), strict=True
        ):
            counts = np.histogram(lengths, edges)[0]
            median = f", median {np.median(lengths):.3g} s" if len(lengths) else ""
            label = f"{len(lengths)} {name}{median}"
            axes.bar(np.arange(len(counts)) + shift, counts, 0.4, color=color, label=label)
        axes.set_xticks(
            range(len(edges) - 1),
            [
                f"{first:g}\u2013{end:g}" if first else f"< {end:g}"
                for first, end in pairwise(edges)
            ],
        )
        axes.grid(axis="x", visible=False)
        axes.set(title="Lengths of tracks", xlabel="seconds", ylabel="tracks")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend()


def _length_bins(seconds: Values) -> list[float]:
    """Edges among 0, 0.1, 0.2, 0.5, 1, 2, 5, ... that enclose all lengths."""
    edges = [0.0, _SHORTEST]
    while edges[-1] <= seconds.max(initial=0):
        decade, step = divmod(len(edges) - 1, len(_STEPS))
        edges.append(_SHORTEST * _STEPS[step] * 10.0**decade)
    unused = np.searchsorted(edges, seconds.min(initial=edges[-1]), side="right") - 1
    return edges[min(int(unused), len(edges) - 2) :]


def plot_timeline(
    kinds: Mapping[str, Sequence[int] | npt.NDArray[np.int64]], bin_seconds: float, path: Path
) -> None:
    """Counts of each kind per time bin."""
    bins = max((len(counts) for counts in kinds.values()), default=0)
    unit, name = (60, "minutes") if bins * bin_seconds > _MINUTES_FROM else (1, "seconds")
    width = bin_seconds / unit
    with canvas(path, 9, 0.9 + 0.85 * max(1, len(kinds))) as figure:
        rows = figure.subplots(max(1, len(kinds)), 1, sharex=True, sharey=True, squeeze=False)
        for axes, (kind, counts) in zip(rows.flat, kinds.items(), strict=False):
            starts = np.arange(len(counts)) * width
            axes.bar(starts, counts, 0.92 * width, align="edge", color=BLUE)
            axes.set_title(f"{kind}: {int(np.sum(counts))}")
            axes.grid(axis="x", visible=False)
            axes.yaxis.get_major_locator().set_params(integer=True)
        rows[-1, 0].set(xlabel=name, xlim=(0, max(bins, 1) * width))
        figure.supylabel(f"per {bin_seconds:g} seconds", fontsize=9, color=GREY)
