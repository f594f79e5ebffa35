"""The picture of `mot explain`: the track as it was seen, and what it could have had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mot import boxes
from mot.commands.explain_replay import Moment, Past
from mot.errors import MotError
from mot.reports.lineup import Kind, Lineup, Portrait, Row, plot_lineup
from mot.trackers.explain import Candidate, Verdict, fate, verdicts
from mot.types import Image

_SIGHTS = 4  # of the track
_CANDIDATES = 6  # of each stage
_MEANING = {
    "appearance": "how far the looks differ from those remembered, 0 to 2",
    "motion": "how far from the expected place, in deviations squared",
    "1 - IoU": "of the expected box and this one",
}


def draw(title: str, moment: Moment, past: Past, track: int, path: Path) -> None:
    image = moment.frame.image
    if image is None:
        raise MotError(f"--plot: frame {moment.frame.index} has no picture: choose another one")
    told = [each for each in verdicts(moment.trace, track, _CANDIDATES) if each.took_part]
    rows = [_row(verdict, moment, image) for verdict in told]
    sights = past.sights[-_SIGHTS * len(rows) :]
    portraits = [_portrait(sight.crop, f"frame {sight.frame}") for sight in sights]
    starts = range(0, _SIGHTS * len(rows), _SIGHTS)
    memory = [portraits[start : start + _SIGHTS] for start in starts]
    plot_lineup(Lineup(title, _legend(told), _heading(len(sights), past), memory, rows), path)


def _legend(told: Sequence[Verdict]) -> str:
    """What the distances mean that there are."""
    candidates = [candidate for verdict in told for candidate in verdict.candidates]
    texts = [candidate.basis.texts() for candidate in candidates if candidate.basis]
    names = [name for name in _MEANING if any(text[name] for text in texts)]
    parts = [f"{name}: {_MEANING[name]}" for name in names]
    return ".  ".join([*parts, "pale: ruled out, or not in this stage"])


def _heading(shown: int, past: Past) -> str:
    if not shown:
        return "The track, as detected before: no picture"
    return f"The track, as detected before: the last {shown} of {past.count}"


def _row(verdict: Verdict, moment: Moment, image: Image) -> Row:
    crops = boxes.cut_out(image, moment.found.boxes)
    portraits = [
        _portrait(
            crops[candidate.row], f"detection {candidate.row}", _kind(candidate), _lines(candidate)
        )
        for candidate in verdict.candidates
    ]
    within = sum(candidate.cost < verdict.limit for candidate in verdict.candidates)
    more = f" {verdict.hidden} more not shown." if verdict.hidden else ""
    reason = f"{verdict.reason[:1].upper()}{verdict.reason[1:]}.{more}"
    return Row(f"Stage: {verdict.stage}", reason, portraits, f"limit {verdict.limit:g}", within)


def _portrait(crop: Image, name: str, kind: Kind = "seen", lines: tuple[str, ...] = ()) -> Portrait:
    size = f"{crop.shape[1]} x {crop.shape[0]} px" if crop.size else "outside the picture"
    return Portrait(crop, name, (*lines, size), kind)


def _kind(candidate: Candidate) -> Kind:
    if candidate.chosen:
        return "chosen"
    is_out = candidate.cost == float("inf") or not candidate.took_part
    return "out" if is_out else "other"


def _lines(candidate: Candidate) -> tuple[str, ...]:
    """The cost and what became of it, then what it rests on."""
    is_out, basis = candidate.cost == float("inf"), candidate.basis
    first = "ruled out" if is_out else f"cost {candidate.cost:.3f}"
    lines = [first, fate(candidate).removeprefix("ruled out").removeprefix(": ")]
    if basis:
        lines += [f"= {basis.rule}"] if basis.looks is not None and not is_out else []
        lines += [f"{name} {text}" for name, text in basis.texts().items() if text]
    return tuple(line for line in lines if line)
