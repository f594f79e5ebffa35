"""One piece of work, in any process: detect, track or score one sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar

from mot.benchmark.cache import Table, load_or_make
from mot.benchmark.plan import SequenceSpec, TrackTask
from mot.config import build_tracker
from mot.errors import MotError
from mot.evaluation.api import match_classes
from mot.evaluation.breakdown import by_block_and_track
from mot.evaluation.entries import Entry
from mot.evaluation.loading import load_sequence
from mot.evaluation.protocols import get_protocol
from mot.evaluation.score import Score, count_matches
from mot.evaluation.sequence_pairs import Values
from mot.formats.embedding_files import read_detections_with_embeddings
from mot.formats.track_text import FORMATS
from mot.pipeline import Detected, Pipeline, check_fits
from mot.reid.embedder import attach_embeddings
from mot.reid.open import open_embedder
from mot.types import Frame
from mot.video.streams import sequence_frames

_REPORT_INTERVAL = 0.1  # seconds
T = TypeVar("T")


class Titled(Protocol):
    @property
    def title(self) -> str: ...


S = TypeVar("S", bound=Titled)


class ProgressUpdate(NamedTuple):
    """How far a piece of work is."""

    title: str
    done: int  # frames
    total: int


ReportProgress = Callable[[ProgressUpdate], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a tracking task; the same on every machine, but for the seconds."""

    text: str  # MOT rows
    frames: int
    ids: int
    seconds: float
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """One result to evaluate."""

    tracker: str
    entry: Entry
    protocol: str | None
    split: str
    length: int
    block: int  # frames that a bootstrap draws together

    @property
    def title(self) -> str:
        return f"{self.tracker} {self.entry.name}"


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of one result, and what a comparison needs of it; by class."""

    protocol: str
    scores: dict[str, Score] = field(default_factory=dict)
    parts: dict[str, Values] = field(default_factory=dict)


def attempt(
    work: Callable[[S, ReportProgress], T], task: S, report: ReportProgress
) -> T | MotError:
    """The result, or the user's error as a value, which any process can hand on."""
    try:
        return work(task, report)
    except MotError as error:
        return type(error)(f"{task.title}: {error}")


def detect(sequence: SequenceSpec, report: ReportProgress) -> list[str]:
    """Cache a sequence's detections for every tracker; returns warnings."""
    return _detections(sequence, report)[1]


def track(task: TrackTask, report: ReportProgress) -> Outcome:
    """Track a sequence from its cached or given detections."""
    started = time.perf_counter()
    spec = task.sequence
    table, warnings = _detections(spec, report)
    pipeline = Pipeline(
        tracker=build_tracker(task.tracker.tracker, **task.tracker.settings),
        embedder="none",
        camera=spec.camera,
        post=task.post,
        detections=table,
        conf=task.tracker.conf,
    )
    wanted = (
        frame
        for frame in sequence_frames(spec.sequence, spec.estimates_camera)
        if spec.first <= frame.index <= spec.last
    )
    with closing(pipeline.observe(wanted)) as observed:
        renumbered = _renumbered(_reported(observed, task.title, len(spec), report), spec)
        results = list(pipeline.follow(renumbered))
    text = "".join(FORMATS["mot"].lines(frame, tracks) for frame, tracks in results)
    ids = {number for _, tracks in results for number in tracks.ids.tolist()}
    seconds = round(time.perf_counter() - started, 3)
    return Outcome(text, len(results), len(ids), seconds, [*warnings, *pipeline.warnings])


def _renumbered(
    observed: Iterable[Detected], spec: SequenceSpec
) -> Generator[Detected, None, None]:
    """Frame numbers and times counted from the first tracked frame."""
    for frame, detections in observed:
        index = frame.index - spec.first + 1
        time = (index - 1) / spec.sequence.fps
        yield replace(frame, image=None, index=index, time=time), detections


def score(task: ScoreTask, report: ReportProgress) -> Scored:
    """Evaluate one result."""
    protocol = get_protocol(task.protocol) if task.protocol else None
    loaded = load_sequence(task.entry, protocol, task.split, task.length)
    scored = Scored(loaded.protocol.name)
    for label, matches in match_classes(loaded).items():
        scored.scores[label] = count_matches(matches)
        scored.parts[label] = by_block_and_track(matches, task.block)
    return scored


def _detections(spec: SequenceSpec, report: ReportProgress) -> tuple[Table, list[str]]:
    """Detections of the full sequence, with embeddings if an embedder makes them."""
    embedder = spec.embedder
    if embedder is None or spec.embedding_cache is None:
        return _plain_detections(spec, report)
    warnings: list[str] = []

    def make() -> Table:
        table, more = _plain_detections(spec, report)
        warnings.extend(more)
        opened = open_embedder(str(embedder.file), threads=1)
        detected = Pipeline(tracker=None, detections=table).detect(_images(spec, report))
        embedded = attach_embeddings(detected, opened, embedder.recompute, embedder.min_score)
        return {frame.index: detections for frame, detections in embedded}

    table, more = load_or_make(spec.embedding_cache, make)
    return table, [*more, *warnings]


def _plain_detections(spec: SequenceSpec, report: ReportProgress) -> tuple[Table, list[str]]:
    """Detections of a file, or of the detector, cached; with embeddings only if these have them."""
    if spec.detector is None or spec.cache is None:
        assert spec.file
        table, sequence = read_detections_with_embeddings(spec.file, spec.embeddings), spec.sequence
        check_fits(max(table, default=0), sequence.length, spec.file, sequence.name)
        return table, []
    detector = spec.detector

    def make() -> Table:
        """Of the full sequence, also for a part of it: a detector may adapt on the way."""
        pipeline = Pipeline(detector.spec, tracker=None, settings=detector.settings)
        return {frame.index: found for frame, found in pipeline.detect(_images(spec, report))}

    return load_or_make(spec.cache, make)


def _images(spec: SequenceSpec, report: ReportProgress) -> Iterator[Frame]:
    frames = sequence_frames(spec.sequence, with_images=True)
    for frame in _reported(frames, spec.title, spec.sequence.length, report):
        if frame.image is None:
            raise MotError(
                f"frame {frame.index} of {spec.sequence.length} has no image: give "
                "--detections, and --embedder none"
            )
        yield frame


def _reported(items: Iterable[T], title: str, total: int, report: ReportProgress) -> Iterator[T]:
    """The same items, with a progress report now and then."""
    report(ProgressUpdate(title, 0, total))
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last >= _REPORT_INTERVAL:
            last = time.monotonic()
            report(ProgressUpdate(title, done, total))
    report(ProgressUpdate(title, total, total))
