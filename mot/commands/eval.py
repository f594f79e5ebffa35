"""`mot eval` with ground truth: pair, score, compare and diagnose results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from mot.commands.console import notify, refuse_existing
from mot.commands.tables import parse_columns, scores_as_csv, show_comparison, show_scores
from mot.errors import MotError
from mot.evaluation.api import evaluate_sequences
from mot.evaluation.breakdown import by_block_and_track, by_frame
from mot.evaluation.compare import Comparison, compare
from mot.evaluation.diagnosis.with_gt.diagnosis import (
    TrackingError,
    count_causes,
    diagnose,
    errors_as_csv,
)
from mot.evaluation.entries import Entry, find_ground_truths, pair_results
from mot.evaluation.loading import LoadedSequence, load_sequence
from mot.evaluation.protocols import get_protocol
from mot.evaluation.score import Matches
from mot.evaluation.sequence_pairs import Values
from mot.evaluation.summary import Summary
from mot.files import write_text
from mot.motfile import base_name


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """The flags of `mot eval`, as given."""

    results: tuple[str, ...]
    gt: str | None
    no_gt: bool
    protocol: str | None
    split: str
    length: int | None
    columns: str | None
    json: str | None
    csv: str | None
    errors: str | None
    frames: str | None
    fps: float | None
    embeddings: str | None
    block: float
    overwrite: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class TrackerScores:
    """The scores of one of the compared results."""

    name: str
    summary: Summary
    parts: dict[str, Values]  # "SEQUENCE CLASS" -> counts by block and track, to compare


def run(options: EvalOptions) -> None:
    columns = parse_columns(options.columns)
    check_options(options)
    report = ErrorReport(options) if options.errors else None
    paired = _pair(options)
    trackers = [_score(name, entries, options, report) for name, entries in paired.items()]
    summaries = {tracker.name: tracker.summary for tracker in trackers}
    show_scores(summaries, columns)
    if report:
        report.finish(trackers[0].summary)
    comparison = _compare(trackers) if len(trackers) > 1 else None
    if comparison:
        show_comparison(comparison, options.block)
    if options.json:
        text = json.dumps(_as_dict(summaries, comparison), indent=1)
        write_text(Path(options.json), text + "\n")
    if options.csv:
        write_text(Path(options.csv), scores_as_csv(summaries))


def check_options(options: EvalOptions) -> None:
    if bool(options.gt) == options.no_gt:
        raise MotError("give the ground truth with --gt, or --no-gt if there is none")
    if options.errors and len(options.results) > 1:
        raise MotError("--errors takes one result at a time")
    if options.frames and not options.errors:
        raise MotError("--frames is for the images of --errors DIR: give both")
    outputs = [Path(path) for path in (options.json, options.csv) if path]
    refuse_existing(outputs, options.overwrite, options.results)


def _pair(options: EvalOptions) -> dict[str, list[Entry]]:
    """The entries of each tracker; several files of different sequences are one tracker's."""
    gt = Path(options.gt or "").expanduser()
    paths = [Path(result).expanduser() for result in options.results]
    found = {name: pair_results(path, gt) for name, path in zip(_names(paths), paths, strict=True)}
    sequences = [entry.gt.name for entries in found.values() for entry in entries]
    is_one_each = len(set(sequences)) == len(sequences) and all(path.is_file() for path in paths)
    if len(paths) > 1 and is_one_each and len(find_ground_truths(gt)) > 1:
        together = [entry for entries in found.values() for entry in entries]
        return {paths[0].absolute().parent.name: together}
    return found


