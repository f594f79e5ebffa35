"""The work of `mot benchmark`: plan, go on from what is finished, detect, track, measure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mot.benchmark.executors import ENGINES, Spread, Watch, on_processes
from mot.benchmark.plan import Plan, Record, Task, Wanted, difference, make_plan
from mot.benchmark.results import finished, keep, record_path, result_path, results_of
from mot.benchmark.work import Scored, ScoreTask, detect, score, track
from mot.cli.benchmark import Options
from mot.cli.detector_flags import settings_of_flags
from mot.commands.console import refuse_existing, tell
from mot.commands.progress_bars import watched
from mot.commands.run_record import write_run
from mot.commands.tables import parse_columns, show_comparison, show_scores
from mot.config import detector_settings
from mot.errors import MotError
from mot.evaluation.compare import Comparison, compare
from mot.evaluation.entries import Entry, Truth
from mot.evaluation.protocols import protocol_named
from mot.evaluation.summary import Summary, summarize
from mot.files import write_text
from mot.reid import NO_EMBEDDER
from mot.runtime.cpu import usable_cpus

Scores = dict[str, dict[str, Scored]]  # tracker -> sequence


def run(options: Options) -> None:
    columns = parse_columns(options.columns)
    if options.protocol:
        protocol_named(options.protocol)
    plan, folder = _plan(options), _folder(options)
    _claim(folder, plan, options.overwrite)
    jobs = min(options.jobs or usable_cpus(), len(plan.tasks))
    with (
        _said_what_is_kept(plan, folder),
        watched(options.quiet) as watch,
        on_processes(jobs, watch) as here,
    ):
        _go_on(plan, folder, _engine(options, jobs, watch, here), options)
        scores = _score(plan, folder, here, options)
    _write_run(plan, folder, options)
    if scores:
        summaries = {name: _summary(found) for name, found in scores.items()}
        comparison = _compare(scores) if len(scores) > 1 else None
        show_scores(summaries, columns)
        if comparison:
            show_comparison(comparison, options.block)
        _write_scores(folder / "scores.json", summaries, comparison, options)


def _plan(options: Options) -> Plan:
    if options.detector and (options.detections or options.embeddings):
        raise MotError("--detector looks at the pictures, --detections are read: give one of them")
    if options.embeddings and options.embedder not in (None, NO_EMBEDDER):
        raise MotError("--embeddings and --embedder both say what people look like: give one")
    if options.ray_address and options.engine != "ray":
        raise MotError("--ray-address goes with --engine ray")
    settings, conf = _detector_settings(options)
    wanted = Wanted(
        trackers=options.trackers,
        settings=options.overrides("tracker"),
        split=options.split,
        detections=options.detections,
        embeddings=options.embeddings,
        embedder=options.embedder,
        detector=options.detector,
        detector_settings=settings,
        camera=options.camera,
        conf=conf,
        post=options.post,
    )
    return make_plan(Path(options.dataset).expanduser(), wanted)


def _detector_settings(options: Options) -> tuple[dict[str, Any], float | None]:
    """What the detector is told; and the least score, where it cannot be told that."""
    settings = settings_of_flags(options)
    if options.detector and "conf" in detector_settings(options.detector):
        return settings, None
    if options.conf is not None:
        settings.pop("conf")
    if settings and not options.detector:
        flags = "--imgsz, --classes and the like"
        raise MotError(f"{flags} are for a detector: give --detector NAME|FILE, or leave them out")
    return settings, options.conf


def _folder(options: Options) -> Path:
    if options.out:
        return Path(options.out).expanduser()
    return Path("runs/benchmark") / Path(options.dataset).expanduser().absolute().name


def _claim(folder: Path, plan: Plan, overwrite: bool) -> None:
    """The folder is this plan's from now on; one with results of another plan is refused."""
    path = folder / "benchmark.json"
    records = [record_path(folder, task) for task in plan.tasks]
    outputs = [*(result_path(folder, task) for task in plan.tasks), *records]
    goes_on = not overwrite and path.exists()
    if goes_on:
        _refuse_other(path, plan)
    refuse_existing(outputs, goes_on or overwrite, plan.inputs)
    for record in records if overwrite else []:
        if record.exists():
            record.unlink()
    write_text(path, json.dumps(plan.record, indent=1) + "\n")


def _refuse_other(path: Path, plan: Plan) -> None:
    mend = "give --overwrite, or another place"
    try:
        old: Record = dict(json.loads(path.read_text("utf-8")))
        different, kept = difference(old, plan.record), any(results_of(path.parent, old))
    except (OSError, ValueError, TypeError, LookupError):
        raise MotError(f"{path}: not a benchmark's plan: {mend}") from None
    if different and kept:
        raise MotError(f"{path}: is of another benchmark: {different}: {mend}")


