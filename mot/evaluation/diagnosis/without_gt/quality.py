"""Quality of a result without ground truth: suspected errors, to be checked by a person.

>>> report = inspect_tracks(read_mot_rows("result.txt"), fps=30)  # doctest: +SKIP
>>> report.counts, report.per_minute, report.errors  # doctest: +SKIP
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mot.errors import MotError
from mot.evaluation.diagnosis.without_gt.suspected_errors import (
    QualitySettings,
    ReportedErrors,
    SuspectedError,
    find_duplicates,
    find_gaps,
    find_short,
    find_teleports,
    jump_distances,
)
from mot.evaluation.diagnosis.without_gt.switches import (
    JoinCosts,
    calibrate_embeddings,
    find_jumps,
    find_switches,
)
from mot.evaluation.trajectories import (
    Trajectories,
    Values,
    build_trajectories,
    fit_motion,
    measure_camera_shake,
)
from mot.motfile import MotRows
from mot.types import FloatArray, IntArray

__all__ = ["KINDS", "QualityReport", "QualitySettings", "SuspectedError", "inspect_tracks"]

KINDS = {
    "switch": "an id seems to move from one object to another",
    "restart": "an object seems to continue under a new id",
    "teleport": "an id moves faster than a person can",
    "duplicate": "two ids are on one object",
    "gap": "an id has no boxes for a while",
    "short": "a track is very short",
}
_MAX_BINS = 60
_BINS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds
_MAX_FPS = 1000.0
_DEFAULTS = QualitySettings()


@dataclass(frozen=True, slots=True, eq=False)
class QualityReport:
    """Statistics of a result, and its suspected errors sorted by frame."""

    name: str
    frames: int
    seconds: float
    tracks: int
    boxes: int
    boxes_per_frame: float  # median over the frames
    track_seconds: dict[str, float]  # lengths of the tracks: p10, median, p90
    counts: dict[str, int]  # by kind
    per_minute: dict[str, float]  # by kind
    errors: tuple[SuspectedError, ...]
    timeline: dict[str, IntArray]  # by kind, counts per time bin
    bin_seconds: float

    @property
    def switches(self) -> int:
        """Suspected id switches as MOTA counts them: onto another object, or to a new id."""
        return self.counts["switch"] + self.counts["restart"]

    def summary(self) -> dict[str, Any]:
        """The statistics as a flat dict, such as a row of a table."""
        return {
            "name": self.name,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "tracks": self.tracks,
            "boxes": self.boxes,
            "boxes_per_frame": self.boxes_per_frame,
            **{f"track_seconds_{key}": round(v, 3) for key, v in self.track_seconds.items()},
            **self.counts,
            **{f"{kind}_per_minute": round(v, 2) for kind, v in self.per_minute.items()},
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            **self.summary(),
            "kinds": KINDS,
            "errors": [asdict(error) for error in self.errors],
            "bin_seconds": self.bin_seconds,
            "timeline": {kind: counts.tolist() for kind, counts in self.timeline.items()},
        }


def inspect_tracks(
    rows: MotRows,
    fps: float,
    length: int | None = None,
    embeddings: FloatArray | None = None,
    settings: QualitySettings = _DEFAULTS,
    name: str = "",
) -> QualityReport:
    """Find suspected errors in a result.

    Args:
        length: frames of the video; by default up to the last row.
        embeddings: (N, D), one per row; makes switches easier to find.
        name: of the result, in the report and in error messages.
    """
    _check(rows, fps, embeddings, name or "the result")
    trajectories = build_trajectories(rows, fps, embeddings)
    frames = max(length or 0, rows.last_frame)
    found = _find_errors(trajectories, frames, settings)
    found.sort(key=lambda error: (error.frame, error.kind, error.ids))
    counts = {kind: sum(error.kind == kind for error in found) for kind in KINDS}
    bin_seconds = _bin_seconds(frames / fps)
    return QualityReport(
        name=name,
        frames=frames,
        seconds=frames / fps,
        tracks=len(trajectories.firsts),
        boxes=len(trajectories),
        boxes_per_frame=_median_boxes(trajectories.frames, frames),
        track_seconds=_track_seconds(trajectories),
        counts=counts,
        per_minute={kind: 60 * fps * count / max(frames, 1) for kind, count in counts.items()},
        errors=tuple(found),
        timeline=_timeline(found, fps, frames, bin_seconds),
        bin_seconds=bin_seconds,
    )


def _check(rows: MotRows, fps: float, embeddings: FloatArray | None, name: str) -> None:
    if not 0 < fps <= _MAX_FPS:
        raise MotError(f"{name}: {fps:g} frames per second: give a rate from 0 to {_MAX_FPS:g}")
    if rows.ids.min(initial=0) < 0:
        row = int((rows.ids < 0).argmax())
        raise MotError(
            f"{name}: frame {rows.frames[row]} has a box with the id {rows.ids[row]}: "
            "a result needs ids from 0; are these detections? (mot track tracks them)"
        )
    order = np.lexsort((rows.ids, rows.frames))
    repeated = (np.diff(rows.ids[order]) == 0) & (np.diff(rows.frames[order]) == 0)
    if repeated.any():
        row = order[repeated.argmax()]
        raise MotError(
            f"{name}: frame {rows.frames[row]} has the id {rows.ids[row]} twice: "
            "remove one of the boxes"
        )
    if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != len(rows)):
        raise MotError(
            f"{name}: has {len(rows)} rows, and embeddings of the shape {embeddings.shape}: "
            "one is needed for each row"
        )


def _find_errors(
    trajectories: Trajectories, frames: int, settings: QualitySettings
) -> list[SuspectedError]:
    """Kinds with the best explanation first: what they explain is not reported again."""
    before, after = (fit_motion(trajectories, settings.window, ahead) for ahead in (False, True))
    shake = measure_camera_shake(trajectories, before, after)
    calibration = calibrate_embeddings(trajectories, before, after)
    costs = JoinCosts(trajectories, before, after, shake, settings, calibration)
    jumps = jump_distances(trajectories, before, after)
    reported = ReportedErrors(trajectories.to_frames(settings.spacing))
    return [
        *find_switches(costs, reported),
        *find_teleports(trajectories, jumps, shake, reported, settings),
        *find_jumps(costs, jumps, reported),
        *find_duplicates(trajectories, settings),
        *find_gaps(trajectories, settings),
        *find_short(trajectories, frames, settings),
    ]


def _bin_seconds(seconds: float) -> float:
    """A round bin length that gives at most 60 bins."""
    shortest = seconds / _MAX_BINS
    hours = 3600.0 * math.ceil(shortest / 3600)
    return float(next((length for length in _BINS if length >= shortest), hours))


def _timeline(
    found: list[SuspectedError], fps: float, frames: int, bin_seconds: float
) -> dict[str, IntArray]:
    count = math.ceil(frames / fps / bin_seconds)
    timeline = {kind: np.zeros(count, np.int64) for kind in KINDS}
    for error in found:
        index = int((error.frame - 1) / fps // bin_seconds)
        timeline[error.kind][min(index, count - 1)] += 1
    return timeline


def _median_boxes(frames: IntArray, length: int) -> float:
    """Median boxes per frame over all frames, which may be far more than those with boxes."""
    counts = np.sort(np.unique(frames, return_counts=True)[1])
    empty = length - len(counts)
    middle = [index - empty for index in ((length - 1) // 2, length // 2)]
    return float(sum(counts[index] if index >= 0 else 0 for index in middle)) / 2 if length else 0.0


def _track_seconds(trajectories: Trajectories) -> dict[str, float]:
    frames = trajectories.frames
    spans = frames[trajectories.lasts] - frames[trajectories.firsts] + 1
    lengths: Values = spans / trajectories.fps
    return {
        name: float(np.percentile(lengths, percent)) if len(lengths) else 0.0
        for name, percent in {"p10": 10, "median": 50, "p90": 90}.items()
    }