def _names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that are all different."""
    parts = [
        path.absolute().with_suffix("" if path.is_file() else path.suffix).parts for path in paths
    ]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise MotError(f"{paths[0]}: is given twice")


def _score(
    name: str, entries: list[Entry], options: EvalOptions, report: ErrorReport | None
) -> TrackerScores:
    protocols: set[str] = set()
    parts: dict[str, Values] = {}

    def add(loaded: LoadedSequence, matches: dict[str, Matches]) -> None:
        protocols.add(loaded.protocol.name)
        if len(options.results) > 1:
            block = max(1, round(options.block * loaded.entry.gt.fps))
            for label, found in matches.items():
                parts[f"{loaded.entry.name} {label}"] = by_block_and_track(found, block)
        if report:
            report.add(loaded, matches)

    summary = evaluate_sequences(_load(entries, options), add)
    if not options.protocol:
        notify(f"{name}: scored as {', '.join(sorted(protocols))}", options.quiet)
    return TrackerScores(name, summary, parts)


def _load(entries: list[Entry], options: EvalOptions) -> Iterator[LoadedSequence]:
    protocol = get_protocol(options.protocol) if options.protocol else None
    for entry in entries:
        if entry.result is None:
            notify(f"{entry.name}: no result: all ground truth counts as missed", options.quiet)
        if options.fps:
            entry = replace(entry, gt=replace(entry.gt, fps=options.fps))
        loaded = load_sequence(entry, protocol, options.split, options.length)
        for note in _notes(loaded, options.split):
            notify(f"{entry.name}: {note}", options.quiet)
        yield loaded


def _notes(loaded: LoadedSequence, split: str) -> Iterator[str]:
    """What the user may not have intended."""
    entry = loaded.entry
    if entry.result and base_name(entry.result.stem) != base_name(entry.gt.name):
        yield f"{entry.result} is scored against the ground truth of {entry.gt.name}"
    if loaded.is_cut:
        yield f"the result is cut to {split}"
    elif split != "all" and entry.result:
        yield f"the result is taken as that of {split} alone, with frames from 1"
    if not len(loaded.gt):
        yield "the ground truth is empty: all results count as false positives"
    if entry.result and not len(loaded.result):
        yield "the result is empty: all ground truth counts as missed"


def _compare(trackers: list[TrackerScores]) -> Comparison:
    first = trackers[0]
    for tracker in trackers[1:]:
        other = set(tracker.parts) ^ set(first.parts)
        if other:
            raise MotError(
                f"{first.name} and {tracker.name} have different sequences: "
                f"only one has {min(other).rsplit(maxsplit=1)[0]}"
            )
    return compare({tracker.name: tracker.parts for tracker in trackers})


def _as_dict(summaries: dict[str, Summary], comparison: Comparison | None) -> dict[str, Any]:
    """The numbers of one tracker; of several, those by name and their comparison."""
    if not comparison:
        return next(iter(summaries.values())).as_dict()
    trackers = {name: summary.as_dict() for name, summary in summaries.items()}
    return {"trackers": trackers, "comparison": asdict(comparison)}


class ErrorReport:
    """The folder of `--errors`: a table of all errors, images of the worst, and plots."""

    def __init__(self, options: EvalOptions) -> None:
        self._options = options
        self._folder = Path(options.errors or "").expanduser()
        self._errors: dict[str, list[TrackingError]] = {}
        self._table = self._folder / "errors.csv"
        if self._folder.is_file():
            raise MotError(f"--errors {self._folder}: is a file: give a folder")
        refuse_existing([self._table], options.overwrite)

    def add(self, loaded: LoadedSequence, matches: dict[str, Matches]) -> None:
        """Diagnose a sequence; write its images and plots."""
        for label, found in matches.items():
            name = f"{loaded.entry.name}-{label}" if len(matches) > 1 else loaded.entry.name
            errors = diagnose(loaded, found)
            self._draw(name, loaded, found, errors)
            self._errors[name] = [_in_full_sequence(error, loaded.first - 1) for error in errors]

    def _draw(
        self, name: str, loaded: LoadedSequence, matches: Matches, errors: list[TrackingError]
    ) -> None:
        from mot.reports.error_sheets import draw_errors
        from mot.reports.plots import plot_over_time, plot_track_lengths

        seq, fps = matches.seq, loaded.entry.gt.fps
        frames = Path(self._options.frames).expanduser() if self._options.frames else None
        plot_over_time(by_frame(matches), fps, self._folder / f"{name}-time.png")
        lengths = seq.gt.boxes_per_track, seq.result.boxes_per_track
        plot_track_lengths(*lengths, fps, self._folder / f"{name}-lengths.png")
        if not draw_errors(loaded, errors, self._folder / "images", frames):
            notify(f"{name}: no frames to draw the errors on (--frames)", self._options.quiet)

    def finish(self, summary: Summary) -> None:
        """Write what covers all sequences, and print how often each cause occurred."""
        from mot.reports.plots import plot_hota

        write_text(self._table, errors_as_csv(self._errors))
        plot_hota(summary.curves, self._folder / "hota.png")
        for kind, causes in count_causes(chain.from_iterable(self._errors.values())).items():
            parts = ", ".join(f"{cause} {count}" for cause, count in causes.items())
            print(f"{kind:14} {sum(causes.values()):5}: {parts}")
        notify(f"  {self._folder}", self._options.quiet)


def _in_full_sequence(error: TrackingError, offset: int) -> TrackingError:
    """With frames counted from the start of the sequence, as images and videos are."""
    first, last = error.first_frame + offset, error.last_frame + offset
    return replace(error, first_frame=first, last_frame=last)