@contextmanager
def _said_what_is_kept(plan: Plan, folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        kept = len(plan.tasks) - len(_remaining(plan, folder))
        goes_on = f"kept {kept} of {len(plan.tasks)} in {folder}: the same command goes on"
        interrupt.add_note(f"; {goes_on}")
        raise


def _remaining(plan: Plan, folder: Path) -> list[Task]:
    return [task for task in plan.tasks if not finished(folder, task)]


def _engine(
    options: Options, jobs: int, watch: Watch, here: Spread
) -> AbstractContextManager[Spread]:
    if options.engine == "local":
        return nullcontext(here)
    return ENGINES[options.engine](jobs, watch, options.ray_address)


def _go_on(
    plan: Plan, folder: Path, engine: AbstractContextManager[Spread], options: Options
) -> None:
    """Detect and track what is not finished."""
    tasks = _remaining(plan, folder)
    if len(tasks) < len(plan.tasks):
        tell(f"{len(plan.tasks) - len(tasks)} of {len(plan.tasks)} done before", options.quiet)
    if not tasks:
        return
    streams = {task.stream.title: task.stream for task in tasks if task.stream.is_kept}
    with engine as spread:
        for stream, notes in spread(detect, list(streams.values())):
            tell(f"{stream.title}: {stream.sequence.length} frames", options.quiet)
            _warn(stream.title, notes)
        for task, outcome in spread(track, tasks):
            keep(folder, task, outcome)
            tell(f"{task.title}: {outcome.frames} frames", options.quiet)
            _warn(task.title, outcome.notes)


def _warn(title: str, notes: list[str]) -> None:
    for note in notes:
        tell(f"  warning: {title}: {note}")


def _score(plan: Plan, folder: Path, here: Spread, options: Options) -> Scores:
    """Of the sequences that have a ground truth; always in the plan's order, whoever was first."""
    tasks = [entry for task in plan.tasks if (entry := _score_task(task, folder, options))]
    blind = [s.sequence.name for s in plan.streams if s.sequence.ground_truth is None]
    if blind:
        tell(f"not measured, without a ground truth: {', '.join(blind)}", options.quiet)
    found = {(task.tracker, task.entry.name): scored for task, scored in here(score, tasks)}
    scores: Scores = {task.tracker: {} for task in tasks}
    for task in tasks:
        scores[task.tracker][task.entry.name] = found[task.tracker, task.entry.name]
    if scores and not options.protocol:
        protocols = sorted({scored.protocol for scored in found.values()})
        tell(f"scored as {', '.join(protocols)}", options.quiet)
    return scores


def _score_task(task: Task, folder: Path, options: Options) -> ScoreTask | None:
    sequence = task.stream.sequence
    if sequence.ground_truth is None:
        return None
    length, fps = sequence.length, sequence.fps
    truth = Truth(sequence.name, sequence.ground_truth, length, fps, sequence)
    entry, block = (
        Entry(truth.name, truth, result_path(folder, task)),
        max(1, round(options.block * fps)),
    )
    return ScoreTask(task.tracker.name, entry, options.protocol, options.split, length, block)


def _summary(found: dict[str, Scored]) -> Summary:
    return summarize({name: scored.scores for name, scored in found.items()})


def _compare(scores: Scores) -> Comparison:
    return compare(
        {
            tracker: {
                f"{name} {label}": values
                for name, scored in found.items()
                for label, values in scored.parts.items()
            }
            for tracker, found in scores.items()
        }
    )


def _write_run(plan: Plan, folder: Path, options: Options) -> None:
    sources: list[dict[str, Any]] = [
        {"name": task.title, **(finished(folder, task) or {})} for task in plan.tasks
    ]
    path = write_run(folder, {"settings": asdict(options), "sources": sources})
    tell(f"  {path}", options.quiet)


def _write_scores(
    path: Path, summaries: dict[str, Summary], comparison: Comparison | None, options: Options
) -> None:
    """Of all trackers by their names; one alone also as `mot eval` writes it."""
    found: Record = {"split": options.split}
    found["trackers"] = {name: summary.as_dict() for name, summary in summaries.items()}
    if comparison:
        found["comparison"] = asdict(comparison)
    else:
        found |= next(iter(found["trackers"].values()))
    write_text(path, json.dumps(found, indent=1) + "\n")
    tell(f"  {path}", options.quiet)
