"""`mot benchmark`: plan, resume, detect, track, evaluate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from mot.benchmark.executor import Executor, OnProgress
from mot.benchmark.local_executor import on_processes
from mot.benchmark.plan import (
    BenchmarkConfig,
    BenchmarkPlan,
    Record,
    TrackTask,
    difference,
    make_plan,
)
from mot.benchmark.results import (
    finished_record,
    record_path,
    result_path,
    results_of,
    save_result,
)
from mot.benchmark.work import Scored, ScoreTask, detect, score, track
from mot.commands.console import notify, progress_bars, refuse_existing
from mot.commands.options import DetectorOptions
from mot.commands.run_record import write_run
from mot.commands.tables import parse_columns, show_comparison, show_scores
from mot.config import detector_settings
from mot.errors import MotError
from mot.evaluation.compare import Comparison, compare
from mot.evaluation.entries import Entry, GroundTruth
from mot.evaluation.protocols import get_protocol
from mot.evaluation.summary import Summary, summarize
from mot.files import write_text
from mot.reid import NO_EMBEDDER
from mot.runtime.cpu import usable_cpus

Scores = dict[str, dict[str, Scored]]  # tracker -> sequence


@dataclass(frozen=True, slots=True)
class BenchmarkOptions(DetectorOptions):
    """The flags of `mot benchmark`, as given."""

    groups: ClassVar[tuple[str, ...]] = ("tracker", "detector")

    dataset: str
    detections: str | None
    embeddings: str | None
    embedder: str | None
    trackers: tuple[str, ...]
    split: str
    camera: str | None
    block: float
    post: tuple[str, ...]
    protocol: str | None
    columns: str | None
    engine: str
    ray_address: str | None
    jobs: int | None
    out: str | None
    overwrite: bool
    quiet: bool


def run(options: BenchmarkOptions) -> None:
    columns = parse_columns(options.columns)
    if options.protocol:
        get_protocol(options.protocol)
    plan, folder = _plan(options), _folder(options)
    _start_folder(folder, plan, options.overwrite)
    jobs = min(options.jobs or usable_cpus(), len(plan.tasks))
    with (
        _interruption_note(plan, folder),
        progress_bars(options.quiet) as on_progress,
        on_processes(jobs, on_progress) as local,
    ):
        _detect_and_track(plan, folder, _engine(options, jobs, on_progress, local), options)
        scores = _score(plan, folder, local, options)
    _write_run(plan, folder, options)
    if scores:
        summaries = {name: _summary(found) for name, found in scores.items()}
        comparison = _compare(scores) if len(scores) > 1 else None
        show_scores(summaries, columns)
        if comparison:
            show_comparison(comparison, options.block)
        _write_scores(folder / "scores.json", summaries, comparison, options)


def _plan(options: BenchmarkOptions) -> BenchmarkPlan:
    if options.detector and (options.detections or options.embeddings):
        raise MotError("--detector and --detections both give the detections: give one of them")
    if options.embeddings and options.embedder not in (None, NO_EMBEDDER):
        raise MotError("--embeddings and --embedder both give embeddings: give one of them")
    if options.ray_address and options.engine != "ray":
        raise MotError("--ray-address goes with --engine ray")
    settings, conf = _detector_settings(options)
    config = BenchmarkConfig(
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
    return make_plan(Path(options.dataset).expanduser(), config)


def _detector_settings(options: BenchmarkOptions) -> tuple[dict[str, Any], float | None]:
    """Settings of the detector; and the minimum score, if no detector setting gives it."""
    settings = options.detector_settings()
    if options.detector and "conf" in detector_settings(options.detector):
        return settings, None
    if options.conf is not None:
        settings.pop("conf")
    if settings and not options.detector:
        flags = "--imgsz, --classes and others"
        raise MotError(
            f"{flags} are settings of a detector: give --detector NAME|FILE, or leave them out"
        )
    return settings, options.conf


def _folder(options: BenchmarkOptions) -> Path:
    if options.out:
        return Path(options.out).expanduser()
    return Path("runs/benchmark") / Path(options.dataset).expanduser().absolute().name


def _start_folder(folder: Path, plan: BenchmarkPlan, overwrite: bool) -> None:
    """Write the plan into the folder; one with results of another plan is refused."""
    path = folder / "benchmark.json"
    records = [record_path(folder, task) for task in plan.tasks]
    outputs = [*(result_path(folder, task) for task in plan.tasks), *records]
    resumes = not overwrite and path.exists()
    if resumes:
        _refuse_other(path, plan)
    refuse_existing(outputs, resumes or overwrite, plan.inputs)
    for record in records if overwrite else []:
        if record.exists():
            record.unlink()
    write_text(path, json.dumps(plan.record, indent=1) + "\n")


def _refuse_other(path: Path, plan: BenchmarkPlan) -> None:
    hint = "give --overwrite, or another folder with --out"
    try:
        old: Record = dict(json.loads(path.read_text("utf-8")))
        different, kept = difference(old, plan.record), any(results_of(path.parent, old))
    except (OSError, ValueError, TypeError, LookupError):
        raise MotError(f"{path}: not the plan of a benchmark: {hint}") from None
    if different and kept:
        raise MotError(f"{path}: belongs to another benchmark: {different}: {hint}")


@contextmanager
def _interruption_note(plan: BenchmarkPlan, folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        kept = len(plan.tasks) - len(_remaining(plan, folder))
        note = f"kept {kept} of {len(plan.tasks)} in {folder}: the same command resumes"
        interrupt.add_note(f"; {note}")
        raise


def _remaining(plan: BenchmarkPlan, folder: Path) -> list[TrackTask]:
    return [task for task in plan.tasks if not finished_record(folder, task)]


def _engine(
    options: BenchmarkOptions, jobs: int, on_progress: OnProgress, local: Executor
) -> AbstractContextManager[Executor]:
    if options.engine == "local":
        return nullcontext(local)
    from mot.benchmark.ray_executor import on_ray

    return on_ray(jobs, on_progress, options.ray_address)


def _detect_and_track(
    plan: BenchmarkPlan,
    folder: Path,
    engine: AbstractContextManager[Executor],
    options: BenchmarkOptions,
) -> None:
    """Detect and track whatever is not finished."""
    tasks = _remaining(plan, folder)
    if len(tasks) < len(plan.tasks):
        notify(
            f"{len(plan.tasks) - len(tasks)} of {len(plan.tasks)} finished earlier", options.quiet
        )
    if not tasks:
        return
    specs = {task.sequence.title: task.sequence for task in tasks if task.sequence.is_cached}
    with engine as execute:
        for spec, warnings in execute(detect, list(specs.values())):
            notify(f"{spec.title}: {spec.sequence.length} frames", options.quiet)
            _warn(spec.title, warnings)
        for task, outcome in execute(track, tasks):
            save_result(folder, task, outcome)
            notify(f"{task.title}: {outcome.frames} frames", options.quiet)
            _warn(task.title, outcome.warnings)


def _warn(title: str, warnings: list[str]) -> None:
    for warning in warnings:
        notify(f"  warning: {title}: {warning}")


def _score(plan: BenchmarkPlan, folder: Path, local: Executor, options: BenchmarkOptions) -> Scores:
    """The scores of all sequences with ground truth, in the order of the plan."""
    tasks = [entry for task in plan.tasks if (entry := _score_task(task, folder, options))]
    without = [s.sequence.name for s in plan.sequences if s.sequence.ground_truth is None]
    if without:
        notify(f"not evaluated, without ground truth: {', '.join(without)}", options.quiet)
    found = {(task.tracker, task.entry.name): scored for task, scored in local(score, tasks)}
    scores: Scores = {task.tracker: {} for task in tasks}
    for task in tasks:
        scores[task.tracker][task.entry.name] = found[task.tracker, task.entry.name]
    if scores and not options.protocol:
        protocols = sorted({scored.protocol for scored in found.values()})
        notify(f"scored as {', '.join(protocols)}", options.quiet)
    return scores


def _score_task(task: TrackTask, folder: Path, options: BenchmarkOptions) -> ScoreTask | None:
    sequence = task.sequence.sequence
    if sequence.ground_truth is None:
        return None
    length, fps = sequence.length, sequence.fps
    gt = GroundTruth(sequence.name, sequence.ground_truth, length, fps, sequence)
    entry, block = (
        Entry(gt.name, gt, result_path(folder, task)),
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


def _write_run(plan: BenchmarkPlan, folder: Path, options: BenchmarkOptions) -> None:
    sources: list[dict[str, Any]] = [
        {"name": task.title, **(finished_record(folder, task) or {})} for task in plan.tasks
    ]
    path = write_run(folder, {"settings": asdict(options), "sources": sources})
    notify(f"  {path}", options.quiet)


def _write_scores(
    path: Path,
    summaries: dict[str, Summary],
    comparison: Comparison | None,
    options: BenchmarkOptions,
) -> None:
    """The scores by tracker; those of a single tracker also in the format of `mot eval`."""
    found: Record = {"split": options.split}
    found["trackers"] = {name: summary.as_dict() for name, summary in summaries.items()}
    if comparison:
        found["comparison"] = asdict(comparison)
    else:
        found |= next(iter(found["trackers"].values()))
    write_text(path, json.dumps(found, indent=1) + "\n")
    notify(f"  {path}", options.quiet)
