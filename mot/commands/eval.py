"""The work of `mot eval`: pair, score, show, compare, diagnose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mot.cli.eval import Options
from mot.commands.console import refuse_existing, tell
from mot.commands.tables import parse_columns, scores_as_csv, show_comparison, show_scores
from mot.errors import MotError
from mot.evaluation.compare import Comparison, compare
from mot.evaluation.entries import Entry, find_truths, pair_up
from mot.evaluation.loading import Loaded, load
from mot.evaluation.protocols import prepare, protocol_named
from mot.evaluation.scene import Values
from mot.evaluation.score import Score, count, match
from mot.evaluation.series import by_block_and_person
from mot.evaluation.summary import Summary, summarize
from mot.files import write_text
from mot.motfile import base_name

if TYPE_CHECKING:
    from mot.commands.eval_diagnose import ErrorReport


@dataclass(frozen=True, slots=True)
class Tracker:
    """One result on the command line, scored."""

    name: str
    scores: dict[str, dict[str, Score]] = field(default_factory=dict)  # sequence -> class
    parts: dict[str, Values] = field(default_factory=dict)  # of sequence and class, to compare


def run(options: Options) -> None:
    columns = parse_columns(options.columns)
    _check(options)
    if options.no_gt:
        from mot.commands.eval_inspect import inspect_results

        inspect_results(options)
        return
    report = _report(options)
    paired = _pair(options)
    trackers = [_score(name, entries, options, report) for name, entries in paired.items()]
    summaries = {tracker.name: summarize(tracker.scores) for tracker in trackers}
    show_scores(summaries, columns)
    if report:
        report.finish(summaries[trackers[0].name])
    comparison = _compare(trackers, options) if len(trackers) > 1 else None
    if comparison:
        show_comparison(comparison, options.block)
    _write(summaries, comparison, options)


def _check(options: Options) -> None:
    if bool(options.gt) == options.no_gt:
        raise MotError("give the ground truth with --gt, or --no-gt where there is none")
    if options.errors and len(options.results) > 1:
        raise MotError("--errors is for one result at a time")
    if options.frames and not options.errors:
        raise MotError("--frames shows the mistakes that --errors DIR writes: give both")
    outputs = [Path(path) for path in (options.json, options.csv) if path]
    refuse_existing(outputs, options.overwrite, options.results)


def _pair(options: Options) -> dict[str, list[Entry]]:
    """The entries of each tracker; files called after sequences are one tracker's."""
    gt = Path(options.gt or "").expanduser()
    paths = [Path(result).expanduser() for result in options.results]
    found = {name: pair_up(path, gt) for name, path in zip(_names(paths), paths, strict=True)}
    names = [entry.truth.name for entries in found.values() for entry in entries]
    is_one_each = len(set(names)) == len(names) and all(path.is_file() for path in paths)
    if len(paths) > 1 and is_one_each and len(find_truths(gt)) > 1:
        together = [entry for entries in found.values() for entry in entries]
        return {paths[0].absolute().parent.name: together}
    return found


def _names(paths: list[Path]) -> list[str]:
    """The last parts of the paths, as many as it takes to tell them apart."""
    parts = [
        path.absolute().with_suffix("" if path.is_file() else path.suffix).parts for path in paths
    ]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise MotError(f"{paths[0]}: is given twice")


def _score(
    name: str, entries: list[Entry], options: Options, report: ErrorReport | None
) -> Tracker:
    tracker = Tracker(name)
    protocols = set()
    for loaded in _loaded(entries, options):
        protocols.add(loaded.protocol.name)
        scenes = prepare(loaded.truth, loaded.result, loaded.length, loaded.protocol)
        matches = {label: match(scene) for label, scene in scenes.items()}
        sequence = loaded.entry.name
        tracker.scores[sequence] = {label: count(found) for label, found in matches.items()}
        for label, found in matches.items():
            if len(options.results) > 1:
                block = max(1, round(options.block * loaded.entry.truth.fps))
                tracker.parts[f"{sequence} {label}"] = by_block_and_person(found, block)
        if report:
            report.add(loaded, matches)
    if not options.protocol:
        tell(f"{name}: scored as {', '.join(sorted(protocols))}", options.quiet)
    return tracker


def _loaded(entries: list[Entry], options: Options) -> Iterator[Loaded]:
    protocol = protocol_named(options.protocol) if options.protocol else None
    for entry in entries:
        if entry.result is None:
            tell(f"{entry.name}: no result: all its people count as missed", options.quiet)
        if options.fps:
            entry = replace(entry, truth=replace(entry.truth, fps=options.fps))
        loaded = load(entry, protocol, options.split, options.length)
        for note in _notes(loaded, options.split):
            tell(f"{entry.name}: {note}", options.quiet)
        yield loaded


def _notes(loaded: Loaded, split: str) -> Iterator[str]:
    """What a person may not have meant."""
    entry = loaded.entry
    if entry.result and not _is_called_after(entry.result.stem, entry.truth.name):
        yield f"{entry.result} is measured against the ground truth of {entry.truth.name}"
    if loaded.is_cut:
        yield f"the result is cut to {split}"
    elif split != "all" and entry.result:
        yield f"the result is taken to be of {split} alone, its frames from 1"
    if not len(loaded.truth):
        yield "the ground truth is empty: all that was found counts as false"
    if entry.result and not len(loaded.result):
        yield "the result is empty: all its people count as missed"


def _is_called_after(result: str, sequence: str) -> bool:
    return base_name(result) == base_name(sequence)


def _report(options: Options) -> ErrorReport | None:
    if not options.errors:
        return None
    from mot.commands.eval_diagnose import ErrorReport

    return ErrorReport(options)


def _compare(trackers: list[Tracker], options: Options) -> Comparison:
    first = trackers[0]
    for tracker in trackers[1:]:
        other = set(tracker.parts) ^ set(first.parts)
        if other:
            raise MotError(
                f"{first.name} and {tracker.name} are not of the same sequences: "
                f"{min(other).rsplit(maxsplit=1)[0]} is in one of them alone"
            )
    found = {tracker.name: tracker.parts for tracker in trackers}
    return compare(found)


def _write(summaries: dict[str, Summary], comparison: Comparison | None, options: Options) -> None:
    if options.json:
        text = json.dumps(scores_as_dict(summaries, comparison), indent=1)
        write_text(Path(options.json), text + "\n")
    if options.csv:
        write_text(Path(options.csv), scores_as_csv(summaries))


def scores_as_dict(summaries: dict[str, Summary], comparison: Comparison | None) -> dict[str, Any]:
    """One tracker's numbers, or those of several by their names and how they compare."""
    if not comparison:
        return next(iter(summaries.values())).as_dict()
    trackers = {name: summary.as_dict() for name, summary in summaries.items()}
    return {"trackers": trackers, "comparison": asdict(comparison)}
