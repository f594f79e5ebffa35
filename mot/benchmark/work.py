"""One piece of work, in whatever process: detect, track or score one sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar

from mot.benchmark.cache import Table, kept_or_made
from mot.benchmark.plan import Stream, Task
from mot.config import build_detector, build_tracker
from mot.errors import MotError
from mot.evaluation.entries import Entry
from mot.evaluation.loading import load
from mot.evaluation.protocols import prepare, protocol_named
from mot.evaluation.scene import Values
from mot.evaluation.score import Score, count, match
from mot.evaluation.series import by_block_and_person
from mot.formats.embeddings import read_detections_with_embeddings
from mot.formats.track_text import FORMATS
from mot.pipeline import detections_of, from_images, from_table, looked_at, only
from mot.settings import settings_of
from mot.trackers.postprocess import accumulate_embeddings, collect, mend, spread
from mot.types import Detections, FloatArray, Frame, Tracks
from mot.video.sequence_frames import frames_of

_PACE = 0.1  # seconds between two words on how far it is
T = TypeVar("T")
Tracked = list[tuple[Frame, Detections, Tracks]]


class Titled(Protocol):
    @property
    def title(self) -> str: ...


S = TypeVar("S", bound=Titled)


class Step(NamedTuple):
    """How far a piece of work is."""

    title: str
    done: int  # frames
    total: int


Post = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task; the same on every machine, but for the seconds."""

    text: str  # MOT rows
    frames: int
    people: int  # different ones
    seconds: float
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """One result to measure."""

    tracker: str
    entry: Entry
    protocol: str | None
    split: str
    length: int
    block: int  # frames that are drawn together in a comparison

    @property
    def title(self) -> str:
        return f"{self.tracker} {self.entry.name}"


@dataclass(frozen=True, slots=True)
class Scored:
    """The measure of one result, and what it takes to compare it; by class."""

    protocol: str
    scores: dict[str, Score] = field(default_factory=dict)
    parts: dict[str, Values] = field(default_factory=dict)


def attempt(work: Callable[[S, Post], T], task: S, post: Post) -> T | MotError:
    """An error of the user's is handed back as a value, which crosses every border whole."""
    try:
        return work(task, post)
    except MotError as error:
        return type(error)(f"{task.title}: {error}")


def detect(stream: Stream, post: Post) -> list[str]:
    """Keep its detections for every tracker; notes for the person."""
    return _detections(stream, post)[1]


def track(task: Task, post: Post) -> Outcome:
    began = time.perf_counter()
    stream = task.stream
    table, notes = _detections(stream, post)
    detect = only(from_table(table), task.tracker.conf, None)
    detected = detections_of(_frames(stream), detect)
    if stream.camera:
        from mot.camera_motion import open_camera, with_camera

        estimate = open_camera(stream.camera, None)
        detected = with_camera(detected, estimate)
    tracked = _follow(_ticking(detected, task.title, len(stream), post), task)
    if stream.camera and estimate.failures:
        notes.append(f"the camera's motion is not known in {estimate.failures} frames")
    results = _mended(tracked, task.post) if task.post else [(f, t) for f, _, t in tracked]
    text = "".join(FORMATS["mot"].lines(frame, tracks) for frame, tracks in results)
    people = {number for _, tracks in results for number in tracks.ids.tolist()}
    seconds = round(time.perf_counter() - began, 3)
    return Outcome(text, len(results), len(people), seconds, notes)


def score(task: ScoreTask, post: Post) -> Scored:
    protocol = protocol_named(task.protocol) if task.protocol else None
    loaded = load(task.entry, protocol, task.split, task.length)
    scenes = prepare(loaded.truth, loaded.result, loaded.length, loaded.protocol)
    found = Scored(loaded.protocol.name)
    for label, scene in scenes.items():
        matches = match(scene)
        found.scores[label] = count(matches)
        found.parts[label] = by_block_and_person(matches, task.block)
    return found


