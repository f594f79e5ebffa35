"""How good a result looks, without ground truth: what a person should look at, and how much of it.

report = inspect(read_rows_of("result.txt"), fps=30)
report.counts, report.per_minute, report.suspicions
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mot.errors import MotError
from mot.evaluation.diagnosis.without_gt.suspicions import (
    Claims,
    QualitySettings,
    Suspicion,
    find_duplicates,
    find_gaps,
    find_short,
    find_teleports,
    leaps,
)
from mot.evaluation.diagnosis.without_gt.switches import (
    Courses,
    find_jumps,
    find_switches,
    gauge_looks,
)
from mot.evaluation.trajectories import Paths, Values, camera_shake, make_paths, motions
from mot.motfile import MotRows
from mot.types import FloatArray, IntArray

__all__ = ["KINDS", "QualityReport", "QualitySettings", "Suspicion", "inspect"]

KINDS = {
    "switch": "an id seems to pass from one person to another",
    "restart": "an id begins where the person of one that has just ended would be",
    "teleport": "an id leaps farther than a person can",
    "duplicate": "two ids are on one person",
    "gap": "an id is away for a while and comes back",
    "short": "an id is seen for a moment only",
}
_MOST_BINS = 60
_BINS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds
_FASTEST = 1000.0  # frames a second
_DEFAULTS = QualitySettings()


@dataclass(frozen=True, slots=True, eq=False)
class QualityReport:
    """What was found, in numbers and one by one."""

    name: str
    frames: int
    seconds: float
    tracks: int
    boxes: int
    people: float  # the median over the frames
    track_seconds: dict[str, float]  # from the first box to the last: p10, median and p90
    counts: dict[str, int]  # by kind
    per_minute: dict[str, float]  # by kind
    suspicions: tuple[Suspicion, ...]  # in the order of their frames
    timeline: dict[str, IntArray]  # by kind, the count of each bin of time
    bin_seconds: float

    @property
    def switches(self) -> int:
        """Suspected changes of identity, as MOTA counts them: under another's id, or a new one."""
        return self.counts["switch"] + self.counts["restart"]

    def summary(self) -> dict[str, Any]:
        """One level of numbers: a row of a table."""
        return {
            "name": self.name,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "tracks": self.tracks,
            "boxes": self.boxes,
            "people": self.people,
            **{f"track_seconds_{key}": round(v, 3) for key, v in self.track_seconds.items()},
            **self.counts,
            **{f"{kind}_per_minute": round(v, 2) for kind, v in self.per_minute.items()},
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            **self.summary(),
            "kinds": KINDS,
            "suspicions": [asdict(suspicion) for suspicion in self.suspicions],
            "bin_seconds": self.bin_seconds,
            "timeline": {kind: counts.tolist() for kind, counts in self.timeline.items()},
        }


def inspect(  # the sixth is the name that errors and the report call the result by
    rows: MotRows,
    fps: float,
    length: int | None = None,
    embeddings: FloatArray | None = None,
    settings: QualitySettings = _DEFAULTS,
    name: str = "",
) -> QualityReport:
    """`length` is in frames, by default up to the last row; `embeddings` has a row for each row."""
    _check(rows, fps, embeddings, name or "the result")
    paths = make_paths(rows, fps, embeddings)
    frames = max(length or 0, rows.last_frame)
    found = sorted(_suspicions(paths, frames, settings), key=lambda s: (s.frame, s.kind, s.ids))
    counts = {kind: sum(s.kind == kind for s in found) for kind in KINDS}
    bin_seconds = _bin_seconds(frames / fps)
    return QualityReport(
        name=name,
        frames=frames,
        seconds=frames / fps,
        tracks=len(paths.firsts),
        boxes=len(paths),
        people=_median_people(paths.frames, frames),
        track_seconds=_track_seconds(paths),
        counts=counts,
        per_minute={kind: 60 * fps * count / max(frames, 1) for kind, count in counts.items()},
        suspicions=tuple(found),
        timeline=_timeline(found, fps, frames, bin_seconds),
        bin_seconds=bin_seconds,
    )


def _check(rows: MotRows, fps: float, embeddings: FloatArray | None, name: str) -> None:
    if not 0 < fps <= _FASTEST:
        raise MotError(f"{name}: {fps:g} frames a second: give a rate above 0, up to {_FASTEST:g}")
    if rows.ids.min(initial=0) < 0:
        row = int((rows.ids < 0).argmax())
        raise MotError(
            f"{name}: frame {rows.frames[row]} has a box with the id {rows.ids[row]}: "
            "a result needs ids from 0; are these detections? (mot track follows them)"
        )
    _refuse_twins(rows, name)
    if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != len(rows)):
        raise MotError(
            f"{name}: has {len(rows)} rows, and embeddings of the shape {embeddings.shape}: "
            "one is needed for each row"
        )


def _refuse_twins(rows: MotRows, name: str) -> None:
    order = np.lexsort((rows.ids, rows.frames))
    again = (np.diff(rows.ids[order]) == 0) & (np.diff(rows.frames[order]) == 0)
    if again.any():
        row = order[again.argmax()]
        raise MotError(
            f"{name}: frame {rows.frames[row]} has the id {rows.ids[row]} twice: "
            "leave one of the boxes out"
        )


def _suspicions(paths: Paths, frames: int, settings: QualitySettings) -> list[Suspicion]:
    """The better explained first: what they account for is not reported again."""
    before, after = (motions(paths, settings.window, ahead) for ahead in (False, True))
    shake = camera_shake(paths, before, after)
    looks = gauge_looks(paths, before, after)
    courses = Courses(paths, before, after, shake, settings, looks)
    leap, claims = leaps(paths, before, after), Claims(paths.frames_in(settings.spacing))
    return [
        *find_switches(courses, claims),
        *find_teleports(paths, leap, shake, claims, settings),
        *find_jumps(courses, leap, claims),
        *find_duplicates(paths, settings),
        *find_gaps(paths, settings),
        *find_short(paths, frames, settings),
    ]


def _bin_seconds(seconds: float) -> float:
    """A round length, of which not too many fill the time."""
    least = seconds / _MOST_BINS
    hours = 3600.0 * math.ceil(least / 3600)
    return float(next((length for length in _BINS if length >= least), hours))


def _timeline(
    found: list[Suspicion], fps: float, frames: int, bin_seconds: float
) -> dict[str, IntArray]:
    count = math.ceil(frames / fps / bin_seconds)
    timeline = {kind: np.zeros(count, np.int64) for kind in KINDS}
    for suspicion in found:
        place = int((suspicion.frame - 1) / fps // bin_seconds)
        timeline[suspicion.kind][min(place, count - 1)] += 1
    return timeline


def _median_people(frames: IntArray, length: int) -> float:
    """Over all frames, those without a box too; there may be far more than rows."""
    counts = np.sort(np.unique(frames, return_counts=True)[1])
    empty = length - len(counts)
    middle = [place - empty for place in ((length - 1) // 2, length // 2)]
    return float(sum(counts[place] if place >= 0 else 0 for place in middle)) / 2 if length else 0.0


def _track_seconds(paths: Paths) -> dict[str, float]:
    lives: Values = (paths.frames[paths.lasts] - paths.frames[paths.firsts] + 1) / paths.fps
    shares = {"p10": 10, "median": 50, "p90": 90}
    return {
        name: float(np.percentile(lives, share)) if len(lives) else 0.0
        for name, share in shares.items()
    }