def _detections(stream: Stream, post: Post) -> tuple[Table, list[str]]:
    """Of the whole sequence."""
    eyes = stream.embedder
    if eyes is None or stream.looks is None:
        return _without_looks(stream, post)
    notes: list[str] = []

    def make() -> Table:
        table, told = _without_looks(stream, post)
        notes.extend(told)
        detected = detections_of(_pictures(stream, post), from_table(table))
        found = looked_at(detected, str(eyes.file), eyes.least, eyes.anew, threads=1)
        return {frame.index: detections for frame, detections in found}

    table, told = kept_or_made(stream.looks, make)
    return table, [*told, *notes]


def _without_looks(stream: Stream, post: Post) -> tuple[Table, list[str]]:
    """But those that a detector or a file tells."""
    return _kept_detections(stream, post) if stream.cache else (_read(stream), [])


def _read(stream: Stream) -> Table:
    assert stream.file
    table, length = (
        read_detections_with_embeddings(stream.file, stream.embeddings),
        stream.sequence.length,
    )
    if max(table, default=0) > length:
        raise MotError(
            f"{stream.file}: has detections up to frame {max(table)}, but {stream.sequence.name} "
            f"ends at frame {length}: are they of another video?"
        )
    return table


def _kept_detections(stream: Stream, post: Post) -> tuple[Table, list[str]]:
    """The whole sequence is looked at, also for a part of it: a detector may learn on the way."""
    assert stream.cache and stream.detector
    plan = stream.detector

    def make() -> Table:
        detector = build_detector(plan.spec, **plan.settings)
        batch = settings_of(detector).get("batch", 1)
        found = detections_of(_pictures(stream, post), from_images(detector), batch)
        return {frame.index: detections for frame, detections in found}

    return kept_or_made(stream.cache, make)


def _pictures(stream: Stream, post: Post) -> Iterator[Frame]:
    frames = frames_of(stream.sequence, True)
    for frame in _ticking(frames, stream.title, stream.sequence.length, post):
        if frame.image is None:
            raise MotError(
                f"frame {frame.index} of {stream.sequence.length} has no picture to look at: give "
                "--detections, and --embedder none"
            )
        yield frame


def _frames(stream: Stream) -> Iterator[Frame]:
    """Those to track, still with their numbers in the sequence."""
    for frame in frames_of(stream.sequence, stream.sees_camera):
        if stream.first <= frame.index <= stream.last:
            yield frame


def _follow(detected: Iterable[tuple[Frame, Detections]], task: Task) -> Tracked:
    """By a fresh tracker; frames and time begin anew at the first."""
    tracker = build_tracker(task.tracker.tracker, **task.tracker.settings)
    first, fps = task.stream.first, task.stream.sequence.fps
    tracked = []
    for frame, detections in detected:
        index = frame.index - first + 1
        here = replace(frame, image=None, index=index, time=(index - 1) / fps)
        tracked.append((here, detections, tracker.update(detections, here)))
    return tracked


def _mended(tracked: Tracked, steps: tuple[str, ...]) -> list[tuple[Frame, Tracks]]:
    parts = collect((frame.index, tracks) for frame, _, tracks in tracked)
    table, nobody = spread(mend(parts, steps, _looks(tracked))), Tracks.empty()
    return [(frame, table.get(frame.index, nobody)) for frame, _, _ in tracked]


def _looks(tracked: Tracked) -> dict[int, FloatArray]:
    """The sum of the embeddings of each track."""
    looks: dict[int, FloatArray] = {}
    for _, detections, tracks in tracked:
        if detections.embeddings is not None:
            accumulate_embeddings(looks, tracks, detections.embeddings)
    return looks


def _ticking(items: Iterable[T], title: str, total: int, post: Post) -> Iterator[T]:
    """The same items; now and then, a word on how far it is."""
    post(Step(title, 0, total))
    told = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - told >= _PACE:
            told = time.monotonic()
            post(Step(title, done, total))
    post(Step(title, total, total))
